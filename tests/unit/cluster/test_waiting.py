"""What needs a misbehaving API server; the rest of waiting is tested on the real cluster."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from k8s_ee import cluster, errors
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NAMESPACE = "shop-pr-7"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
REPLICA_SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
WANTED = [("Deployment", "app")]


def deployment(*, updated: int, generation: int = 1, seen: int = 1) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": "1"}
    status = {
        "observedGeneration": seen,
        "replicas": updated,
        "updatedReplicas": updated,
        "availableReplicas": updated,
    }
    metadata = {"name": "app", "uid": "d", "generation": generation, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": status}


def crashing() -> dict[str, Any]:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {"name": "main", "state": state, "lastState": {"terminated": {"exitCode": 7}}, "restartCount": 1}
    metadata = {"name": "app-1", "uid": "p", "ownerReferences": [{"uid": "rs"}]}
    return {"metadata": metadata, "status": {"containerStatuses": [status]}}


def replica_set() -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": "1"}
    return {"metadata": {"name": "app-x", "uid": "rs", "annotations": annotations, "ownerReferences": [{"uid": "d"}]}}


def wait(api: cluster.Cluster, *, seconds: float = 10, lines: list[str] | None = None) -> None:
    progress = (lines if lines is not None else []).append
    deadline = time.monotonic() + seconds
    cluster.waiting.ready(
        api, NAMESPACE, WANTED, deadline=deadline, progress=progress, redact=lambda text: text.replace("s3cret", "***")
    )


def later(kube: wire.Kube, *changes: Any) -> threading.Thread:
    def run() -> None:
        kube.await_watches(4)
        for change in changes:
            change()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_one_watch_per_kind_and_no_polling(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    thread = later(kube, lambda: kube.put(DEPLOYMENTS, deployment(updated=1)))
    wait(api)
    thread.join()
    kinds = [seen.path.rsplit("/", 1)[1] for seen in kube.of("GET")]
    assert sorted(kinds) == sorted(["deployments", "events", "pods", "replicasets"] * 2)


def test_an_old_status_of_a_new_spec_is_not_believed(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=1, generation=2, seen=1))
    with pytest.raises(errors.NotReady):
        wait(api, seconds=0.5)


def test_dropped_watches_and_expired_versions_are_survived(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))

    def lose_everything() -> None:
        with kube.changed:
            kube.put(DEPLOYMENTS, deployment(updated=1))
            kube.history.clear()
            kube.forget_history()
            kube.drop_watches()

    thread = later(kube, kube.drop_watches, lose_everything)
    wait(api)
    thread.join()


def test_what_a_container_wrote_is_quoted_redacted(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.logs[("app-1", "main", True)] = "first\n\x1b[1mtoken=s3cret\x1b[0m\n"
    for collection, item in ((DEPLOYMENTS, deployment(updated=0)), (REPLICA_SETS, replica_set()), (PODS, crashing())):
        kube.put(collection, item)
    with pytest.raises(errors.NotReady) as caught:
        wait(api)
    assert caught.value.message == "app: main crashes at start (exit code 7)"
    assert caught.value.evidence == ("first", "token=***")


def test_a_cause_is_told_without_the_right_to_read_logs(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "/log", 403, times=9)
    for collection, item in ((DEPLOYMENTS, deployment(updated=0)), (REPLICA_SETS, replica_set()), (PODS, crashing())):
        kube.put(collection, item)
    with pytest.raises(errors.NotReady, match="exit code 7"):
        wait(api)


def test_an_api_server_that_goes_away_is_not_a_broken_app(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    kube.fail("GET", "deployments", 500, times=99)
    with pytest.raises(errors.ClusterUnavailable):
        wait(api, seconds=60)


def test_a_dry_run_does_not_wait(kube: wire.Kube, connect: conftest.Connect) -> None:
    wait(connect(dry_run=True))
    assert not kube.seen


def test_a_job_is_complete_when_its_pod_ended_well_before_its_controller_says_so(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    kube.put(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", {"metadata": {"name": "migrate", "uid": "j"}, "spec": {}})
    spec = {"restartPolicy": "Never", "containers": [{"name": "migrate"}]}

    def pod(state: dict[str, Any]) -> dict[str, Any]:
        status = {"containerStatuses": [{"name": "migrate", "state": state}]}
        metadata = {"name": "migrate-1", "uid": "p", "ownerReferences": [{"uid": "j"}]}
        return {"metadata": metadata, "spec": spec, "status": status}

    kube.put(PODS, pod({"running": {}}))
    ended = {"terminated": {"exitCode": 0}}
    ending = threading.Timer(0.3, kube.put, [PODS, pod(ended)])
    ending.start()
    began = time.monotonic()
    cluster.waiting.ready(
        api,
        NAMESPACE,
        [("Job", "migrate")],
        deadline=time.monotonic() + 10,
        progress=lambda _line: None,
        redact=lambda text: text,
    )
    assert time.monotonic() - began > 0.25
    ending.join()
