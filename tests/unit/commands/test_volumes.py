"""Volumes that are to grow: what is said of one that has not, and a quota that follows with a delay."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import environment, errors
from k8s_ee.commands import session, volumes
from k8s_ee.config import model
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

FACTS: dict[str, Any] = {"number": 7, "repository": "acme/shop", "repository_id": 42, "head_sha": "a" * 40}
WANTED = model.Database(engine="postgresql", storage="2Gi")
CLAIM = {
    "metadata": {"name": "data-postgresql-0"},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    "status": {"capacity": {"storage": "1Gi"}},
}
EXCEEDED = "exceeded quota: environment, requested: requests.storage=1Gi, used: requests.storage=1Gi, limited: 1Gi"


def growing(world: sweeps.World, *, seen: str) -> session.Session:
    """Where the quota was raised to 2Gi, and its controller has `seen` this much of it."""
    name = world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"))
    world.kube.put(f"{sweeps.NS}/{name}/persistentvolumeclaims", CLAIM)
    world.kube.put(f"{sweeps.NS}/{name}/resourcequotas", quota(seen))
    return ctx


def quota(seen: str) -> dict[str, Any]:
    spec, status = ({"hard": {"requests.storage": size}} for size in ("2Gi", seen))
    return {"metadata": {"name": "environment"}, "spec": spec, "status": status}


def test_a_quota_whose_controller_is_behind_is_asked_again(world: sweeps.World) -> None:
    ctx = growing(world, seen="1Gi")
    collection = f"{sweeps.NS}/{ctx.target().namespace}/resourcequotas"
    world.kube.fail("PATCH", "persistentvolumeclaims", 403, times=2, message=EXCEEDED)
    for follow in (lambda: None, lambda: world.kube.put(collection, quota("2Gi"))):
        world.kube.meanwhile("PATCH", "persistentvolumeclaims", follow)
    assert volumes.grow(ctx, WANTED, CLAIM)
    claim = ctx.cluster.get("PersistentVolumeClaim", "data-postgresql-0", ctx.target().namespace)
    assert claim is not None
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert len(world.kube.of("PATCH", "persistentvolumeclaims")) == 3


def test_a_quota_that_is_too_small_is_told_after_it_was_asked_once_more(world: sweeps.World) -> None:
    ctx = growing(world, seen="2Gi")
    world.kube.fail("PATCH", "persistentvolumeclaims", 403, times=99, message=EXCEEDED)
    with pytest.raises(errors.Refused, match="exceeds the environment's quota"):
        volumes.grow(ctx, WANTED, CLAIM)
    assert len(world.kube.of("PATCH", "persistentvolumeclaims")) == 2


def test_a_controller_that_never_follows_is_not_waited_for_without_end(
    world: sweeps.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "_FOLLOWING_SECONDS", 1.2)
    ctx = growing(world, seen="1Gi")
    world.kube.fail("PATCH", "persistentvolumeclaims", 403, times=99, message=EXCEEDED)
    with pytest.raises(errors.Refused, match="exceeds the environment's quota"):
        volumes.grow(ctx, WANTED, CLAIM)
    assert 2 <= len(world.kube.of("PATCH", "persistentvolumeclaims")) <= 4


def test_a_refusal_for_another_reason_is_told_at_once(world: sweeps.World) -> None:
    ctx = growing(world, seen="1Gi")
    world.kube.fail("PATCH", "persistentvolumeclaims", 403, times=99, message="only dynamically provisioned")
    with pytest.raises(errors.Refused):
        volumes.grow(ctx, WANTED, CLAIM)
    assert len(world.kube.of("PATCH", "persistentvolumeclaims")) == 1


def test_when_no_time_is_left_there_is_one_look(world: sweeps.World) -> None:
    name = world.put(7)
    ctx = world.session(after=sweeps.HOUR, timeout=0, **FACTS)
    ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"))
    with pytest.raises(errors.NotReady, match="has not grown to 2Gi: nobody has said why"):
        volumes.wait(ctx, WANTED)
    world.kube.put(f"{sweeps.NS}/{name}/persistentvolumeclaims", {**CLAIM, "status": {"capacity": {"storage": "2Gi"}}})
    volumes.wait(ctx, WANTED)
