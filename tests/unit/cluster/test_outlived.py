"""Objects and events that stay when what they tell of is over: what was in the way, and is not any more."""

from __future__ import annotations

from k8s_ee.cluster import pods
from tests.unit.cluster.test_diagnose import event, only, pod

NOT_MOUNTED = event("FailedMount", 'MountVolume.SetUp failed for volume "env": failed to sync secret cache')


def test_what_kept_a_pod_from_starting_counts_until_one_of_its_containers_has_run() -> None:
    not_begun = pod(waiting="ContainerCreating")
    assert "failed to sync secret cache" in only(pods.findings(not_begun, [NOT_MOUNTED])).cause
    assert pods.findings(pod(running=True), [NOT_MOUNTED]) == []
    assert pods.findings(pod(waiting="PodInitializing", ended={"exitCode": 1}), [NOT_MOUNTED]) == []
    not_begun["status"]["initContainerStatuses"] = [{"name": "wait", "state": {"terminated": {"exitCode": 0}}}]
    assert pods.findings(not_begun, [NOT_MOUNTED]) == []
