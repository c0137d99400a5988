"""While an environment sleeps its address is the platform's; awake, or deployed, it is its own again."""

from __future__ import annotations

import contextlib
import datetime
import time
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from k8s_ee.cluster import routing, sleeping
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
APPS = "/apis/apps/v1/namespaces/shop-pr-7/deployments"
ROUTES = "/apis/networking.k8s.io/v1/namespaces/shop-pr-7/ingresses"
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
OURS = {environment.MANAGED_BY: environment.MANAGER}
DIED = 99


def deployment(replicas: int) -> dict[str, Any]:
    status = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas)
    return {"metadata": {"name": "app", "labels": OURS}, "spec": {"replicas": replicas}, "status": status}


def ingress(name: str = "app", *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": name, "labels": OURS if labels is None else labels}
    return {"metadata": metadata, "spec": {"ingressClassName": "nginx", "rules": [{"host": "x"}]}}


@pytest.fixture
def there(kube: wire.Kube, manifest: dict[str, Any]) -> None:
    kube.put(NS, manifest)
    kube.put(APPS, deployment(2))
    kube.put(ROUTES, ingress())
    kube.put(ROUTES, ingress("by-hand", labels={}))


def now(api: cluster.Cluster) -> environment.Observed:
    (found,) = cluster.environments(api)
    return found


def classes(kube: wire.Kube) -> dict[str, str | None]:
    return {
        name: item["spec"].get("ingressClassName") for (where, name), item in kube.objects.items() if where == ROUTES
    }


def wake(kube: wire.Kube, api: cluster.Cluster) -> environment.Observed:
    def settle(_line: str) -> None:
        kube.put(APPS, deployment(kube.objects[(APPS, "app")]["spec"]["replicas"]))

    settle("")
    return sleeping.wake(api, now(api), NOW, deadline=time.monotonic() + 3, progress=settle, redact=str)


@pytest.mark.usefixtures("there")
def test_the_route_goes_before_the_app_and_comes_back_after_it(kube: wire.Kube, api: cluster.Cluster) -> None:
    before = kube.objects[(ROUTES, "app")]
    sleeping.sleep(api, now(api), NOW)
    assert classes(kube) == {"app": routing.PARKED, "by-hand": "nginx"}
    order = [seen.path for seen in kube.writes]
    assert order.index(f"{ROUTES}/app") < order.index(f"{APPS}/app/scale")
    del kube.seen[:]
    wake(kube, api)
    order = [seen.path for seen in kube.writes]
    assert order.index(f"{ROUTES}/app") > order.index(f"{APPS}/app/scale")
    after = kube.objects[(ROUTES, "app")]
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    assert environment.ROUTE_CLASS not in after["metadata"]["annotations"]


@pytest.mark.usefixtures("there")
def test_a_route_without_a_class_gets_none_back(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(ROUTES, {**ingress(), "spec": {"rules": []}})
    sleeping.sleep(api, now(api), NOW)
    assert classes(kube)["app"] == routing.PARKED
    wake(kube, api)
    assert classes(kube)["app"] is None


@pytest.mark.usefixtures("there")
def test_one_that_sleeps_with_a_route_of_its_own_loses_it_with_the_next_sleep(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    sleeping.sleep(api, now(api), NOW)
    kube.put(ROUTES, ingress())
    sleeping.sleep(api, now(api), NOW)
    assert classes(kube)["app"] == routing.PARKED


@pytest.mark.usefixtures("there")
def test_one_that_is_awake_without_its_route_gets_it_with_the_next_wake(kube: wire.Kube, api: cluster.Cluster) -> None:
    routing.park(api, "shop-pr-7", routing.leading(api, "shop-pr-7"), wanted=lambda: True)
    wake(kube, api)
    assert classes(kube)["app"] == "nginx"


@pytest.mark.usefixtures("there")
def test_a_deploy_that_came_between_keeps_its_route(kube: wire.Kube, api: cluster.Cluster) -> None:
    """It wrote that it is active, and put its Ingress there, after the sleep was decided."""

    def deployed() -> None:
        namespace = kube.objects[(NS, "shop-pr-7")]
        namespace["metadata"]["annotations"][environment.ACTIVE_AT] = "2026-11-01T12:00:01+00:00"
        kube.put(NS, namespace)
        kube.put(ROUTES, ingress())

    observed = now(api)
    kube.meanwhile("PATCH", f"{ROUTES}/app", deployed)
    with pytest.raises(sleeping.Woken):
        sleeping.sleep(api, observed, NOW)
    assert classes(kube)["app"] == "nginx"
    assert kube.objects[(APPS, "app")]["spec"]["replicas"] == 2


@pytest.mark.usefixtures("there")
def test_a_sleep_that_gives_way_at_the_very_end_gives_the_route_back(kube: wire.Kube, api: cluster.Cluster) -> None:
    def woken() -> None:
        namespace = kube.objects[(NS, "shop-pr-7")]
        namespace["metadata"]["annotations"][environment.ACTIVE_AT] = "2026-11-01T12:00:01+00:00"
        kube.put(NS, namespace)

    observed = now(api)
    kube.meanwhile("PATCH", f"{APPS}/app/scale", woken)
    with pytest.raises(sleeping.Woken):
        sleeping.sleep(api, observed, NOW)
    assert classes(kube)["app"] == "nginx"


@pytest.mark.usefixtures("there")
def test_what_its_controller_writes_meanwhile_does_not_keep_a_route_from_being_parked(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    observed = now(api)
    for _ in range(3):
        kube.meanwhile("PATCH", f"{ROUTES}/app", lambda: kube.put(ROUTES, kube.objects[(ROUTES, "app")]))
    sleeping.sleep(api, observed, NOW)
    assert classes(kube)["app"] == routing.PARKED


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("cut", range(5))
@pytest.mark.parametrize("last", ["sleep", "wake"])
def test_wherever_somebody_was_cut_off_the_next_leaves_the_route_where_it_belongs(
    kube: wire.Kube, api: cluster.Cluster, cut: int, last: str
) -> None:
    if last == "sleep":
        sleeping.sleep(api, now(api), NOW)
    kube.fail("PATCH", ".", 403, times=DIED, after=cut)
    with contextlib.suppress(errors.Refused):
        wake(kube, api) if last == "sleep" else sleeping.sleep(api, now(api), NOW)
    kube.faults.clear()
    wake(kube, api) if last == "wake" else sleeping.sleep(api, now(api), NOW)
    assert classes(kube)["app"] == ("nginx" if last == "wake" else routing.PARKED)


@pytest.mark.usefixtures("there")
def test_an_environment_without_a_route_sleeps_and_wakes_as_well(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.remove(ROUTES, "app")
    sleeping.sleep(api, now(api), NOW)
    assert not sleeping.is_stopped(wake(kube, api))
