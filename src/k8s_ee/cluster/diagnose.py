"""PURE. Objects as the API server has them → what is wrong, in words, and how long it may still heal by itself."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Manifest = Mapping[str, Any]

NEVER = math.inf


@dataclasses.dataclass(frozen=True)
class Finding:
    """`patience`: seconds it may last before it counts as final (0 = at once, NEVER = only the deadline ends it).

    `pod` and `container` say whose logs tell more; `restarted`: the log of the previous container is the one to read.
    `refused_port` is the port on which nothing answers a probe.
    """

    cause: str
    hint: str = ""
    patience: float = NEVER
    pod: str = ""
    container: str = ""
    restarted: bool = False
    refused_port: int = 0
    events: tuple[str, ...] = ()


ROOT_HINT = "add `USER 1000` to the Dockerfile, or set app.runAsUser in k8s-ee.yaml"

_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    }
)
_PLATFORM = re.compile(
    r"no match for platform|no matching manifest|does not match the specified platform", re.IGNORECASE
)
_ABSENT = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|no such image|InvalidImageName", re.IGNORECASE
)
_DENIED = re.compile(
    r"unauthorized|\b401\b|\b403\b|forbidden|denied|authentication required|no basic auth|insufficient_scope",
    re.IGNORECASE,
)
_ROOT = re.compile(r"runAsNonRoot|run as root|non-numeric user", re.IGNORECASE)
_WRONG_ARCHITECTURE = re.compile(r"exec format error", re.IGNORECASE)
_REFUSED = re.compile(r"dial tcp \S+:(\d+): connect: connection refused")
_STATUS = re.compile(r"HTTP probe failed with statuscode: (\d{3})")
_LISTENING = re.compile(
    r"(?:listen|started|running|serving|bound|ready|server)\w*\b[^\n]{0,60}?(?::|\bport\W{0,3})(\d{2,5})\b",
    re.IGNORECASE,
)
_SIGNALS = {134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def deployment(
    deployment_: Manifest, replica_sets: Iterable[Manifest], pods: Iterable[Manifest], events: Sequence[Manifest]
) -> tuple[Finding, ...]:
    """What keeps the new ReplicaSet from being ready; the old one serves on and is not looked at."""
    newest = new_replica_set(deployment_, replica_sets)
    found = [_refused_pods(condition) for condition in _conditions(deployment_, "ReplicaFailure", "True")]
    if newest is not None:
        for pod_ in owned_by(newest, pods):
            found += pod(pod_, events)
    stalled = [
        c for c in _conditions(deployment_, "Progressing", "False") if c.get("reason") == "ProgressDeadlineExceeded"
    ]
    if stalled and not found:
        found.append(Finding(cause="no progress: " + stalled[0].get("message", ""), patience=0))
    elif stalled:
        found = [dataclasses.replace(finding, patience=0) for finding in found]
    return tuple(found)


def stateful_set(stateful: Manifest, pods: Iterable[Manifest], events: Sequence[Manifest]) -> tuple[Finding, ...]:
    revision = (stateful.get("status") or {}).get("updateRevision")
    found = [_refused_pods(event) for event in _events_of(stateful, events, reason="FailedCreate")]
    for pod_ in owned_by(stateful, pods):
        if pod_["metadata"].get("labels", {}).get("controller-revision-hash") == revision:
            found += pod(pod_, events)
    return tuple(found)


def stuck_pods(stateful: Manifest, pods: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Pods of an older revision that can't start: the controller waits for them before it makes the new ones.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """
    status = stateful.get("status") or {}
    revision = status.get("updateRevision")
    if not observed(stateful) or not revision or revision == status.get("currentRevision"):
        return ()
    return tuple(
        pod_
        for pod_ in owned_by(stateful, pods)
        if pod_["metadata"].get("labels", {}).get("controller-revision-hash") != revision
        and "deletionTimestamp" not in pod_["metadata"]
        and not is_ready(pod_)
        and any(finding.patience < NEVER for finding in pod(pod_, ()))
    )


