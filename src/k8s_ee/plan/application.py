"""The app: its image at one commit, with what it is told by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.config import model
from k8s_ee.plan import components, engines

APP = "app"
APP_MANAGER = components.manager(APP)


def app(
    target: environment.Environment,
    config: model.Config,
    platform: model.Platform,
    *,
    image: str,
    database_secrets: Mapping[str, str],
) -> components.Component:
    """`database_secrets`: name of the credentials Secret of each engine that is deployed."""
    values: dict[str, Any] = {
        **components.common_values(target, platform),
        "image": image,
        "commit": target.head_sha,
        "podAnnotations": _annotations(target, config),
        **_process(config.app),
        "resources": components.resources(config.resources),
        "env": dict(config.env) | facts(target, config),
        "envFrom": [_reference(one) for one in config.env_from],
        "writableDirs": [path for path in config.writable_dirs if path != "/tmp"],  # noqa: S108 - always there
        "databases": [
            _awaited(one, platform, secret=one.external or database_secrets[one.engine]) for one in config.databases
        ],
        "waiting": {"resources": components.resources(engines.WAITING)},
        "ingress": _ingress(target, config, platform),
    }
    return components.Component(name=APP, chart=APP, values=values, manager=APP_MANAGER)


def facts(target: environment.Environment, config: model.Config) -> dict[str, str]:
    """What every app is told about itself; `env` can't name these."""
    return {
        "PORT": str(config.app.port),
        "PR_NUMBER": str(target.number),
        "COMMIT_SHA": target.head_sha,
        "BRANCH_NAME": target.branch,
        "APP_VERSION": f"pr-{target.number}-{target.head_sha[:7]}",
        "PREVIEW_URL": target.url if config.ingress.enabled else "",
    }


def _process(wanted: model.App) -> dict[str, Any]:
    values: dict[str, Any] = {
        "replicas": wanted.replicas,
        "port": wanted.port,
        "healthPath": wanted.health_path,
        "startupSeconds": wanted.startup_seconds,
        "command": list(wanted.command),
        "args": list(wanted.args),
        "migrate": list(wanted.migrate),
    }
    return values if wanted.run_as_user is None else {**values, "runAsUser": wanted.run_as_user}


def _annotations(target: environment.Environment, config: model.Config) -> dict[str, str]:
    """Scraping is asked for as Prometheus' own pod discovery reads it: no operator, no CRD has to be there."""
    annotations = {environment.HEAD_SHA: target.head_sha}
    if config.metrics.enabled:
        annotations |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(config.app.port),
            "prometheus.io/path": config.app.metrics_path or "/metrics",
            "prometheus.io/interval": config.metrics.interval,
        }
    return annotations


def _reference(wanted: model.EnvFrom) -> dict[str, Any]:
    return {wanted.kind: {"name": wanted.name, "optional": wanted.optional}}


def _awaited(wanted: model.Database, platform: model.Platform, *, secret: str) -> dict[str, Any]:
    engine = engines.ENGINES[wanted.engine]
    return {
        "name": engine.name,
        "image": engines.image(engine, wanted, platform),
        "runAsUser": engine.user,
        "ready": engine.ready,
        "startupSeconds": wanted.startup_seconds,
        "auth": {"existingSecret": secret},
    }


def _ingress(target: environment.Environment, config: model.Config, platform: model.Platform) -> dict[str, Any]:
    return {
        "enabled": config.ingress.enabled,
        "className": platform.ingress.class_name,
        "host": target.host,
        "tls": target.scheme == "https",
        "annotations": dict(config.ingress.annotations),
    }
