"""What a report says of the environment is what was seen last, also where a deploy or a cleanup fails half-way."""

import base64
import json
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from k8s_ee_sandbox import platform
from tests.cluster import cli, crowd
from tests.wire import github

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server() -> Iterator[github.Server]:
    with cli.hub() as made:
        yield made


@pytest.fixture(scope="module")
def image(runner: cli.Installed) -> str:
    return runner.sandbox.images["base"]


@pytest.fixture(scope="module")
def deployed(
    runner: cli.Installed, server: github.Server, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[cli.Preview, str]]:
    """A small app, and its commit that was deployed."""
    with cli.preview(runner, tmp_path_factory.mktemp("deployed")) as made:
        made.configure(cli.small())
        sha = cli.commit()
        made.up(sha=sha, image=image, **made.pushed(server, sha))
        yield made, sha


def test_a_run_older_than_the_one_that_deployed_leaves_the_comment_alone(
    deployed: tuple[cli.Preview, str], server: github.Server, image: str
) -> None:
    preview, sha = deployed
    said = preview.comment(server)
    run = {**preview.pushed(server, sha), "GITHUB_RUN_ID": "5"}
    older = preview.start("up", sha=sha, image=image, **run).end()
    assert older.code == 0, older.said
    assert preview.comment(server) == said


def test_a_link_that_does_not_answer_is_not_said_to_serve_the_commit_before(
    deployed: tuple[cli.Preview, str], server: github.Server, image: str, tmp_path: pathlib.Path
) -> None:
    preview, before = deployed
    after = cli.commit()
    settings = platform.settings(preview.installed.sandbox)
    nobodys = {**settings, "ingress": {**settings["ingress"], "className": "nobody"}}
    (tmp_path / "platform.yaml").write_text(yaml.safe_dump(nobodys))
    # Beforehand: on a busy machine the new pod may be ready before the controller has seen what the deploy changes.
    preview.kubectl("patch", "ingress", "app", "--patch", json.dumps({"spec": {"ingressClassName": "nobody"}}))
    crowd.until(lambda: preview.ask("/")[0] == 404)
    asked = ("up", "--output", "json", "--platform-file", str(tmp_path / "platform.yaml"), "--timeout", "20")
    done = preview.start(*asked, sha=after, image=image, **preview.pushed(server, after)).end(timeout=120)
    assert (done.code, done.outcome["servingSha"]) == (4, after)
    assert "answered 404" in done.outcome["failure"]["message"]
    comment = preview.comment(server)
    assert (after[:7] in comment, "still serves" in comment, before[:7] in comment) == (True, False, False)


def test_what_a_cleanup_left_behind_is_in_the_comment_and_in_the_outputs(
    preview: cli.Preview, server: github.Server, image: str
) -> None:
    preview.configure(cli.small())
    sha = cli.commit()
    preview.up(sha=sha, image=image, **preview.pushed(server, sha))
    run = preview.pushed(server, sha)
    preview.close(server)
    preview.kubectl("create", "configmap", "held")
    held = '{"metadata": {"finalizers": ["example.com/held"]}}'
    preview.kubectl("patch", "configmap", "held", "--type=merge", "-p", held)
    try:
        done = preview.start("cleanup", "--output", "json", "--timeout", "15", sha=sha, **run).end()
        outputs, comment = done.outcome["outputs"], preview.comment(server)
        assert (done.code, outputs["namespace"], outputs["deleted"]) == (4, preview.namespace, "[]")
        assert f"Namespace {preview.namespace}" in json.loads(outputs["left-over"])
        assert ("is ready" in comment, "example.com/held" in comment) == (False, True)
    finally:
        preview.kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata": {"finalizers": []}}')


def test_an_environment_that_was_deleted_by_hand_is_said_to_be_gone_when_its_pull_request_closes(
    preview: cli.Preview, server: github.Server, image: str
) -> None:
    preview.configure(cli.small())
    sha = cli.commit()
    preview.up(sha=sha, image=image, **preview.pushed(server, sha))
    assert "is ready" in preview.comment(server)
    preview.kubectl("delete", "namespace", preview.namespace, "--wait")
    run = preview.pushed(server, sha)
    preview.close(server)
    done = preview.start("cleanup", sha=sha, **run).end()
    assert done.code == 0, done.said
    comment = preview.comment(server)
    assert "was gone already" in comment
    preview.start("cleanup", sha=sha, **run).end()
    assert preview.comment(server) == comment


def test_a_password_that_an_app_prints_is_in_no_log_that_is_shown(preview: cli.Preview, image: str) -> None:
    says = "import os, sys\nprint('it is', os.environ['PGPASSWORD'], flush=True)\nsys.exit('and that was wrong')"
    preview.configure({**cli.small(), "databases": {"postgresql": {"storage": "64Mi"}}})
    preview.up(image=image)
    secret = preview.kubectl("get", "secret", "postgresql-credentials-v1", "-o", "jsonpath={.data.PGPASSWORD}")
    preview.configure({**cli.small(says), "databases": {"postgresql": {"storage": "64Mi"}}})
    running = preview.start("deploy-app", image=image)  # a process of its own, as an action, which made no password
    running.until("of the new version ready")
    logs = preview.run("logs")
    done = running.end(timeout=120)
    password = base64.b64decode(secret).decode()
    assert (done.code, "it is ***" in done.said) == (4, True), done.said
    assert password not in done.said + logs.said