def job(job_: Manifest, pods: Iterable[Manifest], events: Sequence[Manifest]) -> tuple[Finding, ...]:
    """A Job retries by itself, so a pod that ran and failed is final only when the Job says so."""
    mine = sorted(owned_by(job_, pods), key=lambda p: str(p["metadata"].get("creationTimestamp")))
    found = [_refused_pods(event) for event in _events_of(job_, events, reason="FailedCreate")]
    for pod_ in mine:
        found += [
            f if f.patience == 0 and not f.restarted else dataclasses.replace(f, patience=NEVER)
            for f in pod(pod_, events)
        ]
    failed = _conditions(job_, "Failed", "True")
    if failed:
        last = _last_exit(mine[-1]) if mine else None
        reason = f"{failed[0].get('reason', 'Failed')}: {failed[0].get('message', '')}"
        return (last or Finding(cause=reason, patience=0), *found)
    return tuple(found)


def _last_exit(pod_: Manifest) -> Finding | None:
    for status in _statuses(pod_):
        ended = _terminated(status)
        if ended and ended.get("exitCode"):
            return dataclasses.replace(_crash(pod_, status, ended), patience=0)
    return None


def pod(pod_: Manifest, events: Sequence[Manifest]) -> list[Finding]:
    """Everything that keeps one pod from being ready, the nearest cause first."""
    if "deletionTimestamp" in pod_["metadata"] or is_ready(pod_):
        return []
    name, mine = pod_["metadata"]["name"], _events_of(pod_, events)
    found = [finding for status in _statuses(pod_) for finding in _container(pod_, status, mine)]
    found += [_unschedulable(condition) for condition in _conditions(pod_, "PodScheduled", "False")]
    status = pod_.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason"):
        found.append(
            Finding(cause=f"pod {name} was {status['reason'].lower()}: {status.get('message', '')}", patience=60)
        )
    found += _trouble(mine)
    texts = tuple(_text(event) for event in mine[-5:])
    return [dataclasses.replace(f, pod=name, events=f.events or texts) for f in found]


def _container(pod_: Manifest, status: Manifest, events: Sequence[Manifest]) -> list[Finding]:
    name, state = status["name"], status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL_REASONS:
        return [_pull(status, f"{reason} {message} " + " ".join(_text(e) for e in events if "pull image" in _text(e)))]
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"):
        return [_cannot_start(name, message)]
    ended = _terminated(status)
    if reason == "CrashLoopBackOff" and ended:
        return [_crash(pod_, status, ended)]
    if ended and ended.get("reason") == "StartError":
        return [_cannot_start(name, ended.get("message", ""))]
    if "running" in state or ended:
        return _probe(name, events, running="running" in state)
    return []


def _pull(status: Manifest, text: str) -> Finding:
    image, name = status.get("image", ""), status["name"]
    if _PLATFORM.search(text):
        return Finding(
            cause=f"image {image} is not made for this cluster's processors",
            hint="build it for the nodes' platform: image.platforms in k8s-ee.yaml, for example [linux/amd64]",
            patience=0,
            container=name,
        )
    if _DENIED.search(text):
        return Finding(
            cause=f"the registry refuses to hand out image {image}: credentials missing, wrong or revoked",
            hint="ask your platform team to renew the pull secret (imagePullSecrets of the platform settings)",
            patience=0,
            container=name,
        )
    if _ABSENT.search(text):
        return Finding(
            cause=f"image {image} does not exist",
            hint="was it pushed to this registry, under this name and digest?",
            patience=0,
            container=name,
        )
    return Finding(
        cause=f"image {image} can't be pulled: {_short(text)}",
        hint="the registry may be down, or not reachable from the cluster's nodes",
        patience=90,
        container=name,
    )


def _cannot_start(name: str, message: str) -> Finding:
    if _ROOT.search(message):
        return Finding(cause=f"{name}: its image runs as root, which is not allowed here", hint=ROOT_HINT, patience=0)
    if _WRONG_ARCHITECTURE.search(message):
        return _architecture(name)
    if re.search(r"(secret|configmap)\b.* not found|couldn't find key", message, re.IGNORECASE):
        return Finding(
            cause=f"{name}: {message}",
            hint="envFrom or env names a Secret or ConfigMap that this environment does not have",
            patience=10,
        )
    if re.search(r"executable file not found|no such file or directory|permission denied", message):
        return Finding(
            cause=f"{name} can't be started: {_short(message)}",
            hint="its command is not in the image, or not executable: check CMD in the Dockerfile or app.command",
            patience=0,
            container=name,
        )
    return Finding(cause=f"{name} can't be started: {_short(message)}", patience=20, container=name)


