"""What `k8s-ee.yaml` and the platform settings say, after defaults: plain values, nothing left to parse."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal

from k8s_ee import environment, lifecycle

LifecyclePolicy = lifecycle.Policy


@dataclasses.dataclass(frozen=True)
class App:
    """`migrate` runs to completion before the rollout; empty `command`/`args` leave the image's own.

    `startup_seconds` is how long the app may take until its health path answers for the first time.
    """

    port: int = 3000
    health_path: str = "/health"
    metrics_path: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    replicas: int = 1
    migrate: tuple[str, ...] = ()
    run_as_user: int | None = None
    startup_seconds: int = 150


@dataclasses.dataclass(frozen=True)
class Image:
    """`dockerfile` is relative to `context`, which is relative to the repository's root.

    `repository` is where the built image is pushed; empty = the platform's first registry + the GitHub repository.
    """

    context: str = "."
    dockerfile: str = "Dockerfile"
    repository: str = ""
    target: str = ""
    args: Mapping[str, str] = dataclasses.field(default_factory=dict)
    platforms: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Quantities:
    """Kubernetes quantities as written, for example `100m` and `256Mi`."""

    cpu: str
    memory: str


@dataclasses.dataclass(frozen=True)
class Resources:
    """A request that is not given is the lower of this default and the limit."""

    requests: Quantities = Quantities(cpu="100m", memory="128Mi")
    limits: Quantities = Quantities(cpu="500m", memory="512Mi")


@dataclasses.dataclass(frozen=True)
class EnvFrom:
    kind: Literal["secretRef", "configMapRef"]
    name: str
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Seed:
    """Where a dump is: `file` in the repository, or at `url`, then with `sha256`, or in `image` at `path`."""

    file: str = ""
    url: str = ""
    sha256: str = ""
    image: str = ""
    path: str = ""


@dataclasses.dataclass(frozen=True)
class Database:
    """`engine` is a key of `plan.ENGINES`; `bootstrap` is SQL run once, on the empty database, as the app's user.

    With `external`, the name of a Secret with the engine's variables, there is nothing to deploy.
    """

    engine: str
    version: str = ""
    storage: str = "1Gi"
    bootstrap: str = ""
    seed: Seed | None = None
    startup_seconds: int = 150
    external: str = ""


@dataclasses.dataclass(frozen=True)
class Ingress:
    enabled: bool = True
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Metrics:
    """`interval` as Prometheus writes it, for example `30s`."""

    enabled: bool = False
    interval: str = "30s"


@dataclasses.dataclass(frozen=True)
class Config:
    project: environment.ProjectId
    path: str = "k8s-ee.yaml"
    trigger: Literal["automatic", "on-demand"] = "automatic"
    app: App = App()
    image: Image = Image()
    resources: Resources = Resources()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    env_from: tuple[EnvFrom, ...] = ()
    writable_dirs: tuple[str, ...] = ()
    databases: tuple[Database, ...] = ()
    backup: Literal["never", "onDestroy"] = "never"
    ingress: Ingress = Ingress()
    metrics: Metrics = Metrics()
    marks: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Line and column of each key by dotted path ("app.port", list items by number), for problems found later."""

    @property
    def rollout_seconds(self) -> int:
        """In which every pod of the app has started: they are replaced one after another."""
        return self.app.startup_seconds * self.app.replicas

    @property
    def startup_seconds(self) -> int:
        """In which everything has started, the slowest database before the app."""
        return max((one.startup_seconds for one in self.databases), default=0) + self.rollout_seconds

    @property
    def deployed(self) -> tuple[Database, ...]:
        """The databases that are the environment's own."""
        return tuple(one for one in self.databases if not one.external)

    @property
    def external(self) -> tuple[Database, ...]:
        return tuple(one for one in self.databases if one.external)

    @property
    def lines(self) -> dict[str, int]:
        return {key: line for key, (line, _) in self.marks.items()}


