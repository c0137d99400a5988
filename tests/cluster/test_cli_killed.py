"""Whatever ends a deploy in the middle: the next one converges, and no data is lost on the way."""

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.cluster import cli, releases
from tests.wire import github

pytestmark = pytest.mark.cluster

_ENOUGH = 7.0  # seconds that a runner leaves between SIGINT and its next, harder signal
_KINDS = "configmaps,services,deployments,statefulsets,ingresses,secrets,persistentvolumeclaims,jobs"


@pytest.fixture
def server() -> Iterator[github.Server]:
    with cli.hub() as made:
        yield made


def _objects(preview: cli.Preview) -> list[str]:
    names = preview.kubectl("get", _KINDS, "-o", "name").split()
    return sorted(releases.stable(name) for name in names if "kube-root-ca.crt" not in name)


def _cut(preview: cli.Preview, *, after: float, number: int, **environ: str) -> cli.Finished:
    """Starts a deploy and sends the signal `after` seconds of work; `seconds` is then the time it took to end."""
    running = preview.start("up", **environ)
    running.until()
    time.sleep(after)
    running.send(number)
    return running.end()


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(2400)])])
def test_a_deploy_killed_at_any_moment_is_finished_by_the_next(
    guestbook: cli.Preview, server: github.Server, times: int
) -> None:
    sha = cli.commit()
    # Killed early, in an environment that is only coming to be.
    _cut(guestbook, after=1.5, number=signal.SIGKILL, sha=sha, **guestbook.pushed(server, sha))
    took = guestbook.up(sha=sha, **guestbook.pushed(server, sha)).seconds
    message, expected = guestbook.write_row(), _objects(guestbook)
    chance = random.Random(20_261_123)  # noqa: S311 - the same moments every time
    for kill in range(times):
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[kill % 3]
        moment = chance.uniform(0, took * 0.8)
        sha = cli.commit()
        bootstrap = {"postgresql": {"storage": "512Mi", "bootstrap": f"SELECT {kill // 2}"}}  # a change restarts it
        guestbook.configure({**cli.example(guestbook.installed.sandbox), "databases": bootstrap})
        done = _cut(guestbook, after=moment, number=number, sha=sha, **guestbook.pushed(server, sha))
        context = f"kill {kill}: {signal.Signals(number).name} after {moment:.1f} s: {done.said}"
        if number != signal.SIGKILL and done.code != 0:
            assert done.code == 128 + number, context
            assert "interrupted" in done.said, context
            assert "Traceback" not in done.said, context
            assert "interrupted" in guestbook.comment(server), context
        assert done.seconds < _ENOUGH, context
        print(context.splitlines()[0], f"ended with {done.code} in {done.seconds:.1f} s")
        took = guestbook.up(sha=sha, **guestbook.pushed(server, sha)).seconds
        assert guestbook.rows() == [message], context
        assert guestbook.serving() == sha, context
        assert _objects(guestbook) == expected, context
        assert sha[:7] in guestbook.comment(server), guestbook.comment(server)


def test_one_that_is_interrupted_twice_still_says_so(preview: cli.Preview, server: github.Server) -> None:
    preview.configure(cli.small("import time; time.sleep(600)"))
    sha = cli.commit()
    running = preview.start(
        "up", sha=sha, image=preview.installed.sandbox.images["base"], **preview.pushed(server, sha)
    )
    running.until("of the new version ready")
    for _again in range(3):
        running.send(signal.SIGINT)
    done = running.end()
    assert (done.code, done.seconds < _ENOUGH) == (130, True), done
    assert "interrupted" in preview.comment(server)
