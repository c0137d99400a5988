"""A database is taken out only when nothing of the app is left, in order, and what stays of it is named."""

from __future__ import annotations

import time
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from k8s_ee.cluster import resetting
from tests.wire import kube as wire

HOME = "namespaces/shop-pr-7"
PODS, CLAIMS = f"/api/v1/{HOME}/pods", f"/api/v1/{HOME}/persistentvolumeclaims"
APPS, STORES = f"/apis/apps/v1/{HOME}/deployments", f"/apis/apps/v1/{HOME}/statefulsets"
JOBS, VOLUMES = f"/apis/batch/v1/{HOME}/jobs", "/api/v1/persistentvolumes"
MINE = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "app"}


@pytest.fixture
def there(kube: wire.Kube) -> wire.Kube:
    kube.put("/api/v1/namespaces", {"metadata": {"name": "shop-pr-7"}})
    kube.put(APPS, {"metadata": {"name": "app", "labels": MINE}, "spec": {"replicas": 2}})
    kube.put(JOBS, {"metadata": {"name": "migrate-1", "labels": MINE}})
    kube.put(PODS, {"metadata": {"name": "app-1", "labels": MINE}})
    for engine in ("redis", "mariadb"):
        kube.put(STORES, {"metadata": {"name": engine}, "spec": {"replicas": 1}})
        kube.put(PODS, {"metadata": {"name": f"{engine}-0"}})
        kube.put(CLAIMS, {"metadata": {"name": f"data-{engine}-0"}, "spec": {"volumeName": f"pv-{engine}"}})
        policy = {"persistentVolumeReclaimPolicy": "Delete"}
        kube.put(VOLUMES, {"metadata": {"name": f"pv-{engine}"}, "spec": policy, "status": {"phase": "Bound"}})
    return kube


def stop(api: cluster.Cluster, *, seconds: float = 10) -> None:
    resetting.stop_app(api, "shop-pr-7", "app", deadline=time.monotonic() + seconds)


def remove(api: cluster.Cluster, *, seconds: float = 10) -> tuple[str, ...]:
    return resetting.remove(
        api, "shop-pr-7", "redis", pod="redis-0", claim="data-redis-0", deadline=time.monotonic() + seconds
    )


def test_the_app_is_stopped_and_its_jobs_run_again_only_after_they_are_gone(
    there: wire.Kube, api: cluster.Cluster
) -> None:
    there.meanwhile("PATCH", "/scale", lambda: there.remove(PODS, "app-1"))
    stop(api)
    assert there.objects[APPS, "app"]["spec"]["replicas"] == 0
    assert (JOBS, "migrate-1") not in there.objects
    stop(api)
    there.remove(APPS, "app")
    stop(api)


def test_an_app_that_does_not_stop_is_named(there: wire.Kube, api: cluster.Cluster) -> None:
    with pytest.raises(errors.NotReady, match="the app does not stop: app-1"):
        stop(api, seconds=0.3)


def test_each_part_goes_after_the_one_that_uses_it_and_no_other_database_is_touched(
    there: wire.Kube, api: cluster.Cluster
) -> None:
    there.meanwhile("DELETE", CLAIMS, lambda: there.remove(VOLUMES, "pv-redis"))
    before: dict[str, Any] = {name: dict(found) for (_, name), found in there.objects.items() if "mariadb" in name}
    assert remove(api) == ()
    gone = there.of("DELETE")
    assert [one.path for one in gone] == [f"{STORES}/redis", f"{PODS}/redis-0", f"{CLAIMS}/data-redis-0"]
    assert all(one.body["preconditions"]["uid"] for one in gone)
    assert {name: found for (_, name), found in there.objects.items() if "mariadb" in name} == before
    assert remove(api) == (), "cut off, it begins again"


def test_a_volume_that_its_platform_keeps_is_named_and_not_waited_for(there: wire.Kube, api: cluster.Cluster) -> None:
    there.objects[VOLUMES, "pv-redis"]["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    assert remove(api) == ("PersistentVolume pv-redis (Bound, reclaim policy Retain)",)


def test_who_may_not_look_at_volumes_says_so(there: wire.Kube, api: cluster.Cluster) -> None:
    there.fail("GET", VOLUMES, 403, times=9)
    assert remove(api) == ("PersistentVolume pv-redis: not allowed to look whether it is gone",)
