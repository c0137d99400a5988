from __future__ import annotations

import time
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from k8s_ee.cluster import migrating
from tests.wire import kube as wire

NAMESPACE = "shop-pr-7"
JOBS, PODS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", f"/api/v1/namespaces/{NAMESPACE}/pods"
LABELS = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "app"}
BEGUN, WAITING = ("running", "waiting")


def job(kube: wire.Kube, name: str, condition: str = "") -> dict[str, Any]:
    status = {"conditions": [{"type": condition, "status": "True"}]} if condition else {}
    return kube.put(JOBS, {"metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS}, "status": status})


def pod(kube: wire.Kube, owner: dict[str, Any], state: str, phase: str = "", reason: str = "") -> None:
    owned = [{"kind": "Job", "uid": owner["metadata"]["uid"]}]
    name = owner["metadata"]["name"] + "-x"
    metadata = {"name": name, "namespace": NAMESPACE, "labels": LABELS, "ownerReferences": owned}
    phase = phase or ("Running" if state == BEGUN else "Pending")
    states = [{"name": "migrate", "state": {state: {"reason": reason} if reason else {}}}]
    kube.put(PODS, {"metadata": metadata, "status": {"phase": phase, "containerStatuses": states}})


def make_room(api: cluster.Cluster, *wanted: str, seconds: float = 10) -> list[str]:
    said: list[str] = []
    deadline = time.monotonic() + seconds
    migrating.make_room(api, NAMESPACE, "app", wanted, deadline=deadline, progress=said.append)
    return said


def names(kube: wire.Kube) -> list[str]:
    return sorted(found["metadata"]["name"] for found in kube.listed(JOBS))


def test_jobs_that_are_over_and_the_one_that_is_wanted_are_listed_once(kube: wire.Kube, api: cluster.Cluster) -> None:
    for name, condition in (("old", "Complete"), ("older", "Failed"), ("wanted", ""), ("done", "Complete")):
        job(kube, name, condition)
    pod(kube, job(kube, "wanted"), BEGUN)
    make_room(api, "wanted", "done")
    assert [seen.method for seen in kube.seen] == ["GET", "GET"]
    assert names(kube) == ["done", "old", "older", "wanted"]


def test_a_wanted_one_that_failed_makes_room_for_itself(kube: wire.Kube, api: cluster.Cluster) -> None:
    pod(kube, job(kube, "wanted", "Failed"), BEGUN)
    kube.meanwhile("DELETE", "jobs/wanted", lambda: kube.remove(PODS, "wanted-x"))
    make_room(api, "wanted")
    assert names(kube) == []


@pytest.mark.parametrize(("reason", "left"), [("ImagePullBackOff", []), ("ContainerCreating", ["wanted"])])
def test_a_wanted_one_whose_image_was_not_to_be_had_is_tried_again_at_once(
    kube: wire.Kube, api: cluster.Cluster, reason: str, left: list[str]
) -> None:
    pod(kube, job(kube, "wanted"), WAITING, reason=reason)
    kube.meanwhile("DELETE", "jobs/wanted", lambda: kube.remove(PODS, "wanted-x"))
    make_room(api, "wanted")
    assert names(kube) == left


def test_what_has_begun_is_waited_for_and_said_once(kube: wire.Kube, api: cluster.Cluster) -> None:
    old = job(kube, "old")
    pod(kube, old, BEGUN)

    def end() -> None:
        pod(kube, old, BEGUN, phase="Succeeded")
        job(kube, "old", "Complete")

    kube.meanwhile("GET", "pods.*", lambda: kube.meanwhile("GET", "pods.*", end))
    assert make_room(api, "wanted") in (["old: a migration of an earlier deploy, waiting for its end"], [])
    assert names(kube) == ["old"]
    assert not kube.writes


def test_what_has_not_begun_goes_and_so_does_its_pod_before_this_one_begins(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    pod(kube, job(kube, "old"), WAITING)
    with pytest.raises(errors.NotReady):
        make_room(api, "wanted", seconds=0.5)
    assert names(kube) == []
    kube.remove(PODS, "old-x")
    make_room(api, "wanted", seconds=0.5)


def test_the_pod_of_a_job_that_somebody_deleted_is_waited_for(kube: wire.Kube, api: cluster.Cluster) -> None:
    pod(kube, job(kube, "old"), BEGUN)
    kube.remove(JOBS, "old")
    with pytest.raises(errors.NotReady, match="old-x"):
        make_room(api, seconds=0.3)
    kube.meanwhile("GET", "pods", lambda: kube.remove(PODS, "old-x"))
    make_room(api, seconds=0.3)


def test_one_that_does_not_end_in_time_is_named_and_left_alone(kube: wire.Kube, api: cluster.Cluster) -> None:
    pod(kube, job(kube, "old"), BEGUN)
    with pytest.raises(errors.NotReady, match="still runs: old") as caught:
        make_room(api, "wanted", seconds=0.5)
    assert "name=migrate` shows" in caught.value.hint
    assert names(kube) == ["old"]
