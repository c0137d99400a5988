from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = f"{NS}/shop-pr-7/persistentvolumeclaims"


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


def quiet(_line: str) -> None:
    pass


def volume(name: str, *, claim: str, namespace: str = "shop-pr-7") -> dict[str, Any]:
    spec = {"claimRef": {"namespace": namespace, "uid": claim}, "persistentVolumeReclaimPolicy": "Delete"}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Released"}}


@pytest.fixture
def observed(kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]) -> environment.Observed:
    kube.put(NS, manifest)
    (found,) = cluster.environments(api)
    return found


@pytest.fixture
def controller(kube: wire.Kube) -> Iterator[None]:
    """Removes the namespace as soon as it is terminating, and its volumes."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with kube.changed:
                found = kube.objects.get((NS, "shop-pr-7"))
                if found and "deletionTimestamp" in found["metadata"]:
                    kube.remove(NS, "shop-pr-7")
                    for one in kube.listed(VOLUMES):
                        kube.remove(VOLUMES, one["metadata"]["name"])
                kube.changed.wait(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("controller")
def test_it_is_marked_first_then_emptied_then_deleted_under_preconditions(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.put(VOLUMES, volume("pv-1", claim="c"))
    kube.put(CLAIMS, {"metadata": {"name": "data", "uid": "c"}})
    receipt = cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet)
    assert receipt == cluster.Receipt("shop-pr-7", observed.uid, deleted=True, volumes=("pv-1",))
    writes = [(seen.method, seen.path.rsplit("/", 1)[1]) for seen in kube.writes]
    assert writes[:2] == [("PATCH", "shop-pr-7"), ("DELETE", "ingresses")]
    assert sorted(writes[2:6]) == [("DELETE", kind) for kind in ("cronjobs", "deployments", "jobs", "statefulsets")]
    assert writes[6:] == [("DELETE", "pods"), ("DELETE", "shop-pr-7"), ("DELETE", "data")]
    namespace, claim = (seen.body["preconditions"] for seen in kube.writes[-2:])
    assert namespace["uid"] == observed.uid
    assert int(namespace["resourceVersion"]) > int(observed.resource_version)
    assert claim == {"uid": "c"}


def test_nothing_is_deleted_of_one_that_changed_since_it_was_judged(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    api.annotate("shop-pr-7", observed.uid, {"k8s-ee/preserve-until": "2030"})
    with pytest.raises(cluster.Changed):
        cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet)
    assert not kube.of("DELETE")


def test_one_that_was_claimed_back_between_mark_and_deletion_is_left(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    def claim_back(line: str) -> None:
        if line.startswith("deleting"):
            api.annotate("shop-pr-7", observed.uid, {environment.CLEANUP_REQUESTED_AT: None})

    kube.put(CLAIMS, {"metadata": {"name": "data"}})
    with pytest.raises(cluster.Changed):
        cluster.destroy.destroy(api, observed, deadline=soon(), progress=claim_back)
    assert "deletionTimestamp" not in kube.objects[(NS, "shop-pr-7")]["metadata"]
    assert (CLAIMS, "data") in kube.objects


def test_the_data_of_a_new_environment_of_that_name_is_not_touched(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed, manifest: dict[str, Any]
) -> None:
    def replace(line: str) -> None:
        if line.startswith("deleting"):
            kube.remove(NS, "shop-pr-7")
            kube.put(NS, manifest)

    kube.put(CLAIMS, {"metadata": {"name": "data"}})
    cluster.destroy.destroy(api, observed, deadline=soon(), progress=replace)
    assert (CLAIMS, "data") in kube.objects


@pytest.mark.usefixtures("controller")
def test_it_goes_without_the_right_to_delete_claims_only_later(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.put(CLAIMS, {"metadata": {"name": "data"}})
    kube.fail("DELETE", CLAIMS, 403)
    assert cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet).deleted


@pytest.mark.usefixtures("controller")
def test_a_status_update_in_between_does_not_stop_it(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    def touch(line: str) -> None:
        if line.startswith("deleting"):
            api.annotate("shop-pr-7", observed.uid, {"example.com/touched": "1"})

    assert cluster.destroy.destroy(api, observed, deadline=soon(), progress=touch).deleted


def test_what_is_gone_already_gets_its_receipt(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.remove(NS, "shop-pr-7")
    assert cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet).deleted
    assert not kube.of("DELETE")


def test_volumes_of_a_new_environment_of_that_name_are_not_left_overs(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed, manifest: dict[str, Any]
) -> None:
    kube.remove(NS, "shop-pr-7")
    kube.put(NS, manifest)
    claim = kube.put(CLAIMS, {"metadata": {"name": "data"}})
    kube.put(VOLUMES, volume("new", claim=claim["metadata"]["uid"]))
    assert cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet).left == ()


@pytest.mark.usefixtures("controller")
def test_volumes_nobody_may_look_at_are_called_unknown(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.fail("GET", VOLUMES, 403, times=99)
    receipt = cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet)
    assert receipt.deleted
    assert "not allowed to look" in receipt.left[0]


def test_a_dry_run_deletes_nothing(kube: wire.Kube, connect: conftest.Connect, observed: environment.Observed) -> None:
    receipt = cluster.destroy.destroy(connect(dry_run=True), observed, deadline=soon(), progress=quiet)
    assert not receipt.deleted
    assert kube.objects[(NS, "shop-pr-7")]["metadata"]["resourceVersion"] == observed.resource_version


def test_an_api_that_breaks_is_an_error_and_not_gone(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    kube.fail("PATCH", NS, 503, times=9)
    with pytest.raises(errors.ClusterUnavailable):
        cluster.destroy.destroy(api, observed, deadline=soon(), progress=quiet)


def test_a_page_that_is_missing_from_the_list_is_an_error(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", NS, 500, times=9)
    with pytest.raises(errors.ClusterUnavailable):
        cluster.environments(api)


def requests_of(kube: wire.Kube) -> list[tuple[str, str]]:
    return [(seen.method, seen.path) for seen in kube.seen]


def test_an_empty_one_costs_two_requests_when_it_was_surveyed(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    known = cluster.destroy.survey(api)
    before = len(kube.seen)
    cluster.destroy.begin(api, observed, quiet, known=known)
    assert requests_of(kube)[before:] == [("PATCH", f"{NS}/shop-pr-7"), ("DELETE", f"{NS}/shop-pr-7")]


def test_of_a_surveyed_one_only_what_is_there_is_removed(
    kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed
) -> None:
    deployments = "/apis/apps/v1/namespaces/shop-pr-7/deployments"
    kube.put(deployments, {"metadata": {"name": "app", "namespace": "shop-pr-7"}})
    kube.put(CLAIMS, {"metadata": {"name": "data", "uid": "c", "namespace": "shop-pr-7"}})
    kube.put(VOLUMES, volume("pv-1", claim="c"))
    known = cluster.destroy.Survey(
        kinds={"shop-pr-7": frozenset({"Deployment", "PersistentVolumeClaim"})},
        claims={"shop-pr-7": tuple(kube.listed(CLAIMS))},
        volumes={"shop-pr-7": ("pv-1",)},
    )
    begun = cluster.destroy.begin(api, observed, quiet, known=known)
    assert begun.volumes == ("pv-1",)
    removed = [seen.path.rsplit("/", 1)[1] for seen in kube.writes if seen.method == "DELETE"]
    assert removed == ["deployments", "pods", "shop-pr-7", "data"]
