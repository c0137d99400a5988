"""Checked values → the model. Defaults are the model's own: only what was written is passed on."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from k8s_ee import environment, lifecycle
from k8s_ee.config import durations, model, quantities

Values = Mapping[str, Any]


def config(values: Values, *, path: str, marks: Mapping[str, tuple[int, int]]) -> model.Config:
    """Values that were wrong are missing here: the result is only good when there was no problem."""
    flat = _fields(values, only=("trigger", "env", "backup"))
    return model.Config(
        project=environment.ProjectId(values.get("projectId", "")),
        path=path,
        marks=dict(marks),
        app=model.App(**_fields(values.get("app", {}))),
        image=_image(values.get("image", {})),
        resources=_resources(values.get("resources", {})),
        env_from=tuple(_env_from(item) for item in values.get("envFrom", ()) if item),
        writable_dirs=tuple(folder for folder in values.get("writableDirs", ()) if folder != "/tmp"),  # noqa: S108
        databases=tuple(_database(*item) for item in values.get("databases", {}).items() if _enabled(item[1])),
        ingress=model.Ingress(**_fields(values.get("ingress", {}))),
        metrics=model.Metrics(**_fields(values.get("metrics", {}))),
        **flat,
    )


def platform(values: Values) -> model.Platform:
    """As `config`, for the platform's settings."""
    plain = ("scheme", "registries", "imagePullSecrets", "storageClass", "podSecurity")
    flat = _fields(values, only=(*plain, "metricsNamespace", "clusterCidrs", "priorityClass", "commentAuthors"))
    limits = {f"max_{name}": value for name, value in values.get("limits", {}).items()}
    backup = model.Backup(**_fields(_timed(values.get("backup", {}), "deadline")))
    allowed = {f"allowed_{name}": value for name, value in _fields(values.get("allowed", {})).items()}
    return model.Platform(
        domain=values.get("domain", ""),
        ingress=model.PlatformIngress(**_fields(values.get("ingress", {}))),
        lifecycle=dataclasses.replace(_lifecycle(values.get("lifecycle", {})), backup_deadline=backup.deadline),
        backup=backup,
        external_databases=model.ExternalDatabases(**_fields(values.get("externalDatabases", {}))),
        capacity=model.Capacity(**_fields(_timed(values.get("capacity", {}), "sleepIdleFor", "queueWait"))),
        traffic=model.Traffic(**_fields(values.get("traffic", {}))),
        engine_images={engine: image for engine, image in values.get("engineImages", {}).items() if image},
        **flat,
        **limits,
        **allowed,
    )


def _lifecycle(values: Values) -> model.LifecyclePolicy:
    plain = {name: value for name, value in values.items() if name != "orphanedFinalizers"}
    given = {name: durations.parse(value) if isinstance(value, str) else value for name, value in plain.items()}
    orphans = values.get("orphanedFinalizers", {}).items()
    return model.LifecyclePolicy(**_fields(given), orphaned_finalizers=tuple(_orphan(*one) for one in orphans))


def _timed(values: Values, *names: str) -> Values:
    return {name: durations.parse(value) if name in names else value for name, value in values.items()}


def _orphan(finalizer: str, served_by: str) -> lifecycle.OrphanedFinalizer:
    kind, _, name = served_by.partition("/")
    if kind == "deployment":
        return lifecycle.OrphanedFinalizer(finalizer, deployment=name)
    return lifecycle.OrphanedFinalizer(finalizer, api_service=name)


def _fields(values: Values, *, only: tuple[str, ...] | None = None) -> dict[str, Any]:
    return {
        _snake(name): tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if only is None or name in only
    }


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def _image(values: Values) -> model.Image:
    image = model.Image(**_fields(values))
    return dataclasses.replace(image, context=posixpath.normpath(image.context))


def _resources(values: Values) -> model.Resources:
    default = model.Resources()
    limits = dataclasses.replace(default.limits, **values.get("limits", {}))
    lower = model.Quantities(
        cpu=min(default.requests.cpu, limits.cpu, key=quantities.parse),
        memory=min(default.requests.memory, limits.memory, key=quantities.parse),
    )
    return model.Resources(requests=dataclasses.replace(lower, **values.get("requests", {})), limits=limits)


def _env_from(item: Values) -> model.EnvFrom:
    kind: Any = "secretRef" if "secretRef" in item else "configMapRef"
    return model.EnvFrom(kind=kind, name=item[kind].get("name", ""), optional=item[kind].get("optional", False))


def _enabled(value: bool | Values) -> bool:
    return value if isinstance(value, bool) else bool(value.get("enabled", True))


def _database(engine: str, value: bool | Values) -> model.Database:
    settings = {} if isinstance(value, bool) else {name: one for name, one in value.items() if name != "enabled"}
    external, seed = settings.pop("external", {}), settings.pop("seed", None)
    found = model.Seed(file=seed) if isinstance(seed, str) else model.Seed(**seed) if seed is not None else None
    return model.Database(engine=engine, external=external.get("secretName", ""), seed=found, **_fields(settings))
