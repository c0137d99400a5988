"""Whatever a secret comes back in, and however it is written there: nothing that anybody reads has it."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator

import pytest

from k8s_ee import environment
from tests import processes
from tests.unit.cluster import conftest
from tests.unit.commands import sweeps
from tests.wire import github_state as states
from tests.workflows import events

PROGRAM = str(pathlib.Path(sys.executable).with_name("k8s-ee"))
NAMESPACE, SHA = "shop-pr-7", "a" * 40
IMAGE = f"registry.example.com/shop@sha256:{'1' * 64}"

# The middle of it is the same in every form but base64, also where something was quoted once more.
CORE = "Mrk7Core"
SECRETS = {"own": f'o/w"+\\{CORE}é1', "external": f"e&x'+ {CORE}#2", "registry": f'r"e\\g {CORE}=3'}


def forms(secret: str) -> list[str]:
    raw = secret.encode()
    coded = [base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    return [secret, *coded, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]]


@dataclasses.dataclass
class Scene:
    """`bin` comes first on the PATH."""

    world: sweeps.World
    folder: pathlib.Path

    def tool(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(processes.program(script))
        path.chmod(0o755)

    def run(self, *arguments: str, code: int) -> str:
        """All that anybody can read afterwards, but for what tells the runner what to hide."""
        summary, output = (self.folder / name for name in ("summary", "output"))
        done = subprocess.run(
            [PROGRAM, *arguments, "--debug"],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.folder),
                "GITHUB_ACTIONS": "true",
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
                "GITHUB_REPOSITORY": events.REPOSITORY,
                "GITHUB_RUN_ID": "1",
                "GITHUB_API_URL": self.world.github.url,
                "GITHUB_TOKEN": "token-of-this-run",
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_OUTPUT": str(output),
                "K8S_EE_KUBECONFIG": conftest.KUBECONFIG.format(url=self.world.url),
                "K8S_EE_PLATFORM_FILE": str(self.world.platform),
                "K8S_EE_IMAGE": IMAGE,
                "K8S_EE_REGISTRY_USERNAME": "robot",
                "K8S_EE_REGISTRY_PASSWORD": SECRETS["registry"],
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        printed = [one for one in (done.stdout + done.stderr).splitlines() if not one.startswith("::add-mask::")]
        files = [one.read_text() for one in (summary, output) if one.exists()]
        return "\n".join([*printed, *files, *self.comments])

    @property
    def comments(self) -> list[str]:
        repository = self.world.github.state.repository(events.REPOSITORY)
        return [one.body for one in repository.comments.values()]


def quoted(password: str) -> str:
    return urllib.parse.quote(password, safe="")


@pytest.fixture
def scene(tmp_path: pathlib.Path) -> Iterator[Scene]:
    """An app in an environment with a database of its own, and one that its team brings."""
    payload = events.pull_request("synchronize", number=7, head_sha=SHA)
    (tmp_path / "event.json").write_text(json.dumps(payload))
    (tmp_path / "bin").mkdir()
    external = "{external: {secretName: theirs}}"
    (tmp_path / "k8s-ee.yaml").write_text(f"projectId: shop\ndatabases: {{postgresql: true, mongodb: {external}}}\n")
    with sweeps.world(tmp_path) as world:
        world.platform.write_text(
            f"domain: preview.test\nregistries: [registry.example.com]\nallowed: {{ownerIds: [{events.OWNER_ID}]}}\n"
        )
        _fill(world)
        yield Scene(world, tmp_path)


def _fill(world: sweeps.World) -> None:
    home = states.Repository(id=events.REPOSITORY_ID, owner_id=events.OWNER_ID, full_name=events.REPOSITORY)
    world.github.state.repositories.append(home)
    home.pulls[7] = states.Pull(7, head_sha=SHA)
    one = environment.Environment(
        project=environment.ProjectId("shop"),
        number=7,
        repository=events.REPOSITORY,
        repository_id=events.REPOSITORY_ID,
        domain="preview.test",
    )
    metadata = {"name": NAMESPACE, "labels": one.labels(), "annotations": one.annotations()}
    world.kube.put(sweeps.NS, {"metadata": metadata})
    theirs = f"mongodb://team:{quoted(SECRETS['external'])}@db.example.com/shop"
    for name, values in {
        "postgresql-credentials-v1": {
            "PGPASSWORD": SECRETS["own"],
            "DATABASE_URL": f"postgresql://app:{quoted(SECRETS['own'])}@postgresql:5432/app",
        },
        "theirs": {"MONGODB_URL": theirs, "MONGODB_URI": theirs, "MONGODB_DATABASE": "shop"},
    }.items():
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        world.kube.put(f"/api/v1/namespaces/{NAMESPACE}/secrets", {"metadata": {"name": name}, "data": data})
    volumes = [{"name": "mongodb", "secret": {"secretName": "theirs"}}]
    world.kube.put(
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
        {"metadata": {"name": "app"}, "spec": {"template": {"spec": {"volumes": volumes}}}},
    )
    labels = {"app.kubernetes.io/name": "app", environment.COMPONENT: "app", **one.labels()}
    status = {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 0, "state": {"running": {}}}]}
    world.kube.put(
        f"/api/v1/namespaces/{NAMESPACE}/pods",
        {"metadata": {"name": "app-1", "labels": labels}, "spec": {"containers": [{"name": "app"}]}, "status": status},
    )
    world.kube.logs["app-1", "app", False] = said("own", "external")


def said(*names: str) -> str:
    return "\n".join(f"it says {form} and goes on" for name in names for form in forms(SECRETS[name]))


def assert_hidden(text: str, *names: str) -> None:
    for form in (CORE, *(form for name in names for form in forms(SECRETS[name]))):
        assert form not in text, (form, text)
    assert "it says" in text


AS = pytest.mark.parametrize("output", ["text", "json"])


@AS
def test_of_a_tool_that_fails_with_it(scene: Scene, output: str) -> None:
    scene.tool("helm", f"import sys; sys.exit({said('own')!r})")
    text = scene.run("deploy-app", "--output", output, code=2)
    assert "Traceback" in text
    assert "it says" in "".join(scene.comments)
    assert_hidden(text, "own")


@AS
def test_of_an_answer_of_the_cluster_that_has_it(scene: Scene, output: str) -> None:
    scene.world.kube.fail("GET", "/version", 403, times=99, message=said("own"))
    text = scene.run("deploy-app", "--output", output, code=3)
    assert "Traceback" in text
    assert_hidden(text, "own")


@AS
def test_of_an_app_that_logs_it(scene: Scene, output: str) -> None:
    text = scene.run("logs", "--component", "app", "--output", output, code=0)
    assert text.count("it says") >= len(forms("")) * 2
    assert_hidden(text, "own", "external")


@AS
def test_of_a_builder_that_prints_it_and_fails(scene: Scene, output: str) -> None:
    (scene.folder / "Dockerfile").write_text("FROM scratch\n")
    scene.tool("docker", f"import sys; 'build' in sys.argv and sys.exit({said('registry')!r})")
    text = scene.run("build", "--output", output, code=4)
    assert "Traceback" in text
    assert_hidden(text, "registry")
