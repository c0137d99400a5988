"""What one command works with: who asked, where to, and a journal of what has been done so far."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import functools
import math
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import config as configs
from k8s_ee import environment as environments
from k8s_ee import errors, outcome, redact, runner, settings
from k8s_ee.config import model

if TYPE_CHECKING:
    from k8s_ee import cluster as clusters
    from k8s_ee import github as githubs

_WHERE_FACTS_COME_FROM = "in a workflow they come from the pull_request event; elsewhere give them as options"

# The clients are imported when they are first used: `validate` is run on every push and needs neither.


_SECONDS, _MARGIN_SECONDS = 600.0, 300.0
_MIGRATION_SECONDS, _SEED_SECONDS = 600.0, 1800.0
"""What a migration may take is written on its Job, too."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line adds to the environment. `timeout`: seconds for the command as a whole, None = enough."""

    config_path: pathlib.Path = pathlib.Path("k8s-ee.yaml")
    platform_file: pathlib.Path | None = None
    timeout: float | None = None
    dry_run: bool = False


@dataclasses.dataclass
class Session:
    """Collaborators of one command, made when first used, and the journal that every report is written from.

    `fresh`: this very command made the namespace, so nothing of an earlier deploy can be left in it.
    """

    settings: settings.Settings
    options: Options
    runner: runner.Runner
    say: Callable[[str], None]
    redactor: redact.Redactor = dataclasses.field(default_factory=redact.Redactor)
    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    phases: list[outcome.Phase] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)
    """Known before the end: reported even if the command fails."""
    environment: environments.Environment | None = None
    observed: environments.Observed | None = None
    fresh: bool = False
    waited: float = 0.0
    """Seconds in line for a place, which nobody could have used otherwise."""
    migrating: list[dict[str, Any]] | None = None
    """The Jobs of the migration, once this command has begun them."""
    repository: str = ""
    """As its environments have it, which is no more than somebody wrote: for who names a repository by its id alone."""
    interrupted: threading.Event = dataclasses.field(default_factory=threading.Event)
    """What goes on in other threads is to be given up."""
    _started: float = dataclasses.field(default_factory=time.monotonic)

    @functools.cached_property
    def cluster(self) -> clusters.Cluster:
        from k8s_ee import cluster as clusters

        connection, dry_run = self.settings.connection, self.options.dry_run
        return clusters.connect(connection, dry_run=dry_run, hide=self.hide)

    @functools.cached_property
    def github(self) -> githubs.GitHub | None:
        """None without a token."""
        if not self.settings.token:
            return None
        from k8s_ee import github as githubs

        return githubs.GitHub(self.settings)

    @functools.cached_property
    def config(self) -> model.Config:
        return configs.read(self.options.config_path)

    @property
    def config_read(self) -> model.Config | None:
        """None where nobody has asked for it, or it could not be read."""
        return self.__dict__.get("config")

    @functools.cached_property
    def platform(self) -> model.Platform:
        """The `--platform-file`, else the ConfigMap of the cluster. Raises ConfigError, ClusterUnavailable, Refused."""
        if self.options.platform_file:
            path = self.options.platform_file
            return configs.load_platform(configs.read_text(path), path=str(path))
        found = self.cluster.get("ConfigMap", "k8s-ee-platform", "k8s-ee-system")
        if found is None:
            raise errors.InputError(
                "the cluster has no platform settings (ConfigMap k8s-ee-system/k8s-ee-platform)",
                hint="a platform engineer installs them once: kubectl apply -k k8s/platform; or give --platform-file",
            )
        return configs.load_platform(found.get("data", {}).get("platform.yaml", ""), path="ConfigMap k8s-ee-platform")

    def reach_out(self) -> None:
        """Opens connections to the cluster in the background. Never fails: a run of a fork has no access to it."""
        with contextlib.suppress(errors.K8sEEError):
            self.cluster.warm()

    @property
    def deadline(self) -> float:
        """On the monotonic clock, in seconds."""
        return self._started + self._seconds + self.waited

    def lasting(self, seconds: float) -> float:
        """The deadline of what needs `seconds`, where nobody has said how long it may take."""
        return self.deadline if self.options.timeout is not None else max(self.deadline, self._started + seconds)

    @property
    def _seconds(self) -> float:
        """Where nobody has said: as long as everything may take by what is configured, if that is read already."""
        if self.options.timeout is not None:
            return self.options.timeout
        known = self.config_read
        if known is None:
            return _SECONDS
        wanted = known.startup_seconds + _MARGIN_SECONDS + (_MIGRATION_SECONDS if known.app.migrate else 0)
        return max(_SECONDS, wanted + (_SEED_SECONDS if any(one.seed for one in known.databases) else 0))

    def until(self, deadline: float) -> Session:
        """The same session and journal for a part that has less time, up to `deadline` on the monotonic clock."""
        part = copy.copy(self)
        part.options = dataclasses.replace(self.options, timeout=min(deadline, self.deadline) - self._started)
        part.waited = 0.0
        return part

    def await_ready(
        self,
        namespace: str,
        workloads: Sequence[tuple[str, str]],
        *,
        seconds: float = math.inf,
        anew: bool = False,
    ) -> None:
        """Workloads by kind and name, for as long as the command may take, or `seconds` with a node for each pod.

        `anew`: what an earlier command left broken is tried once more at once. Raises NotReady with the cause.
        """
        from k8s_ee.cluster import waiting

        waiting.ready(
            self.cluster,
            namespace,
            workloads,
            deadline=self.deadline,
            within=seconds,
            anew=anew,
            progress=self.say,
            redact=self.redactor.redact,
        )

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times a step. A step that fails is in the journal too: its time says where the waiting was."""
        self.say(name)
        start = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(outcome.Phase(name=name, seconds=round(time.monotonic() - start, 3)))

    def hide(self, *values: str) -> None:
        """Before the first use: the runner masks these, and no report shows them."""
        self.redactor.add(*values)
        for value in values:
            self.runner.mask(value)

    def target(self) -> environments.Environment:
        """The environment of this pull request. Raises InputError for missing facts, ConfigError for a bad file."""
        if self.environment is None:
            configs.check_fit(self.config, self.platform)
            self.environment = identify(self.settings, wanted=self.config, platform=self.platform)
        return self.environment

    def observed_environments(self) -> list[environments.Observed]:
        """Of this pull request, whatever the project. Raises InputError when nobody said which pull request."""
        from k8s_ee import cluster as clusters

        number, repository_id = self.settings.number, self.settings.repository_id
        missing = ", ".join(name for name, value in (("--pr", number), ("--repository-id", repository_id)) if not value)
        if missing:
            raise errors.InputError(f"which pull request? {missing} not given", hint=_WHERE_FACTS_COME_FROM)
        found = clusters.find(self.cluster, repository_id, number)
        self.repository = self.repository or next((one.repository for one in found), "")
        return found

    def skipped(self, command: str, why: str) -> outcome.Outcome:
        """Nothing is wrong and nothing was done."""
        self.notes.append(why)
        return self.result(command, "skipped", outputs={**self.outputs, "deploy": "false", "reason": why})

    def result(
        self, command: str, state: outcome.State, *, outputs: Mapping[str, str] | None = None, **more: Any
    ) -> outcome.Outcome:
        """What the journal says so far, and `more` fields of the Outcome."""
        base = outcome.Outcome(
            command=command,
            state=state,
            environment=self.environment,
            outputs={"state": state, **(outputs or {})},
            phases=tuple(self.phases),
            notes=tuple(self.notes),
            dry_run=self.options.dry_run,
        )
        return dataclasses.replace(base, **more)


def identify(facts: settings.Settings, *, wanted: model.Config, platform: model.Platform) -> environments.Environment:
    """Raises InputError naming every fact that nobody gives, or for a branch that no app can be told."""
    missing = [
        option
        for option, value in (
            ("--pr", facts.number),
            ("--repository", facts.repository),
            ("--repository-id", facts.repository_id),
            ("--head-sha", facts.head_sha),
        )
        if not value
    ]
    if missing:
        raise errors.InputError(
            f"which pull request? {', '.join(missing)} not given",
            hint=_WHERE_FACTS_COME_FROM,
        )
    unwritable = environments.UNWRITABLE.search(facts.branch)
    if unwritable:
        raise errors.InputError(
            f"the branch's name has the invisible character U+{ord(unwritable[0]):04X} in it",
            hint="rename the branch: the app is told its name, and can't be told this one",
        )
    return environments.Environment(
        project=wanted.project,
        number=facts.number,
        repository=facts.repository,
        repository_id=facts.repository_id,
        domain=platform.domain,
        scheme=platform.scheme,
        branch=facts.branch,
        head_sha=facts.head_sha,
        run=facts.run,
        routed=wanted.ingress.enabled,
        backup=wanted.backup,
    )