def _architecture(name: str) -> Finding:
    return Finding(
        cause=f"{name}: exec format error: the image is made for other processors, or its entry point is not a program",
        hint="set image.platforms to the nodes' platform; a script needs a first line like #!/bin/sh",
        patience=0,
        container=name,
    )


def _crash(pod_: Manifest, status: Manifest, ended: Manifest) -> Finding:
    name, code = status["name"], ended.get("exitCode", 0)
    base = Finding(
        cause="",
        patience=0,
        pod=pod_["metadata"]["name"],
        container=name,
        restarted="terminated" not in status["state"],
    )
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(pod_, name)
        return dataclasses.replace(
            base,
            cause=f"{name} needs more memory than its limit{limit} and was killed (OOMKilled)",
            hint="raise resources.limits.memory in k8s-ee.yaml, or make it use less",
        )
    if code == 0:
        return dataclasses.replace(
            base,
            cause=f"{name} ended by itself (exit code 0), but should go on running",
            hint="the command must stay in the foreground: check CMD in the Dockerfile or app.command",
        )
    signal = f", {_SIGNALS[code]}" if code in _SIGNALS else ""
    return dataclasses.replace(
        base, cause=f"{name} crashes at start (exit code {code}{signal})", hint="its last lines say why"
    )


def _probe(name: str, events: Sequence[Manifest], *, running: bool) -> list[Finding]:
    """A refused or failing probe is normal while an app starts; it is final when the startup window has passed."""
    texts = [_text(event) for event in events if event.get("reason") in ("Unhealthy", "Killing")]
    over = any("failed startup probe" in text for text in texts)
    patience = 0.0 if over else NEVER
    for text in reversed(texts):
        refused, status = _REFUSED.search(text), _STATUS.search(text)
        if refused:
            return [_nothing_listens(name, int(refused[1]), patience)]
        if status:
            return [
                Finding(
                    cause=f"{name} answers its health path with {status[1]}",
                    hint="app.healthPath must answer 2xx without a login",
                    patience=patience,
                    container=name,
                    restarted=not running,
                )
            ]
    if over:
        return [
            Finding(
                cause=f"{name} did not answer its health check within its startup window",
                hint="raise app.startupSeconds if it needs longer, or see what it waits for",
                patience=0,
                container=name,
            )
        ]
    return []


def _nothing_listens(name: str, port: int, patience: float) -> Finding:
    return Finding(
        cause=f"{name} runs, but nothing listens on its port {port}",
        hint="app.port must be the port the app listens on (it also gets it as PORT), on 0.0.0.0, not on 127.0.0.1",
        patience=patience,
        container=name,
        refused_port=port,
    )


def with_logs(finding: Finding, lines: Sequence[str]) -> Finding:
    """The finding, made surer by what the container wrote. A wrong port or architecture that it names is final."""
    text = "\n".join(lines)
    if finding.container and _WRONG_ARCHITECTURE.search(text):
        better = _architecture(finding.container)
        return dataclasses.replace(finding, cause=better.cause, hint=better.hint, patience=0)
    if finding.refused_port:
        ports = {int(match) for match in _LISTENING.findall(text)} - {finding.refused_port}
        if ports and str(finding.refused_port) not in re.findall(r"\d+", text):
            seen = ", ".join(str(port) for port in sorted(ports))
            cause = f"{finding.cause}; it says it listens on {seen}"
            return dataclasses.replace(
                finding, cause=cause, hint=f"set app.port to {seen}, or listen on PORT", patience=0
            )
    return finding


def _unschedulable(condition: Manifest) -> Finding:
    message = _short(condition.get("message", ""))
    if "PersistentVolumeClaim" in message or "persistentvolumeclaim" in message:
        return Finding(
            cause=f"its volume is not there: {message}",
            hint="does the platform's storage class exist, and has it room?",
            patience=60,
        )
    return Finding(
        cause=f"no node has room for it: {message}",
        hint="lower resources.requests in k8s-ee.yaml, remove an old environment, or ask your platform team for room",
        patience=30,
    )


