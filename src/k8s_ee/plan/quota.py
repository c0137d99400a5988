"""What an environment may use: added up from what is enabled, with room for the pods a deploy adds for a while."""

from __future__ import annotations

import dataclasses
import fractions
from collections.abc import Iterable, Mapping

from k8s_ee import environment
from k8s_ee.config import model
from k8s_ee.plan import components, engines, quantities

MAX_PODS_PER_REPLICA = 2
SURGE = 1
MIGRATIONS = 2


@dataclasses.dataclass(frozen=True)
class Share:
    """`count` pods that may exist at the same time, of `resources` each."""

    name: str
    count: int
    resources: model.Resources


def shares(config: model.Config) -> tuple[Share, ...]:
    """The most pods that exist at any moment of a deploy.

    A pod that ends counts until it is gone, and a rollout does not wait for that: at worst all old replicas are still
    ending beside all new ones, and a surge pod of a rollout before that failed. A killed run may have left its
    migration running beside this run's. Containers that only wait need less than the one they wait for.
    """
    app = Share("app", MAX_PODS_PER_REPLICA * config.app.replicas + SURGE, config.resources)
    migrations = (Share("migrate", MIGRATIONS, config.resources),) if config.app.migrate else ()
    databases = (Share(one.engine, 1, engines.ENGINES[one.engine].resources) for one in config.databases)
    return (app, *migrations, *databases)


def hard(config: model.Config) -> dict[str, str]:
    """`spec.hard` of the ResourceQuota. What no environment needs is zero."""
    wanted = shares(config)
    storage = sum((quantities.parse(one.storage) for one in config.databases), start=fractions.Fraction())
    return {
        "pods": str(sum(share.count for share in wanted)),
        "requests.cpu": quantities.cpu(_sum((s.count, s.resources.requests.cpu) for s in wanted)),
        "requests.memory": quantities.memory(_sum((s.count, s.resources.requests.memory) for s in wanted)),
        "limits.cpu": quantities.cpu(_sum((s.count, s.resources.limits.cpu) for s in wanted)),
        "limits.memory": quantities.memory(_sum((s.count, s.resources.limits.memory) for s in wanted)),
        "persistentvolumeclaims": str(len(config.databases)),
        "requests.storage": quantities.memory(storage),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def resource_quota(target: environment.Environment, config: model.Config) -> components.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": components.metadata(target, "environment", component="fence"),
        "spec": {"hard": hard(config)},
    }


def limit_range(target: environment.Environment, config: model.Config, platform: model.Platform) -> components.Manifest:
    """Defaults for a container that says nothing (a debug container), and the most one may say."""
    asked = [share.resources.limits for share in shares(config)]
    default = model.Resources()
    limits: Mapping[str, object] = {
        "type": "Container",
        "default": dataclasses.asdict(default.limits),
        "defaultRequest": dataclasses.asdict(default.requests),
        "max": {
            "cpu": quantities.largest([platform.max_cpu, default.limits.cpu, *(one.cpu for one in asked)]),
            "memory": quantities.largest([platform.max_memory, default.limits.memory, *(one.memory for one in asked)]),
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": components.metadata(target, "environment", component="fence"),
        "spec": {"limits": [limits]},
    }


def _sum(counted: Iterable[tuple[int, str]]) -> fractions.Fraction:
    return sum((count * quantities.parse(text) for count, text in counted), start=fractions.Fraction())
