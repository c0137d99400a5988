"""An app that can't run: its author is told why, the commit before serves on, the next good one is live."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

import pytest

from k8s_ee_sandbox import cluster as sandboxes
from tests.cluster import cli, images

pytestmark = pytest.mark.cluster

_AT_ONCE = 3
_WRONG_PORT = cli.SERVER.replace('int(os.environ["PORT"])', "4000").replace(
    "http.server.Threading", 'print("listening on port 4000")\nhttp.server.Threading', 1
)
_UNHEALTHY = cli.SERVER.replace("send_response(200)", "send_response(503)")
_HUNGRY = "held = bytearray(200_000_000)\n" + cli.SERVER


@dataclasses.dataclass(frozen=True)
class Case:
    """A push that breaks the app: how, and what its author is told. `edit` prepares the cluster."""

    config: Mapping[str, Any]
    says: str
    hint: str
    within: float = 20
    image: Callable[[sandboxes.Sandbox], str] = lambda sandbox: sandbox.images["base"]
    edit: Callable[[cli.Preview], object] = lambda _preview: None
    undo: Callable[[cli.Preview], object] = lambda _preview: None
    evidence: str = ""


def _absent(sandbox: sandboxes.Sandbox) -> str:
    return f"{sandbox.images['base'].partition('@')[0]}@sha256:{'a' * 64}"


def _tight(preview: cli.Preview) -> None:
    preview.kubectl("create", "quota", "tight", "--hard=pods=1")


CASES: Mapping[str, Case] = {
    "crashes": Case(
        cli.small("raise SystemExit('DATABASE_URL is not set')"),
        says="app crashes at start (exit code 1)",
        hint="its last lines say why",
        evidence="DATABASE_URL is not set",
    ),
    "ends by itself": Case(cli.small("print('done')"), says="ended by itself (exit code 0)", hint="foreground"),
    "listens on another port": Case(
        cli.small(_WRONG_PORT),
        says="nothing listens on its port 3000; it says it listens on 4000",
        hint="set app.port to 4000",
        within=25,
    ),
    "never gets ready": Case(
        cli.small(_UNHEALTHY, startupSeconds=10),
        says="answers its health path with 503",
        hint="app.healthPath must answer 2xx",
        within=30,
    ),
    "needs more memory than its limit": Case(
        {**cli.small(_HUNGRY), "resources": {"limits": {"memory": "64Mi"}}},
        says="more memory than its limit of 64Mi and was killed (OOMKilled)",
        hint="resources.limits.memory",
    ),
    "needs more than the quota": Case(
        cli.small(),
        says="the environment's quota is too small: exceeded quota: tight",
        hint="lower resources",
        within=30,
        edit=_tight,
        undo=lambda preview: preview.kubectl("delete", "quota", "tight"),
    ),
    "needs root": Case(
        {}, image=lambda sandbox: images.push(sandbox, user=""), says="its image runs as root", hint="USER 1000"
    ),
    "has no such command": Case(
        {"app": {"command": ["no-such-program"], "runAsUser": 1000}}, says="can't be started", hint="app.command"
    ),
    "image does not exist": Case(cli.small(), image=_absent, says="does not exist", hint="was it pushed"),
    "image of another architecture": Case(
        cli.small(),
        image=lambda sandbox: images.push(sandbox, architecture="s390x"),
        says="is not made for this cluster's processors",
        hint="image.platforms",
    ),
    "program of another architecture": Case(
        {},
        image=lambda sandbox: images.push(sandbox, files={"app": b"\x7fELF not for this machine"}),
        says="exec format error",
        hint="image.platforms",
    ),
    "takes its settings from a Secret that is not there": Case(
        {**cli.small(), "envFrom": [{"secretRef": {"name": "stripe"}}]}, says='"stripe" not found', hint="envFrom"
    ),
    "migration fails": Case(
        cli.small(migrate=["python3", "-c", "raise SystemExit('column price exists')"]),
        says="failed (exit code 1)",
        hint="its last lines say why",
        evidence="column price exists",
    ),
}


@dataclasses.dataclass(frozen=True)
class Story:
    before: str
    serving: str
    broken: cli.Finished
    mended: str
    mended_serving: str
    claims_the_same: bool


def _live(preview: cli.Preview) -> str:
    status, body = preview.ask("/")
    return str(json.loads(body)["commit"]) if status == 200 else f"{status}: {body}"


def _story(runner: cli.Installed, directory: pathlib.Path, case: Case) -> Story:
    directory.mkdir()
    base = runner.sandbox.images["base"]
    with cli.preview(runner, directory, project="broken") as preview:
        before, mended = cli.commit(), cli.commit()
        preview.configure(cli.small())
        preview.up(sha=before, image=base)
        uid = preview.kubectl("get", "namespace", preview.namespace, "-o", "jsonpath={.metadata.uid}")
        preview.configure(case.config)
        case.edit(preview)
        broken = preview.run("up", "--output", "json", image=case.image(runner.sandbox), timeout=200)
        serving = _live(preview)
        case.undo(preview)
        preview.configure(cli.small())
        preview.up(sha=mended, image=base)
        same = uid == preview.kubectl("get", "namespace", preview.namespace, "-o", "jsonpath={.metadata.uid}")
        return Story(before, serving, broken, mended, _live(preview), same)


@pytest.fixture(scope="module")
def stories(
    runner: cli.Installed, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, futures.Future[Story]]]:
    """Mostly they wait for the cluster, so some are under way at once, in environments of their own."""
    folder = tmp_path_factory.mktemp("broken")
    chosen = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        started = {
            name: pool.submit(_story, runner, folder / str(number), CASES[name])
            for number, name in enumerate(name for name in CASES if name in chosen)
        }
        yield started
        for one in started.values():
            one.cancel()


@pytest.mark.parametrize("name", CASES)
def test_a_push_whose_app_is_broken_says_why_and_takes_nothing_down(
    stories: Mapping[str, futures.Future[Story]], name: str
) -> None:
    case, story = CASES[name], stories[name].result(timeout=400)
    assert story.broken.code == 4, story.broken.said
    failure = story.broken.outcome["failure"]
    assert case.says in failure["message"]
    assert case.hint in failure["hint"]
    assert case.evidence in "\n".join(failure["evidence"])
    assert "Traceback" not in story.broken.stderr
    assert story.serving == story.before, "the commit before it serves on"
    assert story.broken.outcome["servingSha"] == story.before
    assert (story.mended_serving, story.claims_the_same) == (story.mended, True)
    assert story.broken.seconds < case.within
