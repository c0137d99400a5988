"""A cluster and a GitHub in miniature for passes of the janitor."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import environment, outcome, runner, settings
from k8s_ee import github as githubs
from k8s_ee.cluster import notes
from k8s_ee.commands import janitor, keeper, session
from k8s_ee.github import pace
from tests.unit.cluster import conftest
from tests.wire import github
from tests.wire import github_state as states
from tests.wire import kube as wire

NS, LEASES, EVENTS = (
    "/api/v1/namespaces",
    "/apis/coordination.k8s.io/v1/namespaces/k8s-ee-system/leases",
    "/api/v1/namespaces/default/events",
)
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)  # by the clock of the API server in miniature
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
DELETED_AT = "2026-01-01T00:00:01Z"


def text(when: datetime.datetime) -> str:
    return when.isoformat(timespec="seconds")


@dataclasses.dataclass
class World:
    """`held` are namespaces that can't end. `said` is what the runner was told."""

    kube: wire.Kube
    url: str
    github: github.Server
    shop: states.Repository
    platform: pathlib.Path
    held: set[str] = dataclasses.field(default_factory=set)
    said: io.StringIO = dataclasses.field(default_factory=io.StringIO)

    def put(
        self,
        number: int,
        state: str = "open",
        *,
        closed_at: str = "2026-01-02T00:00:00Z",
        project: str = "shop",
        **noted: str,
    ) -> str:
        """An environment and its pull request; `noted` are annotations without prefix. Returns its name."""
        wanted = environment.Environment(
            project=environment.ProjectId(project),
            number=number,
            repository="acme/shop",
            repository_id=42,
            domain="preview.test",
        )
        annotations = {f"k8s-ee/{key.replace('_', '-')}": value for key, value in noted.items()}
        metadata = {
            "name": wanted.namespace,
            "labels": wanted.labels(),
            "annotations": wanted.annotations() | annotations,
        }
        self.kube.put(NS, {"metadata": metadata})
        self.shop.pulls[number] = states.Pull(number, head_sha="a" * 40, state=state, closed_at=closed_at)
        return wanted.namespace

    def session(
        self, *, after: datetime.timedelta, dry_run: bool = False, timeout: float = 60, **facts: Any
    ) -> session.Session:
        """`after` the creation of all environments."""
        connection = settings.Connection(kubeconfig=conftest.KUBECONFIG.format(url=self.url))
        given = settings.Settings(connection=connection, token="of the App", api_url=self.github.url, **facts)
        return session.Session(
            settings=given,
            options=session.Options(platform_file=self.platform, dry_run=dry_run, timeout=timeout),
            runner=runner.Runner(given, stream=self.said),
            say=lambda _line: None,
            now=lambda: CREATED + after,
        )

    def arguments(self, *command: str, monkeypatch: pytest.MonkeyPatch, config: str = "", **environ: str) -> list[str]:
        """For the whole program, run for pull request 7 where `config` is k8s-ee.yaml."""
        folder = self.platform.parent
        (folder / "k8s-ee.yaml").write_text(config or "projectId: shop\ningress: {enabled: false}\n")
        self.platform.write_text("domain: preview.test\nallowed: {repositoryIds: [42]}\n")
        monkeypatch.chdir(folder)
        environ |= {"GITHUB_API_URL": self.github.url, "GITHUB_TOKEN": "of the run"}
        environ["K8S_EE_KUBECONFIG"] = conftest.KUBECONFIG.format(url=self.url)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        facts = ("--pr=7", "--repository=acme/shop", "--repository-id=42", f"--head-sha={'a' * 40}")
        return [*command, *facts, f"--platform-file={self.platform}"]

    def sweep(
        self,
        *,
        after: datetime.timedelta = HOUR,
        lease: bool = False,
        dry_run: bool = False,
        metrics_file: pathlib.Path | None = None,
        pushgateway: str = "",
        tempo: pace.Pace | None = None,
        **facts: Any,
    ) -> outcome.Outcome:
        ctx = self.session(after=after, dry_run=dry_run, **facts)
        hub = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=1, unsaid=0.01, tempo=tempo)
        return janitor.janitor(ctx, lease=lease, metrics_file=metrics_file, pushgateway=pushgateway, hub=hub)

    def keep(self, *, after: datetime.timedelta = HOUR, dry_run: bool = False) -> outcome.Outcome:
        """One run of the keeper."""
        return keeper.keeper(self.session(after=after, dry_run=dry_run))

    @property
    def notes(self) -> dict[str, str]:
        """What is left for the next pass, by the name of its annotation."""
        found = self.kube.objects.get((LEASES, notes.NAME), {"metadata": {}})
        return dict(found["metadata"].get("annotations") or {})

    def annotation(self, name: str, key: str) -> str | None:
        found: str | None = self.kube.objects[(NS, name)]["metadata"]["annotations"].get(key)
        return found

    def there(self, name: str) -> bool:
        return (NS, name) in self.kube.objects

    @property
    def comments(self) -> list[str]:
        return [one.body for one in self.shop.comments.values()]

    @property
    def deletions(self) -> int:
        return len(self.kube.of("DELETE", f"{NS}/shop-pr-"))

    @property
    def events(self) -> list[str]:
        return [f"{one['reason']} {one['involvedObject']['name']}" for one in self.kube.listed(EVENTS)]


@contextlib.contextmanager
def world(folder: pathlib.Path) -> Iterator[World]:
    kube, shop = wire.Kube(), states.Repository(id=42, owner_id=1, full_name="acme/shop")
    server, url = wire.serve(kube)
    path = folder / "platform.yaml"
    path.write_text("domain: preview.test\n")
    for name in ("k8s-ee-system", "default"):
        kube.put(NS, {"metadata": {"name": name}})
    done = threading.Event()
    with github.Server(states.State(repositories=[shop])) as hub:
        made = World(kube, url, hub, shop, path)
        reaper = threading.Thread(target=_reap, args=(made, done))
        reaper.start()
        yield made
        done.set()
        reaper.join()
    kube.drop_watches()
    server.shutdown()
    server.server_close()


def _reap(world: World, done: threading.Event) -> None:
    """The namespace controller."""
    while not done.wait(0.02):
        with world.kube.changed:
            ended = [
                key
                for key, found in world.kube.objects.items()
                if key[0] == NS and "deletionTimestamp" in found["metadata"] and key[1] not in world.held
            ]
            for key in ended:
                world.kube.remove(*key)
