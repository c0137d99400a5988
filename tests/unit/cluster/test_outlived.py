"""Objects and events that stay when what they tell of is over: what was in the way, and is not any more."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee.cluster import diagnose, pods
from tests.unit.cluster.test_diagnose import deployment, event, only, owned, pod, replica_set, stateful

NOT_MOUNTED = event("FailedMount", 'MountVolume.SetUp failed for volume "env": failed to sync secret cache')


def test_what_kept_a_pod_from_starting_counts_until_one_of_its_containers_has_run() -> None:
    not_begun = pod(waiting="ContainerCreating")
    assert "failed to sync secret cache" in only(pods.findings(not_begun, [NOT_MOUNTED])).cause
    assert pods.findings(pod(running=True), [NOT_MOUNTED]) == []
    assert pods.findings(pod(waiting="PodInitializing", ended={"exitCode": 1}), [NOT_MOUNTED]) == []
    not_begun["status"]["initContainerStatuses"] = [{"name": "wait", "state": {"terminated": {"exitCode": 0}}}]
    assert pods.findings(not_begun, [NOT_MOUNTED]) == []
    pulling = pod(waiting="ContainerCreating")
    pulling["status"]["conditions"] = [{"type": "PodReadyToStartContainers", "status": "True"}]
    assert pods.findings(pulling, [NOT_MOUNTED]) == []


def evicted(**metadata: Any) -> dict[str, Any]:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    return {"metadata": {"name": "app-0", "uid": "evicted", **metadata}, "status": status}


@pytest.mark.parametrize("kind", ["job", "rs-2", "sts"])
def test_a_pod_that_was_evicted_is_no_finding_while_a_younger_one_is_at_work(kind: str) -> None:
    def found(*mine: dict[str, Any]) -> tuple[pods.Finding, ...]:
        some = [owned(one, kind, **{"controller-revision-hash": "r1"}) for one in mine]
        if kind == "job":
            return diagnose.job({"metadata": {"uid": "job"}}, some, [])
        if kind == "sts":
            return diagnose.stateful_set(stateful("r1", "r1"), some, [])
        return diagnose.deployment(deployment(), [replica_set("2")], some, [])

    first, later = "2026-01-01T00:00:00Z", "2026-01-01T00:00:07Z"
    over = evicted(creationTimestamp=first)
    assert "was evicted" in only(list(found(over))).cause
    assert found(over, pod(running=True, creationTimestamp=later)) == ()
    assert found(over, pod(running=True, creationTimestamp=first)) == (), "turned away at once, and replaced"
    assert found(pod(running=True, creationTimestamp=first), evicted(creationTimestamp=later)), "not replaced yet"
    assert found(over, pod(creationTimestamp=later, deletionTimestamp=later)), "a replacement that goes is none"
    assert {one.pod for one in found(over, evicted(creationTimestamp=later))} == {"app-0"}
