from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest

from k8s_ee import backups, cluster, environment, errors
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NS = "/api/v1/namespaces"


def soon() -> float:
    return time.monotonic() + 5


def test_a_new_namespace_costs_one_request(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    ensured = cluster.namespaces.ensure(api, manifest, wanted, soon())
    assert ensured.created
    assert ensured.observed.run == 20
    assert len(kube.seen) == 1


def test_an_existing_one_is_updated_only_as_it_was_judged(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    kube.put(NS, manifest)
    newer = dataclasses.replace(wanted, run=21)
    manifest["metadata"]["annotations"] = newer.annotations()
    kube.fail("PATCH", NS, 409)
    ensured = cluster.namespaces.ensure(api, manifest, newer, soon())
    assert (ensured.created, ensured.observed.run) == (False, 21)
    assert all(seen.body["metadata"]["resourceVersion"] for seen in kube.of("PATCH"))


def test_annotations_of_others_survive_an_update(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    found = kube.put(NS, manifest)
    found["metadata"]["annotations"]["k8s-ee/preserve-until"] = "2030-01-01T00:00:00Z"
    kube.put(NS, found)
    ensured = cluster.namespaces.ensure(api, manifest, wanted, soon())
    assert ensured.observed.annotations["k8s-ee/preserve-until"] == "2030-01-01T00:00:00Z"


def test_an_older_run_never_overwrites_a_newer_deploy(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    kube.put(NS, manifest)
    with pytest.raises(errors.Refused, match="a newer run"):
        cluster.namespaces.ensure(api, manifest, dataclasses.replace(wanted, run=19), soon())
    assert not kube.of("PATCH")


def test_a_laptop_without_a_run_number_keeps_the_one_that_is_there(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    kube.put(NS, manifest)
    manifest["metadata"]["annotations"]["k8s-ee/run"] = "0"
    assert cluster.namespaces.ensure(api, manifest, dataclasses.replace(wanted, run=0), soon()).observed.run == 20


def test_a_deploy_notes_what_is_to_come_before_the_end_and_forgets_what_was_done_for_an_earlier_one(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    noted = dict.fromkeys((*backups.NOTES, environment.DESTROY_REQUESTED_AT, environment.BACKUP), "x")
    metadata = manifest["metadata"]
    kube.put(NS, {**manifest, "metadata": {**metadata, "annotations": {**metadata["annotations"], **noted}}})
    kept = dataclasses.replace(wanted, backup="onDestroy")
    again = {**manifest, "metadata": {**metadata, "annotations": kept.annotations()}}
    found = cluster.namespaces.ensure(api, again, kept, soon()).observed.annotations
    assert {key: found.get(key) for key in noted} == {**dict.fromkeys(noted), environment.BACKUP: "onDestroy"}
    found = cluster.namespaces.ensure(api, manifest, wanted, soon()).observed.annotations
    assert environment.BACKUP not in found


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "k8s-ee"}])
def test_a_namespace_that_is_not_ours_is_not_touched(
    kube: wire.Kube,
    api: cluster.Cluster,
    manifest: dict[str, Any],
    wanted: environment.Environment,
    labels: dict[str, str],
) -> None:
    kube.put(NS, {"metadata": {"name": wanted.namespace, "labels": labels}})
    with pytest.raises(errors.Refused, match="not an environment"):
        cluster.namespaces.ensure(api, manifest, wanted, soon())
    assert not kube.of("PATCH")


def test_that_of_another_repository_is_refused_without_naming_it(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    theirs = dataclasses.replace(wanted, repository_id=43, repository="rival/secret-project")
    metadata = {"name": wanted.namespace, "labels": theirs.labels(), "annotations": theirs.annotations()}
    kube.put(NS, {"metadata": metadata})
    with pytest.raises(errors.Refused) as caught:
        cluster.namespaces.ensure(api, manifest, wanted, soon())
    assert "rival" not in str(caught.value) + caught.value.hint
    assert "43" not in str(caught.value) + caught.value.hint


def test_a_terminating_one_is_waited_for_and_then_made_anew(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    old = kube.put(NS, manifest)
    kube.put(NS, {**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    def finish() -> None:
        kube.await_watches(1)
        kube.remove(NS, wanted.namespace)

    thread = threading.Thread(target=finish)
    thread.start()
    ensured = cluster.namespaces.ensure(api, manifest, wanted, soon())
    thread.join()
    assert ensured.created
    assert ensured.observed.uid != old["metadata"]["uid"]


def test_one_that_stays_terminating_names_what_blocks_it(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    condition = {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "example.com/never in 1 resource"}
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    kube.put(NS, {**manifest, "status": {"conditions": [condition]}})
    with pytest.raises(errors.NotReady) as caught:
        cluster.namespaces.ensure(api, manifest, wanted, time.monotonic() + 0.5)
    assert "example.com/never" in caught.value.hint


def test_labels_that_a_webhook_took_away_are_noticed(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    kube.dropped_label = "pod-security.kubernetes.io/enforce"
    manifest["metadata"]["labels"] |= {kube.dropped_label: "restricted"}
    with pytest.raises(errors.Refused, match=kube.dropped_label):
        cluster.namespaces.ensure(api, manifest, wanted, soon())


def test_a_dry_run_creates_no_namespace(
    kube: wire.Kube, connect: conftest.Connect, manifest: dict[str, Any], wanted: environment.Environment
) -> None:
    assert cluster.namespaces.ensure(connect(dry_run=True), manifest, wanted, soon()).created
    assert not kube.objects
