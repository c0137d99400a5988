"""PURE. A database that has data already: what is asked of it must neither lose the data nor stop what serves it."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping
from typing import Any

from k8s_ee import environment, errors
from k8s_ee.config import model, problems, quantities, rules
from k8s_ee.plan import engines

Manifest = Mapping[str, Any]

VERSION = "k8s-ee/database-version"
"""On the volume, from its database's first answer on: of which version the data is."""
RETIRED = "k8s-ee/database-retired"
"""On the volume of a database that is not in k8s-ee.yaml any more: no workload is missing."""
_WANTED = "WANTED_VERSION"
"""The variable by which the charts tell a database which version it must be."""


def check(
    config: model.Config,
    wanted: model.Database,
    target: environment.Environment,
    platform: model.Platform,
    *,
    claim: Manifest | None,
    running: Manifest | None,
) -> None:
    """`claim` and `running` are the PersistentVolumeClaim and the StatefulSet as the cluster has them.

    Raises ConfigError for a smaller volume and for another major version.
    """
    found = problems.Problems(config.path)
    rules.add(_sizes(wanted, target, claim=claim), config, found)
    rules.add(
        _versions(wanted, target, platform, before=_data_version(engines.ENGINES[wanted.engine], claim, running)),
        config,
        found,
    )
    found.raise_if_any()


def grows(wanted: model.Database, claim: Manifest | None) -> bool:
    """Whether the volume was asked for smaller than it is to be, or has not grown to it yet."""
    if claim is None:
        return False
    size = quantities.parse(wanted.storage)
    return _asked(claim) < size or decimal.Decimal(0) < capacity(claim) < size


def capacity(claim: Manifest) -> decimal.Decimal:
    """Bytes the volume really has; 0 before there is one."""
    return quantities.parse(str(((claim.get("status") or {}).get("capacity") or {}).get("storage", "0")))


def not_growing(
    config: model.Config, wanted: model.Database, target: environment.Environment, *, claim: Manifest
) -> errors.ConfigError:
    """For a larger volume where the StorageClass has no larger ones to give."""
    key, size = f"databases.{wanted.engine}.storage", _text(claim)
    message = f"`{key}` is {wanted.storage}, but the volume has {size}, and its StorageClass can't make volumes larger"
    found = problems.Problems(config.path)
    rules.add([rules.Finding(key, message, f"write {size}, {_new(wanted, target)}")], config, found)
    return found.error()


def asked_version(wanted: model.Database, platform: model.Platform) -> str:
    """Empty where only the platform's own image knows."""
    engine = engines.ENGINES[wanted.engine]
    is_default = engines.image(engine, wanted, platform) == engine.default_image
    return wanted.version or (engine.default_version if is_default else "")


def is_exact(version: str, engine: engines.Engine) -> bool:
    """Whether it says of which series the data is: 11 does not where 11.4 can't read what 11.8 wrote."""
    return version.count(".") >= engine.series - 1


def known_version(claim: Manifest | None) -> str:
    """Of the data, as was noted on its volume; else empty."""
    return str((claim["metadata"].get("annotations") or {}).get(VERSION, "")) if claim else ""


def is_retired(claim: Manifest) -> bool:
    return RETIRED in (claim["metadata"].get("annotations") or {})


def retired(claim: Manifest, running: Manifest | None, engine: engines.Engine) -> dict[str, str]:
    """Annotations for its volume before its workload goes, and with that whoever knows the version."""
    version = _data_version(engine, claim, running)
    return {RETIRED: "true"} | ({VERSION: version} if version else {})


def _sizes(
    wanted: model.Database, target: environment.Environment, *, claim: Manifest | None
) -> Iterator[rules.Finding]:
    key = f"databases.{wanted.engine}"
    if claim and quantities.parse(wanted.storage) < _asked(claim):
        message = f"`{key}.storage` is {wanted.storage}, but the volume has {_text(claim)}, and volumes don't shrink"
        yield rules.Finding(f"{key}.storage", message, f"write {_text(claim)}, {_new(wanted, target)}")


def _versions(
    wanted: model.Database, target: environment.Environment, platform: model.Platform, *, before: str
) -> Iterator[rules.Finding]:
    engine, key = engines.ENGINES[wanted.engine], f"databases.{wanted.engine}.version"
    asked = asked_version(wanted, platform)
    if before and asked and not _same_series(asked, before, engine):
        series = ".".join(before.split(".")[: engine.series])
        given = f"is {asked}" if wanted.version else f"is not given, which means {asked}"
        message = f"`{key}` {given}, but the data is of version {before}, which others can't read"
        yield rules.Finding(key, message, f"write {series}, {_new(wanted, target)}")


def _data_version(engine: engines.Engine, claim: Manifest | None, running: Manifest | None) -> str:
    """Empty when nobody can say; then the database itself refuses what it can't read."""
    return known_version(claim) or (_version(running, engine) if running and _answers(running) else "")


def _answers(running: Manifest) -> bool:
    """Only what answers says of which version the data is: others never began."""
    status = running.get("status") or {}
    is_current = status.get("currentRevision") == status.get("updateRevision")
    return bool(status.get("readyReplicas")) and is_current


def _new(wanted: model.Database, target: environment.Environment) -> str:
    """Both ways out, for who needs what is in there and for who does not."""
    return (
        f"or begin with an empty one: k8s-ee reset-db {wanted.engine} (with k8s-ee backup before and "
        "k8s-ee restore --replace after it, the data stays); or destroy the environment "
        f"(k8s-ee cleanup --pr {target.number}) and deploy again"
    )


def _text(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _asked(claim: Manifest) -> decimal.Decimal:
    return quantities.parse(_text(claim))


def _version(running: Manifest, engine: engines.Engine) -> str:
    """What was asked for the last time; empty where only the platform's own image knows."""
    for container in running["spec"]["template"]["spec"]["containers"]:
        asked = {one["name"]: one.get("value", "") for one in container.get("env") or []}.get(_WANTED)
        if asked or container["image"] == engine.default_image:
            return str(asked or engine.default_version)
    return ""


def _same_series(one: str, other: str, engine: engines.Engine) -> bool:
    """As far as both say: `11` may be 11.8."""
    pairs = zip(one.split(".")[: engine.series], other.split(".")[: engine.series], strict=False)
    return all(left == right for left, right in pairs)
