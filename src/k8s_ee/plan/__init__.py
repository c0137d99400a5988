"""Pure: what an environment consists of, from its facts, its config and the platform's settings."""

from __future__ import annotations

from typing import Any

from k8s_ee import environment
from k8s_ee.config import model
from k8s_ee.plan import engines, logins, quota
from k8s_ee.plan.application import APP, APP_MANAGER, app
from k8s_ee.plan.components import FENCE, Component, Manifest, manager
from k8s_ee.plan.engines import ENGINES, Engine, database
from k8s_ee.plan.isolation import fence, namespace
from k8s_ee.plan.keeping import check as check_data
from k8s_ee.plan.keeping import is_retired
from k8s_ee.plan.quota import beside, holding, widened
from k8s_ee.plan.seeding import carrier

__all__ = [
    "APP",
    "APP_MANAGER",
    "ENGINES",
    "FENCE",
    "Component",
    "Engine",
    "Manifest",
    "app",
    "beside",
    "carrier",
    "check_data",
    "database",
    "fence",
    "holding",
    "is_retired",
    "logins",
    "manager",
    "namespace",
    "summary",
    "widened",
]


def summary(target: environment.Environment, config: model.Config, platform: model.Platform) -> dict[str, Any]:
    """What a deploy would make and may use."""
    fenced = fence(target, config, platform)
    policies = [one["metadata"]["name"] for one in fenced if one["kind"] == "NetworkPolicy"]
    return {
        "namespace": target.namespace,
        "url": target.url if config.ingress.enabled else "",
        "app": {"port": config.app.port, "replicas": config.app.replicas, "migrate": bool(config.app.migrate)},
        "databases": [
            {"engine": one.engine, "image": engines.image(ENGINES[one.engine], one, platform), "storage": one.storage}
            for one in config.deployed
        ]
        + [{"engine": one.engine, "external": one.external} for one in config.external],
        "policies": policies,
        "quota": quota.hard(config),
    }
