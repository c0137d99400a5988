"""Pull requests through the real reusable workflow, the real actions and the real CLI, onto the real cluster."""

from __future__ import annotations

import functools
import json
import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest
import yaml

from k8s_ee_sandbox import cluster
from tests import world
from tests.workflows import harness

pytestmark = pytest.mark.cluster

Kubectl = Callable[..., str]


@pytest.fixture
def pull_request(
    sandbox: cluster.Sandbox,
    kubectl: Kubectl,
    toolkit: pathlib.Path,
    tmp_path: pathlib.Path,
    request: pytest.FixtureRequest,
) -> Iterator[world.World]:
    """A project of its own for each test, so that tests never meet in a namespace, which is deleted without waiting."""
    project = f"t{abs(hash(request.node.name)) % 10**8}"
    with world.world(sandbox, tmp_path, project=project, toolkit=toolkit) as made:
        namespace = made.namespace  # tests change the project
        try:
            yield made
        finally:
            kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


class Visitor:
    """Asks for a page without a pause until stopped; `failed` holds every answer that was not 200."""

    def __init__(self, pull_request: world.World, path: str = "/version") -> None:
        self._ask = functools.partial(pull_request.ask, path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked = 0
        self.failed: list[str] = []
        self.commits: list[str] = []

    def __enter__(self) -> Visitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.asked += 1
            try:
                status, body = self._ask()
            except OSError as error:
                self.failed.append(repr(error))
                continue
            if status != 200:
                self.failed.append(f"{status} {body[:200]}")
            elif (commit := json.loads(body)["commit"]) not in self.commits[-1:]:
                self.commits.append(commit)


def ok(result: harness.Result) -> harness.Result:
    assert result.returncode == 0, result.log
    return result


def head(pull_request: world.World) -> str:
    return harness.git(pull_request.consumer, "rev-parse", "HEAD")


def test_the_life_of_a_pull_request(pull_request: world.World, kubectl: Kubectl) -> None:
    first = head(pull_request)
    opened = ok(pull_request.run("opened"))
    assert {opened.jobs[job] for job in ("validate", "build", "prepare", "deploy")} == {"success"}
    assert json.loads(pull_request.ask("/version")[1])["commit"] == first
    assert pull_request.ask("/entries", method="POST", body={"author": "Ada", "message": "was here"})[0] in {200, 201}
    assert "was here" in pull_request.ask("/entries")[1]
    assert len(pull_request.comments()) == 1
    assert first[:7] in pull_request.comments()[0]

    second = pull_request.push({"NOTES.md": "one more\n"})
    with Visitor(pull_request) as visitor:
        ok(pull_request.run("synchronize"))
    assert visitor.failed == []
    # While the old pod still ends its requests, both answer in turn.
    assert (visitor.commits[0], visitor.commits[-1], set(visitor.commits)) == (first, second, {first, second})
    assert visitor.asked > 50

    third = pull_request.push(
        config={"app": {"port": 4000, "command": ["python3", "-c", "raise SystemExit('no way')"]}}
    )
    with Visitor(pull_request) as visitor:
        failed = pull_request.run("synchronize")
    assert failed.jobs["deploy"] == "failure"
    assert visitor.failed == []
    assert visitor.commits == [second]
    assert len(pull_request.comments()) == 1
    comment = pull_request.comments()[0]
    assert second[:7] in comment
    assert third[:7] in comment
    assert "no way" in comment

    # The last commit can't even be read, and its project has another name: closing needs nothing of it.
    namespace = pull_request.namespace
    volumes = _volumes(kubectl, namespace)
    assert volumes
    (pull_request.consumer / "k8s-ee.yaml").write_text("projectId: renamed\n  broken: [\n")
    harness.commit(pull_request.consumer, "Break everything")
    ok(pull_request.run("closed"))
    assert "NotFound" in kubectl("get", "namespace", namespace, check=False)
    assert not _volumes(kubectl, namespace)
    assert "is gone" in pull_request.comments()[0]
    assert set(pull_request.deployments()) == {"inactive"}
    ok(pull_request.run("closed"))
    assert len(pull_request.comments()) == 1


def _volumes(kubectl: Kubectl, namespace: str) -> list[str]:
    found = json.loads(kubectl("get", "persistentvolumes", "--output=json"))["items"]
    return [one["metadata"]["name"] for one in found if one["spec"]["claimRef"]["namespace"] == namespace]


def test_the_five_actions_chained_by_hand_hand_on_every_output(pull_request: world.World, kubectl: Kubectl) -> None:
    result = ok(pull_request.run("opened", workflow=".github/workflows/preview-steps.yml"))
    name, sha = pull_request.namespace, head(pull_request)
    url = f"http://{name}.{pull_request.sandbox.domain}"
    config = result.outputs["validate/config"]
    assert config["project"] == pull_request.project
    assert config["namespace"] == name
    assert config["deploy"] == "true"
    assert config["trigger"] == "automatic"
    assert json.loads(config["databases"]) == ["postgresql"]
    assert json.loads(config["config"])["app"]["port"] == 3000
    image = result.outputs["build/image"]
    assert image["image"].endswith(image["digest"])
    uid = yaml.safe_load(kubectl("get", "namespace", name, "--output=yaml"))["metadata"]["uid"]
    assert result.outputs["deploy/namespace"].items() >= {"namespace": name, "created": "true", "uid": uid}.items()
    databases = result.outputs["deploy/databases"]
    assert json.loads(databases["ready"]) == {"postgresql": True}
    assert float(databases["seconds"]) > 0
    assert json.loads(databases["credentials"]) == ["postgresql-credentials-v1"]
    app = result.outputs["deploy/app"]
    assert (app["url"], app["ready"], app["sha"]) == (url, "true", sha)
    assert float(app["seconds"]) > 0

    closed = ok(pull_request.run("closed", workflow=".github/workflows/preview-steps.yml"))
    cleanup = closed.outputs["destroy/cleanup"]
    assert (cleanup["namespace"], json.loads(cleanup["deleted"]), cleanup["left-over"]) == (name, [name], "[]")
    assert (cleanup["state"], cleanup["failure"]) == ("destroyed", "")


def test_a_forks_pull_request_is_green_and_changes_nothing(pull_request: world.World, kubectl: Kubectl) -> None:
    result = ok(pull_request.run("opened", fork=True))
    assert "build" not in result.jobs
    assert "fork" in " ".join(result.summaries.values())
    assert any(level == "notice" for level, _, _ in result.annotations)
    assert "NotFound" in kubectl("get", "namespace", pull_request.namespace, check=False)
    assert pull_request.comments() == []


def test_a_broken_config_is_annotated_at_its_line(pull_request: world.World) -> None:
    pull_request.push({"k8s-ee.yaml": "projectId: shop\napp:\n  prot: 3000\n"})
    result = pull_request.run("opened")
    assert result.jobs["validate"] == "failure"
    assert any(
        level == "error" and "port" in message and where.get("file") == "k8s-ee.yaml" and where.get("line") == "3"
        for level, message, where in result.annotations
    )
