"""A cluster with a rule of how many environments may be awake, and the deploys of many pull requests on it."""

import dataclasses
import datetime
import io
import pathlib
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import yaml

from k8s_ee import config, environment, outcome, runner, settings
from k8s_ee.cluster import places, queueing
from k8s_ee.commands import namespace, session
from k8s_ee.config import model
from tests.cluster import bare

HOME = "k8s-ee-system"
MINUTE, HOUR = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)
SHOP, TOOLS = 501, 502
NAMES = {SHOP: "acme/shop", TOOLS: "acme/tools"}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass
class Ground:
    """One cluster with one set of rules. `waits` is how long a deploy waits, in seconds."""

    base: bare.Bare
    folder: pathlib.Path
    rules: dict[str, Any]
    said: list[str] = dataclasses.field(default_factory=list)
    waits: float = 4
    kubeconfig: str = ""
    mark: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex[:6])

    def project(self, repository: int) -> str:
        """Of this test only: the namespaces of the one before are still on their way out."""
        return f"{NAMES[repository].partition('/')[2]}-{self.mark}"

    def at(self, number: int, *, repository: int = SHOP) -> str:
        """The namespace."""
        return f"{self.project(repository)}-pr-{number}"

    @property
    def policy(self) -> model.Capacity:
        written = {"domain": "preview.test", "capacity": self.rules}
        found = config.load_platform(yaml.safe_dump(written), path="p").capacity
        return dataclasses.replace(found, queue_wait=datetime.timedelta(seconds=self.waits))

    @property
    def platform(self) -> model.Platform:
        return model.Platform(
            domain="preview.test", allowed_repository_ids=(SHOP, TOOLS), capacity=self.policy, image_pull_secrets=()
        )

    def session(self, number: int, *, repository: int = SHOP, run: int = 1) -> session.Session:
        """Of one deploy of one pull request."""
        given = settings.Settings(
            number=number,
            repository=NAMES[repository],
            repository_id=repository,
            head_sha="a" * 40,
            run=run,
            connection=settings.Connection(kubeconfig=self.kubeconfig or str(self.base.sandbox.kubeconfig)),
        )
        path = self.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(f"projectId: {self.project(repository)}\ningress: {{enabled: false}}\n")
        made = session.Session(
            settings=given,
            options=session.Options(config_path=path),
            runner=runner.Runner(given, stream=io.StringIO()),
            say=self.said.append,
        )
        made.__dict__["platform"] = self.platform
        return made

    def deploy(self, number: int, *, repository: int = SHOP, run: int = 1) -> outcome.Outcome:
        return namespace.create_namespace(self.session(number, repository=repository, run=run))

    def at_once(self, work: Sequence[Callable[[], outcome.Outcome]]) -> list[outcome.Outcome]:
        with futures.ThreadPoolExecutor(len(work)) as threads:
            return [one.result() for one in [threads.submit(task) for task in work]]

    def awake(self) -> set[str]:
        """As the API server has them."""
        listed = self.base.api.list("Namespace", labels=environment.OURS)
        found = [environment.from_namespace(one) for one in listed]
        return {one.namespace for one in found if not one.asleep_since and not one.terminating}

    def placed(self) -> set[str]:
        return {one.namespace for one in places.taken(self.base.api.list("Lease", HOME)).values()}

    def line(self) -> list[queueing.Ticket]:
        return queueing.tickets(self.base.api.list("Lease", HOME))

    def observed(self, name: str) -> environment.Observed:
        found = self.base.api.get("Namespace", name)
        assert found is not None
        return environment.from_namespace(found)

    def note(self, name: str, **changes: str) -> None:
        keys = {key: getattr(environment, key) for key in changes}
        self.base.api.annotate(name, self.observed(name).uid, {keys[key]: value for key, value in changes.items()})

    def used(self, name: str, ago: datetime.timedelta) -> None:
        """As if it had been made before that, deployed, and not been used since."""
        at = (now() - ago).isoformat(timespec="seconds")
        self.note(name, DEPLOYED_AT=at, HEAD_SHA="b" * 40)

    def tidy(self, later: datetime.timedelta = datetime.timedelta()) -> tuple[str, ...]:
        return places.tidy(self.base.api, policy=self.policy, home=HOME, now=now() + later)


def forget(base: bare.Bare) -> None:
    """None of them is ours from now on, so nobody need wait for the end of theirs."""
    for lease in base.api.list("Lease", HOME):
        base.api.delete("Lease", lease["metadata"]["name"], HOME, uid=lease["metadata"]["uid"])
    ours = ",".join(f"{key}={value}" for key, value in environment.OURS.items())
    base.kubectl("label", "namespace", "-l", ours, f"{environment.TYPE}=past", "--overwrite")
    base.kubectl("delete", "namespace", "-l", f"{environment.TYPE}=past", "--wait=false")


def until(happened: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def put_to_sleep(ground: Ground, name: str) -> None:
    places.sleep(ground.base.api, ground.observed(name), now(), home=HOME)
