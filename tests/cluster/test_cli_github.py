"""GitHub away in the middle of a deploy: the environment becomes what it would have, and what is not known is said."""

import dataclasses
import re
import signal
from collections.abc import Iterator

import pytest

from tests.cluster import cli
from tests.wire import github
from tests.wire import github_faults as faults

pytestmark = pytest.mark.cluster

_ALWAYS = 10_000


@pytest.fixture
def server() -> Iterator[github.Server]:
    with cli.hub() as made:
        yield made


@pytest.fixture
def image(runner: cli.Installed) -> str:
    return runner.sandbox.images["base"]


DOWN = {
    "answers 502": faults.Fault(status=502, times=_ALWAYS),
    "closes every connection": faults.Fault(kind="drop", times=_ALWAYS),
    "answers with an error page": faults.Fault(kind="html", status=503, times=_ALWAYS),
    "limits the rate": dataclasses.replace(faults.rate_limited(), times=_ALWAYS),
}


LONG = [pytest.param(how, marks=pytest.mark.long) for how in [*DOWN][2:]]


@pytest.mark.parametrize("how", [*[*DOWN][:2], *LONG])
def test_a_deploy_does_not_need_github(preview: cli.Preview, server: github.Server, image: str, how: str) -> None:
    preview.configure(cli.small())
    sha = cli.commit()
    run = preview.pushed(server, sha)
    server.faults.add(dataclasses.replace(DOWN[how]))
    done = preview.start("up", sha=sha, image=image, **run).end(timeout=200)
    assert done.code == 0, done.said
    assert "GitHub was not told" in done.stderr
    assert re.search("could not be asked whether the pull request is still open", done.said)
    assert done.seconds < 25
    server.faults.clear()
    preview.up(sha=sha, image=image, **preview.pushed(server, sha))
    assert sha[:7] in preview.comment(server)


def test_one_that_can_not_be_reached_at_all_is_not_waited_for_again_and_again(
    preview: cli.Preview, server: github.Server, image: str
) -> None:
    preview.configure(cli.small())
    sha = cli.commit()
    run = {**preview.pushed(server, sha), "GITHUB_API_URL": "http://127.0.0.1:9"}
    done = preview.start("up", sha=sha, image=image, **run).end(timeout=200)
    assert done.code == 0, done.said
    assert done.seconds < 25


def test_an_interrupt_is_obeyed_while_github_is_away(preview: cli.Preview, server: github.Server, image: str) -> None:
    preview.configure(cli.small("import time; time.sleep(600)"))
    sha = cli.commit()
    running = preview.start("up", sha=sha, image=image, **preview.pushed(server, sha))
    running.until("of the new version ready")
    server.faults.add(dataclasses.replace(DOWN["answers 502"]))
    running.send(signal.SIGTERM)
    done = running.end()
    assert done.code == 143, done.said
    assert done.seconds < 7


def test_one_closed_while_it_was_deployed_is_cleaned_up_by_the_same_run(
    preview: cli.Preview, server: github.Server, image: str
) -> None:
    preview.configure(cli.small())
    sha = cli.commit()
    running = preview.start("up", sha=sha, image=image, **preview.pushed(server, sha))
    running.until("of the new version ready")
    preview.close(server)
    done = running.end()
    assert done.code == 0, done.said
    assert "closed while it was being deployed" in done.said
    assert "NotFound" in preview.kubectl("get", "namespace", preview.namespace, check=False)
