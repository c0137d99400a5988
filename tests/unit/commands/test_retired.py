"""A database that is not deployed any more: what is applied first leaves it alone, what comes last takes it away."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import environment, plan
from k8s_ee.commands import databases
from k8s_ee.config import model
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

FACTS: dict[str, Any] = {"repository": "acme/shop", "repository_id": 42, "number": 7, "head_sha": "a" * 40}


@pytest.mark.parametrize("fresh", [False, True])
def test_its_workload_goes_last_and_its_volume_stays(world: sweeps.World, fresh: bool) -> None:
    name = world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"))
    ctx.fresh = fresh
    labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "redis"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "redis", "labels": labels},
        "spec": {"template": {"metadata": {}, "spec": {"containers": []}}},
    }
    ctx.cluster.apply((workload,), manager=plan.manager("redis"), namespace=name)
    world.kube.put(f"/api/v1/namespaces/{name}/persistentvolumeclaims", {"metadata": {"name": "data-redis-0"}})
    databases.apply(ctx, {})
    assert ctx.cluster.get("StatefulSet", "redis", name)
    databases.retire(ctx)
    assert bool(ctx.cluster.get("StatefulSet", "redis", name)) is fresh
    assert ctx.cluster.get("PersistentVolumeClaim", "data-redis-0", name)
    assert ctx.notes == ([] if fresh else ["redis is not deployed any more: its volume and password are kept"])