@dataclasses.dataclass(frozen=True)
class PlatformIngress:
    """`address` ("host" or "host:port") is where a runner connects when the domain does not resolve for it."""

    class_name: str = "nginx"
    namespace: str = "ingress-nginx"
    pod_labels: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"app.kubernetes.io/name": "ingress-nginx"}
    )
    allowed_annotations: tuple[str, ...] = ()
    address: str = ""


@dataclasses.dataclass(frozen=True)
class ExternalDatabases:
    """Where, beside the internet, an environment with an external database may reach it."""

    cidrs: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Capacity:
    """How many environments may be awake at a time; 0 = as many as there are.

    `allocatable`: besides, what they request must fit into what the nodes have.
    """

    mode: Literal["slots", "allocatable"] = "slots"
    environments: int = 0
    environments_per_repository: int = 0
    sleep_least_recently_used: bool = True
    sleep_idle_for: datetime.timedelta = datetime.timedelta(hours=1)
    queue_wait: datetime.timedelta = datetime.timedelta(minutes=10)

    @property
    def is_limited(self) -> bool:
        return bool(self.environments or self.environments_per_repository or self.mode == "allocatable")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Who counts requests; empty `prometheus` = nobody. `query` gives the time of the last one, in Unix seconds."""

    prometheus: str = ""
    query: str = (
        "max by (namespace, exported_namespace) (max_over_time(timestamp("
        "sum by (namespace, exported_namespace, controller_pod) (nginx_ingress_controller_requests) unless "
        "sum by (namespace, exported_namespace, controller_pod) (nginx_ingress_controller_requests) == "
        "sum by (namespace, exported_namespace, controller_pod) "
        "(last_over_time(nginx_ingress_controller_requests[1h] offset 5m)))[8d:5m])) "
        "or max(nginx_ingress_controller_build_info * 0)"
    )
    """Every count that is not what it was five minutes before. A controller that starts counts from 0, in a series
    that begins with the first request; one of several that ends takes its count with it, which is no traffic; a count
    that was not there for less than an hour, as nobody scraped, is compared with what it was before. Added up first:
    compared one by one, all series would be in Prometheus' memory at once."""


@dataclasses.dataclass(frozen=True)
class Backup:
    """`to` is a folder or `s3://BUCKET/PREFIX/`; empty = nowhere."""

    to: str = ""
    deadline: datetime.timedelta = LifecyclePolicy().backup_deadline


@dataclasses.dataclass(frozen=True)
class Platform:
    """Cluster-wide settings. Empty `allowed_owner_ids` and `allowed_repository_ids` = nobody may deploy.

    `registries` are prefixes images may come from ("ghcr.io/acme"); `image_pull_secrets` are Secrets of
    `pull_secrets_namespace` that are copied into each environment. `cluster_cidrs` are ranges environments must not
    reach beside the private ones.
    """

    domain: str
    scheme: Literal["https", "http"] = "https"
    namespace: str = "k8s-ee-system"
    pull_secrets_namespace: str = "k8s-ee-pull-secrets"
    ingress: PlatformIngress = PlatformIngress()
    registries: tuple[str, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    storage_class: str = ""
    engine_images: Mapping[str, str] = dataclasses.field(default_factory=dict)
    max_cpu: str = "2"
    max_memory: str = "4Gi"
    max_storage: str = "10Gi"
    allowed_owner_ids: tuple[int, ...] = ()
    allowed_repository_ids: tuple[int, ...] = ()
    pod_security: Literal["restricted", "baseline"] = "restricted"
    metrics_namespace: str = "monitoring"
    cluster_cidrs: tuple[str, ...] = ()
    external_databases: ExternalDatabases = ExternalDatabases()
    priority_class: str = "k8s-ee-preview"
    lifecycle: LifecyclePolicy = dataclasses.field(default_factory=LifecyclePolicy)
    backup: Backup = Backup()
    capacity: Capacity = Capacity()
    traffic: Traffic = Traffic()
    comment_authors: tuple[str, ...] = ("github-actions[bot]",)
