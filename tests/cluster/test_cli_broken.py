"""An app that can't run: its author is told why, the commit before serves on, the next good one is live."""

import contextlib
import dataclasses
import json
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


@dataclasses.dataclass
class Lane:
    """One environment for case after case: the commit that mends one of them serves before the next is broken."""

    preview: cli.Preview
    good: str = ""

    def story(self, case: Case) -> Story:
        preview, before = self.preview, self.good or self._deploy()
        self.good = ""  # until it is mended, nobody knows
        uid = self._uid()
        preview.configure(case.config)
        case.edit(preview)
        try:
            image = case.image(preview.installed.sandbox)
            broken = preview.run("up", "--output", "json", image=image, timeout=200)
            serving = self._live()
        finally:
            case.undo(preview)
        mended = self._deploy()
        self.good = mended
        return Story(before, serving, broken, mended, self._live(), uid == self._uid())

    def _deploy(self) -> str:
        """Its commit."""
        sha = cli.commit()
        self.preview.configure(cli.small())
        self.preview.up(sha=sha, image=self.preview.installed.sandbox.images["base"])
        return sha

    def _live(self) -> str:
        status, body = self.preview.ask("/")
        return str(json.loads(body)["commit"]) if status == 200 else f"{status}: {body}"

    def _uid(self) -> str:
        return self.preview.kubectl("get", "namespace", self.preview.namespace, "-o", "jsonpath={.metadata.uid}")


@pytest.fixture(scope="module")
def stories(
    runner: cli.Installed, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, futures.Future[Story]]]:
    """Mostly they wait for the cluster, so some are under way at once, in environments of their own."""
    chosen = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    names, started = [name for name in CASES if name in chosen], dict[str, futures.Future[Story]]()
    with contextlib.ExitStack() as stack:
        for first in range(_AT_ONCE):
            folder = tmp_path_factory.mktemp("broken")
            lane = Lane(stack.enter_context(cli.preview(runner, folder, project="broken")))
            worker = stack.enter_context(futures.ThreadPoolExecutor(1))
            started |= {name: worker.submit(lane.story, CASES[name]) for name in names[first::_AT_ONCE]}
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
