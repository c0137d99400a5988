"""An environment that sleeps runs nothing and loses nothing; a command or a deploy brings it back."""

import json
import secrets
import signal
from collections.abc import Iterator

import pytest

from k8s_ee import environment
from tests.cluster import cli
from tests.wire import github

pytestmark = pytest.mark.cluster


@pytest.fixture
def server() -> Iterator[github.Server]:
    with cli.hub() as made:
        yield made


@pytest.fixture(scope="module")
def guestbook(installed: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """One for all tests. Each deploys to it first, which wakes it."""
    with cli.preview(installed, tmp_path_factory.mktemp("guestbook")) as made:
        made.configure(cli.example(installed.sandbox))
        yield made


@pytest.fixture(scope="module")
def preview(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """The same without a database."""
    with cli.preview(runner, tmp_path_factory.mktemp("small")) as made:
        made.configure(cli.small())
        yield made


def annotations(preview: cli.Preview) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        preview.kubectl("get", "namespace", preview.namespace, "-o", "jsonpath={.metadata.annotations}")
    )
    return found


def running(preview: cli.Preview) -> str:
    return preview.kubectl("get", "pods", "--field-selector=status.phase!=Succeeded", "-o", "name")


def test_asleep_nothing_runs_and_awake_every_row_is_there(guestbook: cli.Preview, server: github.Server) -> None:
    sha = cli.commit()
    event = guestbook.pushed(server, sha)
    guestbook.up(sha=sha, **event)
    message = guestbook.write_row()
    volume = guestbook.kubectl("get", "pvc", "-o", "jsonpath={.items[*].metadata.uid}")

    asleep = guestbook.start("sleep", "--output", "json", sha=sha, **event).end()
    assert (asleep.code, asleep.outcome["state"], running(guestbook)) == (0, "sleeping", ""), asleep.said
    assert json.loads(annotations(guestbook)[environment.REPLICAS]) == {
        "Deployment/app": 1,
        "StatefulSet/postgresql": 1,
    }
    assert "is asleep" in guestbook.comment(server)
    assert guestbook.run("status", "--output", "json").outcome["data"]["environments"][0]["state"] == "asleep"
    assert guestbook.run("sleep", sha=sha).code == 0, "again"

    awake = guestbook.start("wake", "--output", "json", sha=sha, **event).end()
    assert (awake.code, awake.outcome["data"]["environments"][0]["commit"]) == (0, sha), awake.said
    assert message in guestbook.rows()
    assert guestbook.kubectl("get", "pvc", "-o", "jsonpath={.items[*].metadata.uid}") == volume
    assert not {environment.ASLEEP_SINCE, environment.REPLICAS} & set(annotations(guestbook))
    assert ("is ready" in guestbook.comment(server), sha[:7] in guestbook.comment(server)) == (True, True)
    assert "was awake" in guestbook.run("wake", sha=sha).said


def test_a_deploy_wakes_whatever_it_is_called(guestbook: cli.Preview) -> None:
    guestbook.up()
    message = guestbook.write_row()
    for steps in (("up",), ("deploy-app",), ("create-namespace", "deploy-db", "deploy-app")):
        assert guestbook.run("sleep").code == 0
        sha = cli.commit()
        for step in steps:
            done = guestbook.run(step, sha=sha)
            assert done.code == 0, done.said
        assert guestbook.serving() == sha
        assert message in guestbook.rows()
        known = annotations(guestbook)
        assert not {environment.ASLEEP_SINCE, environment.REPLICAS} & set(known)
        assert known[environment.ACTIVE_AT] == known[environment.DEPLOYED_AT]


def test_a_wake_that_is_killed_is_finished_by_the_next_or_undone_by_a_sleep(guestbook: cli.Preview) -> None:
    guestbook.up()
    message = guestbook.write_row()
    assert guestbook.run("sleep").code == 0
    cut = guestbook.start("wake")
    cut.until("postgresql: 0/1")
    cut.send(signal.SIGKILL)
    cut.end()
    assert environment.REPLICAS in annotations(guestbook)
    assert (guestbook.run("sleep").code, running(guestbook)) == (0, "")
    done = guestbook.run("wake")
    assert (done.code, message in guestbook.rows()) == (0, True), done.said


def test_what_does_not_start_any_more_is_named(preview: cli.Preview) -> None:
    image = preview.installed.sandbox.images["base"]
    preview.up(image=image)
    assert preview.run("sleep").code == 0
    wrong = '[{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["python3", "-c", "1/0"]}]'
    preview.kubectl("patch", "deployment", "app", "--type=json", "-p", wrong)
    done = preview.run("wake", "--output", "json")
    assert (done.code, "ZeroDivisionError" in done.said) == (4, True), done.said
    assert environment.REPLICAS in annotations(preview)
    preview.up(image=image)
    assert environment.REPLICAS not in annotations(preview)


def test_a_dry_run_says_it_and_does_nothing(preview: cli.Preview) -> None:
    preview.up(image=preview.installed.sandbox.images["base"])
    before = annotations(preview)
    for asked in (("sleep",), ("extend", "24h"), ("preserve",), ("unpreserve",), ("wake",)):
        done = preview.run(*asked, "--dry-run", "--output", "json")
        assert (done.code, done.outcome["state"]) == (0, "planned"), done.said
    assert annotations(preview) == before
    assert running(preview)


def test_how_long_it_stays_is_in_the_comment_and_in_the_outputs(preview: cli.Preview, server: github.Server) -> None:
    sha, image = cli.commit(), preview.installed.sandbox.images["base"]
    event = preview.pushed(server, sha)
    preview.up(sha=sha, image=image, **event)
    extended = preview.start("extend", "24h", "--output", "json", sha=sha, **event).end()
    assert (extended.code, extended.outcome["state"]) == (0, "extended"), extended.said
    assert annotations(preview)[environment.EXTENDED_UNTIL] == extended.outcome["outputs"]["until"]
    assert "stays longer" in preview.comment(server)
    kept = preview.start("preserve", "--output", "json", sha=sha, **event).end()
    assert annotations(preview)[environment.PRESERVED_UNTIL] == kept.outcome["outputs"]["until"]
    said = preview.comment(server)
    assert ("is preserved" in said, sha[:7] in said) == (True, True)
    assert preview.start("unpreserve", sha=sha, **event).end().code == 0
    assert "not preserved any more" in preview.comment(server)
    cut = preview.start("extend", "90d", sha=sha, **event).end()
    assert (cut.code, "can't stay longer" in cut.said) == (0, True), cut.said
    refused = preview.start("extend", "1h", sha=sha, **event).end()
    assert (refused.code, "stays longer" in preview.comment(server)) == (3, True), refused.said


def test_a_project_that_has_no_environment_is_wrong_input(preview: cli.Preview) -> None:
    done = preview.run("sleep", "--project", f"no-{secrets.token_hex(3)}")
    assert (done.code, "has no environment of project" in done.said) == (2, True), done.said
