"""What needs a misbehaving API server; the rest of waiting is tested on the real cluster."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from k8s_ee import cluster, errors, redact
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NAMESPACE = "shop-pr-7"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
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


def starting(*, seconds: float) -> dict[str, Any]:
    asked = {"livenessProbe": {"initialDelaySeconds": seconds}}
    metadata = {"name": "app-1", "uid": "p", "ownerReferences": [{"uid": "rs"}]}
    status = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", **asked}]}, "status": status}


def unhealthy(name: str, message: str) -> dict[str, Any]:
    metadata, about = {"name": name, "uid": name}, {"uid": "p"}
    return {"metadata": metadata, "involvedObject": about, "reason": "Unhealthy", "message": message, "type": "Warning"}


def wait(api: cluster.Cluster, *, seconds: float = 10, lines: list[str] | None = None, **more: Any) -> None:
    progress = (lines if lines is not None else []).append
    deadline = time.monotonic() + seconds
    cluster.waiting.ready(
        api,
        NAMESPACE,
        WANTED,
        deadline=deadline,
        progress=progress,
        **{"redact": lambda text: text.replace("s3cret", "***")} | more,
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


def test_what_does_not_answer_has_one_startup_window_whatever_is_seen_of_it_meanwhile(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    kube.put(REPLICA_SETS, replica_set())
    kube.put(PODS, starting(seconds=3))
    kube.put(EVENTS, unhealthy("a", "Readiness probe failed: dial tcp 10.0.0.5:3000: connect: connection refused"))
    failed = "Readiness probe failed: HTTP probe failed with statuscode: 404"
    late = threading.Timer(2.5, kube.put, (EVENTS, {**unhealthy("b", failed), "lastTimestamp": "2026-01-01T00:00:00Z"}))
    late.start()
    began = time.monotonic()
    with pytest.raises(errors.NotReady, match="answers its health path with 404"):
        wait(api, seconds=60)
    assert 3 <= time.monotonic() - began < 5
    late.join()


def left_by_an_earlier_deploy(kube: wire.Kube) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    kube.put(REPLICA_SETS, replica_set())
    kube.put(PODS, crashing())


def test_what_an_earlier_deploy_left_broken_is_tried_once_more_at_once(kube: wire.Kube, api: cluster.Cluster) -> None:
    left_by_an_earlier_deploy(kube)
    lines: list[str] = []
    kube.meanwhile("DELETE", "pods/app-1", lambda: kube.put(DEPLOYMENTS, deployment(updated=1)))
    wait(api, lines=lines, anew=True)
    assert "app: replacing pod app-1, which an earlier deploy left broken" in lines


def test_what_is_still_broken_then_is_told(kube: wire.Kube, api: cluster.Cluster) -> None:
    left_by_an_earlier_deploy(kube)
    again = crashing()
    again["metadata"] |= {"name": "app-2", "uid": "p2"}
    kube.meanwhile("DELETE", "pods/app-1", lambda: kube.put(PODS, again))
    with pytest.raises(errors.NotReady, match="exit code 7"):
        wait(api, seconds=60, anew=True)
    assert [seen.path.rsplit("/", 1)[1] for seen in kube.of("DELETE")] == ["app-1"]


def test_what_controllers_have_not_looked_at_yet_is_no_verdict(kube: wire.Kube, api: cluster.Cluster) -> None:
    """Going back to a version that is there already, the Deployment names the one in between for a moment."""
    left_by_an_earlier_deploy(kube)
    looked_at = threading.Timer(0.3, kube.put, (DEPLOYMENTS, deployment(updated=1)))
    looked_at.start()
    wait(api, seconds=60)
    looked_at.join()


def endpoints(uid: str) -> dict[str, Any]:
    metadata = {"name": "app-x", "labels": {"kubernetes.io/service-name": "app"}}
    return {"metadata": metadata, "endpoints": [{"conditions": {"ready": True}, "targetRef": {"uid": uid}}]}


def serving(uid: str, sha: str) -> dict[str, Any]:
    return {"metadata": {"name": f"app-{uid}", "uid": uid, "annotations": {"k8s-ee/head-sha": sha}}}


def test_what_got_ready_behind_a_lost_connection_is_not_given_up_at_the_deadline(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    lines: list[str] = []
    thread = later(kube, kube.lose_watches, lambda: kube.put(DEPLOYMENTS, deployment(updated=1)))
    wait(api, seconds=2, lines=lines)
    thread.join()
    assert lines[-1] == "app: 1/1 ready"


def test_what_is_in_the_way_by_a_lost_connection_only_ends_no_wait(kube: wire.Kube, api: cluster.Cluster) -> None:
    thread = later(kube, kube.lose_watches, lambda: kube.put(DEPLOYMENTS, deployment(updated=1)))
    began = time.monotonic()
    wait(api, seconds=60)
    thread.join()
    assert time.monotonic() - began < 30


def test_what_is_not_ready_is_looked_at_once_more_before_it_is_given_up(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    with pytest.raises(errors.NotReady, match="not ready after"):
        wait(api, seconds=2)
    lists = [seen.path.rsplit("/", 1)[1] for seen in kube.of("GET") if "watch" not in seen.query]
    assert sorted(lists) == sorted(["deployments", "events", "pods", "replicasets"] * 2)


def test_a_commit_that_serves_behind_a_lost_connection_is_seen_at_the_deadline(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    kube.put(PODS, serving("old", "a" * 40))
    kube.put(slices, endpoints("old"))

    def roll_out() -> None:
        kube.await_watches(2)
        kube.lose_watches()
        kube.put(PODS, serving("new", "b" * 40))
        kube.put(slices, endpoints("new"))

    thread = threading.Thread(target=roll_out)
    thread.start()
    served = cluster.waiting.served(api, NAMESPACE, "app", "b" * 40, deadline=time.monotonic() + 2)
    thread.join()
    assert served == {"b" * 40}
    with pytest.raises(errors.NotReady, match="does not serve commit ccccccc: bbbbbbb does"):
        cluster.waiting.served(api, NAMESPACE, "app", "c" * 40, deadline=time.monotonic() + 0.5)


def without_node(kube: wire.Kube) -> None:
    """And one is being added."""
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    metadata = {"name": "app-1", "uid": "p", "ownerReferences": [{"uid": "rs"}]}
    told = {"metadata": {"name": "app-1.1"}, "involvedObject": {"uid": "p"}, "reason": "TriggeredScaleUp"}
    kube.put(DEPLOYMENTS, deployment(updated=0))
    kube.put(REPLICA_SETS, replica_set())
    kube.put(PODS, {"metadata": metadata, "status": {"conditions": [unscheduled]}})
    kube.put(EVENTS, told)


def test_the_time_for_a_start_begins_once_there_is_a_node_for_it(kube: wire.Kube, api: cluster.Cluster) -> None:
    without_node(kube)
    ready = threading.Timer(3, kube.put, [DEPLOYMENTS, deployment(updated=1)])
    ready.start()
    wait(api, seconds=60, within=1)
    ready.join()


def test_a_node_that_does_not_come_is_waited_for_until_the_deadline(kube: wire.Kube, api: cluster.Cluster) -> None:
    without_node(kube)
    began = time.monotonic()
    with pytest.raises(errors.NotReady, match="no node has room for it"):
        wait(api, seconds=3, within=1)
    assert time.monotonic() - began > 2.5


def test_what_has_a_node_is_ready_within_its_own_time(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(DEPLOYMENTS, deployment(updated=0))
    began = time.monotonic()
    with pytest.raises(errors.NotReady):
        wait(api, seconds=60, within=1)
    assert time.monotonic() - began < 30


def test_what_a_container_wrote_is_quoted_redacted(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.logs[("app-1", "main", True)] = "first\n\x1b[1mtoken=s3cret\x1b[0m\n"
    for collection, item in ((DEPLOYMENTS, deployment(updated=0)), (REPLICA_SETS, replica_set()), (PODS, crashing())):
        kube.put(collection, item)
    with pytest.raises(errors.NotReady) as caught:
        wait(api)
    assert caught.value.message == "app: main crashes at start (exit code 7)"
    assert caught.value.evidence == ("first", "token=***")


KEY = "config: {\n-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKC\nZZZZ==\n-----END RSA PRIVATE KEY-----\n}\n"


@pytest.mark.parametrize("written", [KEY, KEY.partition("KEY-----\n")[2]])
def test_a_private_key_of_several_lines_is_not_quoted(kube: wire.Kube, api: cluster.Cluster, written: str) -> None:
    kube.logs[("app-1", "main", True)] = kube.logs[("app-1", "main", False)] = written
    left_by_an_earlier_deploy(kube)
    with pytest.raises(errors.NotReady) as caught:
        wait(api, redact=redact.Redactor().redact)
    assert caught.value.evidence[-2:] == ("***", "}")
    followed = cluster.follow(api, NAMESPACE, "app-1", "main", lines=20, redact=redact.Redactor().redact)
    assert "MII" not in "\n".join(followed) or not written.startswith("config")


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
