"""Who ends a preserve and who renews it at the same moment: what is preserved holds its slot, whoever was first."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from k8s_ee import cluster, environment
from k8s_ee.cluster import preserving
from tests.wire import kube as wire

NS, HOME = "/api/v1/namespaces", "k8s-ee-system"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)  # by the clock of the API server in miniature
DAY = datetime.timedelta(days=1)
NAMESPACE = f"{NS}/shop-pr-7$"


@pytest.fixture
def observed(kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]) -> environment.Observed:
    """An environment that nobody preserved yet."""
    kube.put(NS, {"metadata": {"name": HOME}})
    kube.put(NS, manifest)
    return now(api)


def now(api: cluster.Cluster) -> environment.Observed:
    (found,) = cluster.environments(api)
    return found


def preserve(api: cluster.Cluster, observed: environment.Observed, *, days: int = 1) -> environment.Observed:
    return preserving.preserve(api, observed, NOW + days * DAY, limit=3, home=HOME)


def slots(kube: wire.Kube) -> list[str]:
    return [one["metadata"]["name"] for one in kube.listed(LEASES)]


def consistent(kube: wire.Kube, api: cluster.Cluster) -> bool:
    """Preserved if and only if the slot that it notes is held."""
    noted = now(api).annotations.get(environment.PRESERVE_SLOT)
    return slots(kube) == ([noted] if noted else [])


@pytest.mark.parametrize("end", [preserving.end, preserving.expire], ids=["ended", "expired"])
def test_one_that_is_renewed_before_its_slot_is_given_back_keeps_it(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed, end: Any
) -> None:
    preserved = preserve(api, observed)
    kube.meanwhile("DELETE", LEASES, lambda: preserve(api, now(api), days=2))
    end(api, preserved, home=HOME)
    assert now(api).preserved_until == NOW + 2 * DAY
    assert consistent(kube, api)


def test_one_that_is_preserved_for_the_first_time_keeps_its_slot_from_whoever_ends_nothing(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.meanwhile("PATCH", NAMESPACE, lambda: preserving.end(api, observed, home=HOME))
    preserve(api, observed)
    assert now(api).preserved_until == NOW + DAY
    assert consistent(kube, api)


@pytest.mark.parametrize("when", [("GET", LEASES), ("PATCH", NAMESPACE), ("PATCH", LEASES)], ids=str)
@pytest.mark.parametrize("after", [0, 1])
def test_one_that_is_ended_while_it_is_renewed_is_one_or_the_other(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed, when: tuple[str, str], after: int
) -> None:
    preserved = preserve(api, observed)

    def end_at_the_next() -> None:
        kube.meanwhile(*when, lambda: preserving.end(api, now(api), home=HOME))

    if after:
        kube.meanwhile(*when, end_at_the_next)
    else:
        end_at_the_next()
    preserve(api, preserved, days=2)
    preserving.tidy(api, [now(api)], home=HOME, now=NOW + DAY)
    assert consistent(kube, api)


def test_one_that_is_renewed_while_slots_are_tidied_up_keeps_its_own(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    lease = {
        "metadata": {"name": "preserve-0", "namespace": HOME},
        "spec": {"holderIdentity": f"{observed.uid} shop-pr-7"},
    }
    kube.put(LEASES, lease)  # of a preserve whose end was cut off
    kube.meanwhile("DELETE", LEASES, lambda: preserve(api, observed))
    later = datetime.datetime.now(datetime.UTC) + DAY
    preserving.tidy(api, [observed], home=HOME, now=later)
    assert now(api).preserved_until
    assert consistent(kube, api)
