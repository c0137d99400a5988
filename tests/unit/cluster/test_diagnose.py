"""Tables: what the API server's objects say → cause, fix, and whether it may still heal."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee.cluster import diagnose, pods

IMAGE = "registry.example.com:5000/shop@sha256:" + "5" * 64
WINDOW = 150


def pod(
    *, waiting: str = "", message: str = "", ended: dict[str, Any] | None = None, running: bool = False, **more: Any
) -> dict[str, Any]:
    state: dict[str, Any] = {"running": {}} if running else {}
    if waiting:
        state = {"waiting": {"reason": waiting, "message": message}}
    last = {"terminated": ended} if ended else {}
    status = {"name": "app", "image": IMAGE, "state": state, "lastState": last, "restartCount": 1 if ended else 0}
    return {
        "metadata": {"name": "app-1", "uid": "pod", **more},
        "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {"containerStatuses": [status]},
    }


def starting(*, ended: dict[str, Any] | None = None, **probes: dict[str, Any]) -> dict[str, Any]:
    found = pod(running=True, ended=ended)
    found["spec"]["containers"][0] |= probes or {"startupProbe": {"periodSeconds": 1, "failureThreshold": WINDOW}}
    return found


def event(reason: str, message: str, *, uid: str = "pod", type_: str = "Warning") -> dict[str, Any]:
    return {"involvedObject": {"uid": uid}, "reason": reason, "message": message, "type": type_}


def only(found: list[pods.Finding]) -> pods.Finding:
    (finding,) = found
    return finding


PULLING = 'failed to pull and unpack image "x": failed to resolve reference "x": '


@pytest.mark.parametrize(("message", "cause", "patience"), [
    (PULLING + f"{IMAGE}: not found", "does not exist", 0),
    (PULLING + "unexpected status from HEAD request to https://r/v2/: 404 Not Found: manifest unknown", "exist", 0),
    (PULLING + "pulling from host r failed with status code: 401 Unauthorized", "refuses to hand out", 0),
    (PULLING + "unexpected status from HEAD request: 403 Forbidden", "refuses to hand out", 0),
    (PULLING + "pull access denied, repository does not exist or may require authorization", "refuses", 0),
    (PULLING + "no match for platform in manifest: not found", "not made for this cluster's processors", 0),
    (PULLING + "unexpected status from HEAD request: 503 Service Unavailable", "can't be pulled", 60),
    (PULLING + "502 Bad Gateway: page not found", "can't be pulled", 60),
    (PULLING + "dial tcp 10.0.0.1:443: connect: connection refused", "can't be pulled", 60),
    (PULLING + "429 Too Many Requests", "can't be pulled", 60),
])  # fmt: skip
@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_a_failed_pull_is_final_only_when_the_registry_said_no(
    reason: str, message: str, cause: str, patience: float
) -> None:
    shown = f"Back-off pulling image: ErrImagePull: {message}" if reason == "ImagePullBackOff" else message
    finding = only(pods.findings(pod(waiting=reason, message=shown), []))
    assert cause in finding.cause
    assert finding.patience == patience


def test_where_the_status_does_not_say_why_a_pull_failed_the_event_does() -> None:
    events = [event("Failed", f'Failed to pull image "{IMAGE}": {IMAGE}: not found')]
    finding = only(pods.findings(pod(waiting="ImagePullBackOff", message="Back-off pulling image"), events))
    assert "does not exist" in finding.cause


def test_a_login_the_node_has_not_seen_yet_gets_another_try() -> None:
    events = [event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (pull)")]
    finding = only(pods.findings(pod(waiting="ErrImagePull", message="401 Unauthorized"), events))
    assert finding.patience > 10


@pytest.mark.parametrize(("message", "cause", "hint", "patience"), [
    ("container has runAsNonRoot and image will run as root (pod: x)", "runs as root", "USER 1000", 0),
    ("container has runAsNonRoot and image has non-numeric user (node)", "runs as root", "app.runAsUser", 0),
    ('secret "app-env" not found', "app-env", "envFrom", 10),
    ("couldn't find key TOKEN in Secret shop/app-env", "TOKEN", "envFrom", 10),
    ('exec: "serve": executable file not found in $PATH', "can't be started", "app.command", 0),
    ('runc create failed: unable to start container process: exec: "/no": stat /no: no such file or directory: unknown',
     "can't be started", "app.command", 0),
    ("OCI runtime create failed: executable file `/no` not found: No such file or directory: unknown",  # crun
     "can't be started", "app.command", 0),
    ("OCI runtime create failed: open executable: Permission denied: unknown", "can't be started", "app.command", 0),
    ("exec /app: exec format error", "other processors", "image.platforms", 0),
    ("exec /app: Exec format error", "other processors", "image.platforms", 0),
    ("something new", "something new", "platform team", 20),
])  # fmt: skip
def test_a_container_that_can_not_be_started_is_named_with_its_fix(
    message: str, cause: str, hint: str, patience: float
) -> None:
    finding = only(pods.findings(pod(waiting="CreateContainerConfigError", message=message), []))
    assert cause in finding.cause
    assert hint in finding.hint
    assert finding.patience == patience


@pytest.mark.parametrize(("ended", "cause"), [
    ({"exitCode": 3, "reason": "Error"}, "crashes at start (exit code 3)"),
    ({"exitCode": 139, "reason": "Error"}, "exit code 139, SIGSEGV"),
    ({"exitCode": 137, "reason": "OOMKilled"}, "more memory than its limit of 64Mi"),
    ({"exitCode": 0, "reason": "Completed"}, "ended by itself"),
])  # fmt: skip
def test_a_crash_loop_says_how_it_ended(ended: dict[str, Any], cause: str) -> None:
    finding = only(pods.findings(pod(waiting="CrashLoopBackOff", ended=ended), []))
    assert cause in finding.cause
    assert (finding.patience, finding.restarted, finding.container) == (0, True, "app")


def test_one_crash_alone_is_no_verdict() -> None:
    assert pods.findings(pod(running=True, ended={"exitCode": 1, "reason": "Error"}), []) == []


REFUSED = 'Startup probe failed: Get "http://10.0.0.5:3000/": dial tcp 10.0.0.5:3000: connect: connection refused'
NOT_FOUND = "Startup probe failed: HTTP probe failed with statuscode: 404"


@pytest.mark.parametrize(("events", "cause"), [
    ([], "app did not answer its health check"),
    ([event("Unhealthy", REFUSED)], "nothing listens on its port 3000"),
    ([event("Unhealthy", REFUSED), event("Unhealthy", NOT_FOUND)], "answers its health path with 404"),
])  # fmt: skip
@pytest.mark.parametrize("ended", [None, {"exitCode": 1, "reason": "Error"}])
def test_what_does_not_answer_yet_has_its_startup_window_for_it(
    events: list[dict[str, Any]], cause: str, ended: dict[str, Any] | None
) -> None:
    finding = only(pods.findings(starting(ended=ended), events))
    assert cause in finding.cause
    assert (finding.patience, finding.starting) == (WINDOW, True)


@pytest.mark.parametrize("asked", [
    {"startupProbe": {"periodSeconds": 2, "failureThreshold": 20}, "livenessProbe": {"initialDelaySeconds": 90}},
    {"startupProbe": {"failureThreshold": 4}},
    {"livenessProbe": {"initialDelaySeconds": 40}},
])  # fmt: skip
def test_the_startup_window_is_the_one_that_the_kubelet_has_been_told(asked: dict[str, dict[str, Any]]) -> None:
    assert only(pods.findings(starting(**asked), [])).patience == 40


def test_what_is_said_of_one_container_is_not_said_of_another() -> None:
    about = {"uid": "pod", "fieldPath": "spec.containers{proxy}"}
    found = only(pods.findings(starting(), [{**event("Unhealthy", REFUSED), "involvedObject": about}]))
    assert (found.cause, found.refused_port) == ("app did not answer its health check", 0)
    about["fieldPath"] = "spec.containers{app}"
    found = only(pods.findings(starting(), [{**event("Unhealthy", REFUSED), "involvedObject": about}]))
    assert found.refused_port == 3000


@pytest.mark.parametrize(("found", "backs_off"), [
    (pod(waiting="ImagePullBackOff", message="Back-off"), True),
    (pod(waiting="CreateContainerConfigError", message='secret "app-env" not found'), True),
    (pod(waiting="CrashLoopBackOff", ended={"exitCode": 1}), True),
    (starting(), False),
])  # fmt: skip
def test_what_the_kubelet_tries_later_each_time_is_told_from_what_goes_on(
    found: dict[str, Any], backs_off: bool
) -> None:
    assert only(pods.findings(found, [])).backs_off == backs_off


def test_a_container_that_answers_is_not_blamed_for_another_that_does_not() -> None:
    found = starting()
    found["status"]["containerStatuses"][0]["ready"] = True
    assert pods.findings(found, [event("Unhealthy", REFUSED)]) == []


@pytest.mark.parametrize("line", [
    "Listening on http://0.0.0.0:8080",
    "Server started on port 8080",
    "app is running at http://localhost:8080/",
    "Tomcat started on port(s): 8080 (http)",
    "uvicorn running on http://127.0.0.1:8080 (Press CTRL+C to quit)",
    "ready - started server on [::]:8080, url: http://localhost:8080",
    "listening on :8080",
    "Serving HTTP on 0.0.0.0 port 8080 (http://0.0.0.0:8080/) ...",
])  # fmt: skip
def test_a_log_that_names_another_port_makes_it_final(line: str) -> None:
    finding = only(pods.findings(pod(running=True), [event("Unhealthy", REFUSED)]))
    surer = pods.with_logs(finding, [line])
    assert surer.patience == 0
    assert "8080" in surer.hint


@pytest.mark.parametrize("line", [
    "",
    "listening on 0.0.0.0:3000",
    "connecting to postgres:5432",
    'connection to server at "db" (10.0.0.9), port 5432 failed: Connection refused',
    "Debugger listening on ws://127.0.0.1:9229/4f1b",
    "metrics are served: listening on :9090",
    "2026-01-01 10:35:22 server started, pid:12345",
    "started at 10:35:22",
    "took 8080 ms",
])  # fmt: skip
def test_a_log_that_does_not_name_another_port_changes_nothing(line: str) -> None:
    finding = only(pods.findings(pod(running=True), [event("Unhealthy", REFUSED)]))
    assert pods.with_logs(finding, [line]) == finding


def test_a_wrong_architecture_is_seen_in_what_the_container_wrote() -> None:
    crash = only(pods.findings(pod(waiting="CrashLoopBackOff", ended={"exitCode": 255}), []))
    assert "other processors" in pods.with_logs(crash, ["exec /app/server: exec format error"]).cause


@pytest.mark.parametrize(("said", "patience"), [
    ([], 45),
    ([event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", type_="Normal")], 20),
    ([event("TriggeredScaleUp", "pod triggered scale-up: [{workers 1->2 (max: 3)}]", type_="Normal")], pods.NEVER),
    ([event("Nominated", "Pod should schedule on: nodeclaim/default-x7kq2", type_="Normal")], pods.NEVER),
    ([event("NotTriggerScaleUp", "no"), event("TriggeredScaleUp", "1->2")], pods.NEVER),
])  # fmt: skip
def test_a_pod_without_room_waits_for_a_node_that_is_coming(said: list[dict[str, Any]], patience: float) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory"}
    found = pod()
    found["status"]["conditions"] = [condition]
    assert only(pods.findings(found, said)).patience == patience


@pytest.mark.parametrize("metadata", [{"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_a_pod_on_its_way_out_is_nobody_s_business(metadata: dict[str, Any]) -> None:
    assert pods.findings(pod(waiting="CrashLoopBackOff", ended={"exitCode": 1}, **metadata), []) == []


def owned(item: dict[str, Any], owner: str, **labels: str) -> dict[str, Any]:
    item["metadata"] |= {"ownerReferences": [{"uid": owner}], "labels": labels}
    return item


def deployment(*, seen: int = 2, **condition: Any) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": "2"}
    return {
        "metadata": {"uid": "deployment", "generation": 2, "annotations": annotations},
        "status": {"observedGeneration": seen, "conditions": [condition] if condition else []},
    }


def replica_set(revision: str, *conditions: dict[str, str]) -> dict[str, Any]:
    annotations = {"deployment.kubernetes.io/revision": revision}
    metadata = {"uid": f"rs-{revision}", "annotations": annotations}
    return owned({"metadata": metadata, "status": {"conditions": list(conditions)}}, "deployment")


def refusal(message: str) -> dict[str, str]:
    return {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}


CRASHING: dict[str, Any] = {"waiting": "CrashLoopBackOff", "ended": {"exitCode": 1}}


def test_only_pods_of_the_new_replica_set_count() -> None:
    sets = [replica_set("1", refusal("exceeded quota: old")), replica_set("2")]
    old, new = owned(pod(**CRASHING), "rs-1"), owned(pod(running=True), "rs-2")
    assert diagnose.deployment(deployment(), sets, [old, new], []) == ()
    assert diagnose.deployment(deployment(), sets, [owned(pod(**CRASHING), "rs-2")], []) != ()


def test_nothing_is_said_before_the_controller_has_seen_the_new_version() -> None:
    crashing = owned(pod(**CRASHING), "rs-2")
    assert diagnose.deployment(deployment(seen=1), [replica_set("2")], [crashing], []) == ()


@pytest.mark.parametrize(("message", "cause", "patience"), [
    ('pods "x" is forbidden: exceeded quota: q, requested: pods=1', "quota is too small: exceeded quota: q", 10),
    ('pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', "Pod Security", 0),
    ('pods "x" is forbidden: maximum memory usage per Container is 1Gi', "limits of the namespace", 0),
    ('pods "x" is forbidden: no PriorityClass with name p was found', "PriorityClass", 0),
    ('admission webhook "w" denied the request: no', "denied", 0),
    ('Internal error: failed calling webhook "w": access denied', "webhook", 20),
    ('error looking up service account shop/app: serviceaccount "app" not found', "service account", 20),
])  # fmt: skip
def test_pods_that_are_refused_are_told_from_the_replica_set(message: str, cause: str, patience: float) -> None:
    (finding,) = diagnose.deployment(deployment(), [replica_set("2", refusal(message))], [], [])
    assert cause in finding.cause
    assert finding.patience == patience


def test_a_rollout_out_of_time_is_not_called_so_by_what_it_left_from_the_deploy_before() -> None:
    """A deploy of the same again changes nothing of the Deployment, whose condition stays for a while."""
    stalled: dict[str, Any] = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out",
    }
    new = owned(starting(), "rs-2")
    found = diagnose.deployment(deployment(**stalled), [replica_set("2")], [new], [event("Unhealthy", REFUSED)])
    assert [finding.patience for finding in found] == [WINDOW]
    (bare,) = diagnose.deployment(deployment(**stalled), [replica_set("2")], [], [])
    assert "timed out" in bare.cause
    assert bare.patience > 0


def stateful(update: str, current: str) -> dict[str, Any]:
    return {
        "metadata": {"uid": "sts", "generation": 1},
        "status": {"observedGeneration": 1, "updateRevision": update, "currentRevision": current},
    }


def test_a_broken_pod_of_an_older_revision_is_stuck_and_a_sound_one_is_not() -> None:
    revision = {"controller-revision-hash": "r1"}
    broken, sound = owned(pod(**CRASHING), "sts", **revision), owned(starting(), "sts", **revision)
    assert diagnose.stuck_pods(stateful("r2", "r1"), [broken, sound]) == (broken,)
    assert diagnose.stuck_pods(stateful("r1", "r1"), [broken]) == ()


def test_a_pod_of_the_version_before_is_no_finding_of_a_spec_that_the_controller_has_not_seen_yet() -> None:
    found = stateful("r1", "r1")
    broken = owned(pod(**CRASHING), "sts", **{"controller-revision-hash": "r1"})
    assert diagnose.stateful_set(found, [broken], [])
    found["metadata"]["generation"] = 2
    assert diagnose.stateful_set(found, [broken], []) == ()


def test_a_job_that_retries_is_not_failed_and_one_that_gave_up_is() -> None:
    job: dict[str, Any] = {"metadata": {"uid": "job"}, "status": {}}
    crashed = owned(pod(**CRASHING), "job")
    assert all(finding.patience == pods.NEVER for finding in diagnose.job(job, [crashed], []))
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit reached"}
    job["status"] = {"conditions": [failed]}
    assert diagnose.job(job, [crashed], [])[0].cause == "app failed (exit code 1)"
    assert "BackoffLimitExceeded" in diagnose.job(job, [], [])[0].cause


def test_what_blocks_a_namespace_is_named() -> None:
    discovery = {
        "type": "NamespaceDeletionDiscoveryFailure",
        "status": "True",
        "message": "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
        "metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1",
    }
    remaining = {"type": "NamespaceContentRemaining", "status": "False", "message": "all gone"}
    assert diagnose.blockers({"status": {"conditions": [discovery, remaining]}}) == (
        "APIService v1beta1.metrics.k8s.io does not answer, which blocks every deletion in the cluster",
    )
    assert diagnose.blockers({}) == ()


def refused_once(uid: str) -> dict[str, Any]:
    return {
        "involvedObject": {"uid": uid},
        "reason": "FailedCreate",
        "message": "create Pod db-0 in StatefulSet db failed: pods is forbidden: exceeded quota: environment",
    }


def test_a_pod_that_was_refused_and_then_created_is_not_refused_any_more() -> None:
    status = {"updateRevision": "new"}
    stateful: dict[str, Any] = {"metadata": {"uid": "sts"}, "spec": {"replicas": 1}, "status": status}
    found = owned(pod(running=True), "sts")
    found["metadata"]["labels"] = {"controller-revision-hash": "new"}
    (finding,) = diagnose.stateful_set(stateful, [], [refused_once("sts")])
    assert "quota is too small" in finding.cause
    assert diagnose.stateful_set(stateful, [found], [refused_once("sts")]) == ()
    ending = {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert diagnose.stateful_set(stateful, [ending], [refused_once("sts")]) == (finding,)
    job: dict[str, Any] = {"metadata": {"uid": "job"}, "spec": {}, "status": {}}
    assert len(diagnose.job(job, [], [refused_once("job")])) == 1
    assert diagnose.job(job, [owned(pod(running=True), "job")], [refused_once("job")]) == ()
