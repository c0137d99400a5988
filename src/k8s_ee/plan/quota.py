"""What an environment may use: added up from what is enabled, with room for the pods a deploy adds for a while."""

from __future__ import annotations

import dataclasses
import decimal
from collections.abc import Iterable, Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.config import model, quantities
from k8s_ee.plan import components, engines

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
    migration running beside this run's.
    """
    pod = _with_waiting(config.resources) if config.databases else config.resources
    app = Share("app", MAX_PODS_PER_REPLICA * config.app.replicas + SURGE, pod)
    migrations = (Share("migrate", MIGRATIONS, pod),) if config.app.migrate else ()
    databases = (Share(one.engine, 1, engines.ENGINES[one.engine].resources) for one in config.deployed)
    images = sum(bool(one.seed and one.seed.image) for one in config.deployed)
    seeds = (Share("seed", images, engines.WAITING),) if images else ()
    return (app, *migrations, *databases, *seeds)


def _with_waiting(app: model.Resources) -> model.Resources:
    """A pod counts as its app or as the container that waits before it, whichever needs more: one at a time runs."""

    def larger(one: model.Quantities, other: model.Quantities) -> model.Quantities:
        return model.Quantities(cpu=_largest([one.cpu, other.cpu]), memory=_largest([one.memory, other.memory]))

    waiting = engines.WAITING
    return model.Resources(requests=larger(app.requests, waiting.requests), limits=larger(app.limits, waiting.limits))


def hard(config: model.Config) -> dict[str, str]:
    """`spec.hard` of the ResourceQuota. What no environment needs is zero."""
    wanted = shares(config)
    storage = sum((quantities.parse(one.storage) for one in config.deployed), start=decimal.Decimal())
    return {
        "pods": str(sum(share.count for share in wanted)),
        "requests.cpu": quantities.cpu(_sum((s.count, s.resources.requests.cpu) for s in wanted)),
        "requests.memory": quantities.memory(_sum((s.count, s.resources.requests.memory) for s in wanted)),
        "limits.cpu": quantities.cpu(_sum((s.count, s.resources.limits.cpu) for s in wanted)),
        "limits.memory": quantities.memory(_sum((s.count, s.resources.limits.memory) for s in wanted)),
        "persistentvolumeclaims": str(len(config.deployed)),
        "requests.storage": quantities.memory(storage),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def resource_quota(target: environment.Environment, config: model.Config) -> components.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": components.metadata(target, "environment", component=components.FENCE),
        "spec": {"hard": hard(config)},
    }


def widened(wanted: components.Manifest, present: Mapping[str, Any]) -> components.Manifest:
    """The quota while a rollout is under way: pods of an earlier config, which may have asked for more, still run."""
    before: Mapping[str, str] = (present.get("spec") or {}).get("hard") or {}
    larger = {key: _largest([value, before.get(key, "0")]) for key, value in wanted["spec"]["hard"].items()}
    return {**wanted, "spec": {"hard": larger}}


def holding(
    wanted: components.Manifest, config: model.Config, claims: Iterable[Mapping[str, Any]]
) -> components.Manifest:
    """The quota with the volumes of databases that are not deployed any more: they stay, and count."""
    deployed = {engines.ENGINES[one.engine].claim for one in config.deployed}
    kept = [
        one["spec"]["resources"]["requests"]["storage"] for one in claims if one["metadata"]["name"] not in deployed
    ]
    hard = wanted["spec"]["hard"]
    larger = {
        "persistentvolumeclaims": str(int(hard["persistentvolumeclaims"]) + len(kept)),
        "requests.storage": quantities.memory(_sum((1, size) for size in (hard["requests.storage"], *kept))),
    }
    return {**wanted, "spec": {"hard": {**hard, **larger}}}


def beside(wanted: components.Manifest, config: model.Config, running: Iterable[str]) -> components.Manifest:
    """The quota with the databases among `running` that are not deployed any more: what still serves may use them."""
    deployed = {one.engine for one in config.deployed}
    left = [engines.ENGINES[name].resources for name in running if name in engines.ENGINES and name not in deployed]
    hard = {**wanted["spec"]["hard"], "pods": str(int(wanted["spec"]["hard"]["pods"]) + len(left))}
    for key, written in (("cpu", quantities.cpu), ("memory", quantities.memory)):
        for side in ("requests", "limits"):
            sizes = [hard[f"{side}.{key}"], *(getattr(getattr(one, side), key) for one in left)]
            hard[f"{side}.{key}"] = written(_sum((1, size) for size in sizes))
    return {**wanted, "spec": {"hard": hard}}


def limit_range(target: environment.Environment, config: model.Config, platform: model.Platform) -> components.Manifest:
    """Defaults for a container that says nothing (a debug container), and the most one may say."""
    asked = [share.resources.limits for share in shares(config)]
    default = model.Resources()
    limits: Mapping[str, object] = {
        "type": "Container",
        "default": dataclasses.asdict(default.limits),
        "defaultRequest": dataclasses.asdict(default.requests),
        "max": {
            "cpu": _largest([platform.max_cpu, default.limits.cpu, *(one.cpu for one in asked)]),
            "memory": _largest([platform.max_memory, default.limits.memory, *(one.memory for one in asked)]),
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": components.metadata(target, "environment", component=components.FENCE),
        "spec": {"limits": [limits]},
    }


def _sum(counted: Iterable[tuple[int, str]]) -> decimal.Decimal:
    return sum((count * quantities.parse(text) for count, text in counted), start=decimal.Decimal())


def _largest(texts: Iterable[str]) -> str:
    return max(texts, key=quantities.parse)