def _refused_pods(source: Manifest) -> Finding:
    """`source`: a condition or an event whose message is the API server's refusal to create the pod."""
    message = _short(source.get("message", ""))
    if "exceeded quota" in message:
        return Finding(
            cause=f"the environment's quota is too small: {message[message.index('exceeded quota') :]}",
            hint="lower resources.requests or limits, or app.replicas, in k8s-ee.yaml",
            patience=10,
        )
    if "violates PodSecurity" in message:
        return Finding(
            cause=f"Pod Security refuses the pod: {message[message.index('violates PodSecurity') :]}",
            hint=ROOT_HINT,
            patience=0,
        )
    if re.search(r"(maximum|minimum) (cpu|memory)|must be less than", message):
        return Finding(
            cause=f"the limits of the namespace refuse the pod: {message}",
            hint="change resources in k8s-ee.yaml",
            patience=0,
        )
    if "failed calling webhook" in message or "error looking up service account" in message:
        return Finding(cause=f"pods can't be created: {message}", hint="ask your platform team", patience=20)
    if "PriorityClass" in message or "denied" in message:
        return Finding(cause=f"the cluster refuses the pod: {message}", hint="ask your platform team", patience=0)
    return Finding(cause=f"pods can't be created: {message}", patience=20)


def _trouble(events: Sequence[Manifest]) -> list[Finding]:
    reasons = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "ProvisioningFailed", "NetworkNotReady")
    last = [event for event in events if event.get("reason") in reasons][-1:]
    return [
        Finding(cause=f"{e['reason']}: {_short(_text(e))}", hint="ask your platform team", patience=90) for e in last
    ]


def blockers(namespace: Manifest) -> tuple[str, ...]:
    """What keeps a terminating namespace from going away, one line each; empty when nothing is named (yet)."""
    lines = []
    for condition in (namespace.get("status") or {}).get("conditions") or []:
        if condition.get("status") != "True":
            continue
        message = condition.get("message", "")
        if condition.get("type") == "NamespaceDeletionDiscoveryFailure":
            services = sorted(
                {
                    ".".join(reversed(m.split("/")))
                    for m in re.findall(r"stale GroupVersion discovery: ([\w.-]+/\w+)", message)
                }
            )
            named = ", ".join(f"APIService {service}" for service in services) or message
            lines.append(f"{named} does not answer, which blocks every deletion in the cluster")
        else:
            lines.append(f"{condition.get('type')}: {message}")
    return tuple(lines)


def new_replica_set(deployment_: Manifest, replica_sets: Iterable[Manifest]) -> Manifest | None:
    """None while the controller has not seen the newest spec: what is there then belongs to an older one."""
    revision = _revision(deployment_)
    if not observed(deployment_) or not revision:
        return None
    return next((found for found in owned_by(deployment_, replica_sets) if _revision(found) == revision), None)


def _revision(item: Manifest) -> str:
    return str((item["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))


def observed(workload: Manifest) -> bool:
    generation = int(workload["metadata"].get("generation", 0))
    return int((workload.get("status") or {}).get("observedGeneration", 0)) >= generation


def owned_by(owner: Manifest, items: Iterable[Manifest]) -> list[Manifest]:
    uid = owner["metadata"]["uid"]
    return [i for i in items if any(o.get("uid") == uid for o in i["metadata"].get("ownerReferences") or [])]


def is_ready(pod_: Manifest) -> bool:
    return bool(_conditions(pod_, "Ready", "True"))


def _conditions(item: Manifest, type_: str, status: str) -> list[Manifest]:
    conditions = (item.get("status") or {}).get("conditions") or []
    return [c for c in conditions if c.get("type") == type_ and c.get("status") == status]


def _statuses(pod_: Manifest) -> list[Manifest]:
    status = pod_.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _terminated(status: Manifest) -> Manifest | None:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    found: Manifest | None = state.get("terminated") or last.get("terminated")
    return found


def _memory_limit(pod_: Manifest, name: str) -> str:
    for container in pod_.get("spec", {}).get("containers", []):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if container["name"] == name and limit:
            return f" of {limit}"
    return ""


def _events_of(item: Manifest, events: Sequence[Manifest], *, reason: str = "") -> list[Manifest]:
    uid = item["metadata"]["uid"]
    mine = [e for e in events if (e.get("involvedObject") or {}).get("uid") == uid and reason in ("", e.get("reason"))]
    return sorted(mine, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))


def _text(event: Manifest) -> str:
    return str(event.get("message") or "").strip()


def _short(text: str, limit: int = 400) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"
