from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NAMESPACE = "shop-pr-7"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
LABELS = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "app"}


@pytest.fixture(autouse=True)
def namespace(kube: wire.Kube) -> None:
    kube.put("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})


def thing(kind: str, name: str, api_version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": LABELS}}


def test_objects_are_applied_strictly_with_their_manager(kube: wire.Kube, api: cluster.Cluster) -> None:
    api.apply([thing("ConfigMap", "c")], manager="k8s-ee-app", namespace=NAMESPACE)
    sent = kube.of("PATCH")[0]
    assert sent.query == {"fieldManager": "k8s-ee-app", "force": "true", "fieldValidation": "Strict"}
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml"


def test_workloads_come_after_what_they_refer_to_and_answers_keep_their_order(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    manifests = [thing("Deployment", "app", "apps/v1"), thing("ConfigMap", "c"), thing("ServiceAccount", "s")]
    answers = api.apply(manifests, manager="m", namespace=NAMESPACE)
    assert kube.of("PATCH")[-1].path.endswith("/deployments/app")
    assert [answer["metadata"]["name"] for answer in answers] == ["app", "c", "s"]


def test_a_conflict_with_another_writer_is_tried_again(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("PATCH", "configmaps/c", 409, times=2, message="please apply your changes to the latest version")
    api.apply([thing("ConfigMap", "c")], manager="m", namespace=NAMESPACE)
    assert len(kube.of("PATCH")) == 3


@pytest.mark.parametrize(("kind", "api_version", "plural", "propagation"), [
    ("Deployment", "apps/v1", "deployments", "Background"),
    ("Job", "batch/v1", "jobs", "Foreground"),
    ("StatefulSet", "apps/v1", "statefulsets", "Orphan"),
])  # fmt: skip
def test_what_can_not_be_changed_is_made_again(
    kube: wire.Kube, api: cluster.Cluster, kind: str, api_version: str, plural: str, propagation: str
) -> None:
    collection = f"/apis/{api_version}/namespaces/{NAMESPACE}/{plural}"
    old = kube.put(collection, thing(kind, "x", api_version))
    kube.fail("PATCH", f"{plural}/x", 422, message="spec.selector: Invalid value: field is immutable")
    (new,) = api.apply([thing(kind, "x", api_version)], manager="m", namespace=NAMESPACE)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    (deleted,) = kube.of("DELETE")
    assert deleted.body["propagationPolicy"] == propagation
    assert deleted.body["preconditions"] == {"uid": old["metadata"]["uid"]}


def test_a_claim_is_never_made_again(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(f"{CORE}/persistentvolumeclaims", thing("PersistentVolumeClaim", "data"))
    kube.fail("PATCH", "persistentvolumeclaims/data", 422, message="spec: Forbidden: field is immutable after creation")
    with pytest.raises(errors.InputError, match="PersistentVolumeClaim data"):
        api.apply([thing("PersistentVolumeClaim", "data")], manager="m", namespace=NAMESPACE)
    assert not kube.of("DELETE")


def test_a_dry_run_deletes_nothing_where_it_would_recreate(kube: wire.Kube, connect: conftest.Connect) -> None:
    kube.put(f"{APPS}/deployments", thing("Deployment", "app", "apps/v1"))
    kube.fail("PATCH", "deployments/app", 422, message="field is immutable")
    connect(dry_run=True).apply([thing("Deployment", "app", "apps/v1")], manager="m", namespace=NAMESPACE)
    assert not kube.of("DELETE")


def test_one_refused_object_does_not_hide_behind_the_others(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("PATCH", "configmaps/c3", 403, message="cannot patch resource")
    with pytest.raises(errors.Refused, match="ConfigMap c3"):
        api.apply([thing("ConfigMap", f"c{i}") for i in range(6)], manager="m", namespace=NAMESPACE)
    assert len(kube.of("PATCH")) == 6


def put(kube: wire.Kube, collection: str, manifest: dict[str, Any], *, manager: str = "m", **metadata: Any) -> None:
    manifest["metadata"] |= {"managedFields": [{"manager": manager, "operation": "Apply"}], **metadata}
    kube.put(collection, manifest)


def test_pruning_removes_what_the_component_no_longer_names(kube: wire.Kube, api: cluster.Cluster) -> None:
    put(kube, f"{CORE}/configmaps", thing("ConfigMap", "old"))
    put(kube, f"{CORE}/configmaps", thing("ConfigMap", "kept"))
    assert api.prune(NAMESPACE, "app", "m", {("ConfigMap", "kept")}) == (("ConfigMap", "old"),)
    assert (f"{CORE}/configmaps", "kept") in kube.objects


def test_pruning_spares_data_and_what_others_made(kube: wire.Kube, api: cluster.Cluster) -> None:
    for kind, plural in (("PersistentVolumeClaim", "persistentvolumeclaims"), ("Secret", "secrets")):
        put(kube, f"{CORE}/{plural}", thing(kind, "data"))
    put(kube, f"{CORE}/configmaps", thing("ConfigMap", "by-hand"), manager="kubectl")
    put(kube, f"{CORE}/services", thing("Service", "owned"), ownerReferences=[{"uid": "u"}])
    other = {**LABELS, environment.COMPONENT: "postgresql"}
    put(kube, f"{CORE}/services", thing("Service", "other"), labels=other)
    assert api.prune(NAMESPACE, "app", "m", set()) == ()
    assert not kube.of("DELETE")


def test_a_custom_kind_the_cluster_lacks_is_no_reason_to_fail_pruning(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "servicemonitors", 404, message="the server could not find the requested resource")
    assert api.prune(NAMESPACE, "app", "m", set()) == ()
