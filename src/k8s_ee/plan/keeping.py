"""PURE. A database that has data already: what is asked of it must neither lose the data nor stop what serves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.config import model, problems, quantities, rules
from k8s_ee.plan import engines

Manifest = Mapping[str, Any]

_VERSION = "WANTED_VERSION"
"""The variable by which the charts tell a database which version it must be."""


def check(
    config: model.Config,
    wanted: model.Database,
    target: environment.Environment,
    *,
    claim: Manifest | None,
    running: Manifest | None,
) -> str:
    """`claim` and `running` are the PersistentVolumeClaim and the StatefulSet as the cluster has them.

    What to note, or empty. Raises ConfigError for a smaller volume and for another major version.
    """
    found = problems.Problems(config.path)
    rules.add(_findings(wanted, target, claim=claim, running=running), config, found)
    found.raise_if_any()
    size = _size(claim)
    if not size or quantities.parse(size) == quantities.parse(wanted.storage):
        return ""
    return f"the volume of {wanted.engine} keeps its {size}: storage is only read when the volume is made"


def _findings(
    wanted: model.Database, target: environment.Environment, *, claim: Manifest | None, running: Manifest | None
) -> Iterator[rules.Finding]:
    key, size = f"databases.{wanted.engine}", _size(claim)
    new = f"or destroy the environment with its data (k8s-ee cleanup --pr {target.number}) and deploy again"
    if size and quantities.parse(wanted.storage) < quantities.parse(size):
        message = f"`{key}.storage` is {wanted.storage}, but the volume has {size}, and volumes don't shrink"
        yield rules.Finding(f"{key}.storage", message, f"write {size}, {new}")
    before = _version(running, engines.ENGINES[wanted.engine])
    if before and wanted.version and _major(wanted.version) != _major(before):
        message = f"`{key}.version` is {wanted.version}, but the data is of version {before}, which others can't read"
        yield rules.Finding(f"{key}.version", message, f"write {_major(before)}, {new}")


def _size(claim: Manifest | None) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"]) if claim else ""


def _version(running: Manifest | None, engine: engines.Engine) -> str:
    """What was asked for the last time; empty where only the platform's own image knows."""
    containers = running["spec"]["template"]["spec"]["containers"] if running else []
    for container in containers:
        asked = {one["name"]: one.get("value", "") for one in container.get("env") or []}.get(_VERSION)
        if asked or container["image"] == engine.default_image:
            return str(asked or engine.default_version)
    return ""


def _major(version: str) -> str:
    return version.partition(".")[0]
