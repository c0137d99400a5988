"""PURE. One pod and its events → what keeps it from being ready, in words, and how long that may still heal."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from k8s_ee.cluster import objects
from k8s_ee.cluster.objects import Manifest

NEVER = math.inf
ROOT_HINT = "add `USER 1000` to the Dockerfile, or set app.runAsUser in k8s-ee.yaml"
_ROOM_SECONDS, _ROOM_REFUSED_SECONDS = 45.0, 20.0
"""An autoscaler looks every ten seconds and then decides; one that has said no will hardly say yes."""
_SCALING_UP = frozenset({"TriggeredScaleUp", "Nominated"})
"""In the words of cluster-autoscaler, and of Karpenter."""
_PLATFORM_TEAM = "ask your platform team"


@dataclasses.dataclass(frozen=True)
class Finding:
    """`patience`: seconds it may last before it counts as final (0 = at once, NEVER = only the deadline ends it).

    `pod` and `container` say whose logs tell more; `restarted`: the log of the previous container is the one to read.
    `refused_port` is the port on which nothing answers a probe. `placeless`: a node is being added for the pod, and the
    time for its start has not begun. `starting`: it runs and has yet to answer, and its patience is the time for that,
    whatever is seen of it meanwhile. `backs_off`: it is tried again, but later each time, up to five minutes.
    """

    cause: str
    hint: str = ""
    patience: float = NEVER
    pod: str = ""
    container: str = ""
    restarted: bool = False
    refused_port: int = 0
    placeless: bool = False
    starting: bool = False
    backs_off: bool = False
    events: tuple[str, ...] = ()


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
_START_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"})
_PLATFORM = re.compile(
    r"no match for platform|no matching manifest|does not match the specified platform", re.IGNORECASE
)
_PASSING = re.compile(r"\b(429|5\d\d)\b|timeout|timed out|connection re|no such host|\bEOF\b", re.IGNORECASE)
_ABSENT = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|no such image|InvalidImageName", re.IGNORECASE
)
_DENIED = re.compile(
    r"unauthorized|\b40[13]\b|forbidden|denied|authentication required|no basic auth|insufficient_scope", re.IGNORECASE
)
_ROOT = re.compile(r"runAsNonRoot|run as root|non-numeric user", re.IGNORECASE)
_ARCHITECTURE = re.compile(r"exec format error", re.IGNORECASE)
_NO_PROGRAM = re.compile(  # in the words of runc, and of crun, which capitalizes and quotes
    r"executable file .*not found|no such file or directory|permission denied|is a directory", re.IGNORECASE
)
_REFUSED = re.compile(r"dial tcp \S+:(\d+): connect: connection refused")
_STATUS = re.compile(r"HTTP probe failed with statuscode: (\d{3})")
_LISTENING = re.compile(
    r"(?:listen|started|running|serving|bound|ready)\w*\b[^\n]{0,60}?"
    r"(?:(?:://[^\s/:]*|\d\.\d+\.\d+\.\d+|localhost|[*\]\s]):|\bport(?:\(s\))?\W{0,3})(\d{2,5})\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"metric|prometheus|debug|inspect|admin|management|grpc|database|\bdb\b", re.IGNORECASE)
"""Lines about ports that are not the app's own."""
_SIGNALS = {134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
_TROUBLE = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "ProvisioningFailed", "NetworkNotReady")


def findings(pod: Manifest, events: Sequence[Manifest]) -> list[Finding]:
    """The nearest cause first; nothing for a pod that is ready or on its way out."""
    if "deletionTimestamp" in pod["metadata"] or objects.is_ready(pod):
        return []
    mine = objects.events_of(pod, events)
    found = [one for status in objects.container_statuses(pod) for one in _container(pod, status, mine)]
    found += [_unschedulable(condition, mine) for condition in objects.conditions(pod, "PodScheduled", "False")]
    begun = objects.has_begun(pod) or objects.conditions(pod, "PodReadyToStartContainers", "True")
    found += [*_evicted(pod), *([] if begun else _trouble(mine))]
    warnings = tuple(objects.text(event) for event in mine if event.get("type") == "Warning")[-5:]
    return [dataclasses.replace(one, pod=pod["metadata"]["name"], events=warnings) for one in found]


def _container(pod: Manifest, status: Manifest, events: Sequence[Manifest]) -> list[Finding]:
    name, state = status["name"], status.get("state") or {}
    waiting, ended = state.get("waiting") or {}, objects.terminated(status)
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL_REASONS:
        found = _pull(status, f"{reason}: {message}", events)
    elif reason in _START_REASONS:
        found = _cannot_start(name, message)
    elif reason == "CrashLoopBackOff" and ended and ended.get("reason") not in _START_REASONS:
        found = crash(pod, status, ended)
    elif ended and ended.get("reason") in _START_REASONS:
        found = _cannot_start(name, ended.get("message", ""))
    else:
        found = None
    if found:
        return [dataclasses.replace(found, backs_off=True)]
    if "running" in state or ended:
        return [] if status.get("ready") else _probe(pod, name, events, running="running" in state)
    return []


def _pull(status: Manifest, message: str, events: Sequence[Manifest]) -> Finding:
    """Before Kubernetes 1.31 a container that backs off does not say why; the event of its last try does."""
    image = status.get("image", "")
    tries = [objects.text(event) for event in events if event.get("message", "").startswith("Failed to pull")]
    why = message if "ErrImagePull" in message or not tries else f"{message} {tries[-1]}"
    for pattern, cause, hint in (
        (
            _PLATFORM,
            f"image {image} is not made for this cluster's processors",
            "build it for the nodes' platform: image.platforms in k8s-ee.yaml, for example [linux/amd64]",
        ),
        (
            _DENIED,
            f"the registry refuses to hand out image {image}: credentials missing, wrong or revoked",
            "does it exist there? then the platform's pull secret (imagePullSecrets) needs renewing",
        ),
        (_ABSENT, f"image {image} does not exist", "was it pushed to this registry, under this name and digest?"),
    ):
        if pattern.search(why) and (pattern is _PLATFORM or not _PASSING.search(_without(why, image))):
            # A node that has not yet seen a new namespace's pull secret tries without it, a busy one twice. The next
            # try comes after 10 s, and then after 20 s.
            early = pattern is _DENIED and any(e.get("reason") == "FailedToRetrieveImagePullSecret" for e in events)
            return Finding(cause=cause, hint=hint, patience=40 if early else 0)
    return Finding(
        cause=f"image {image} can't be pulled: {objects.short(why)}",
        hint="the registry may be down, or not reachable from the cluster's nodes",
        patience=60,
    )


def _without(text: str, image: str) -> str:
    """Without the digest, in which any three digits may follow each other."""
    return re.sub(r"sha256:[0-9a-f]*", "", text.replace(image, ""))


def _cannot_start(name: str, message: str) -> Finding:
    if _ROOT.search(message):
        return Finding(cause=f"{name}: its image runs as root, which is not allowed here", hint=ROOT_HINT, patience=0)
    if _ARCHITECTURE.search(message):
        return _architecture(name)
    if re.search(r"(secret|configmap)\b.* not found|couldn't find key", message, re.IGNORECASE):
        return Finding(
            cause=f"{name}: {objects.short(message)}",
            hint="envFrom or env names a Secret or ConfigMap that this environment does not have",
            patience=10,
        )
    if _NO_PROGRAM.search(message):
        return Finding(
            cause=f"{name} can't be started: {objects.short(message)}",
            hint="its command is not in the image, or not executable: check CMD in the Dockerfile or app.command",
            patience=0,
        )
    return Finding(cause=f"{name} can't be started: {objects.short(message)}", hint=_PLATFORM_TEAM, patience=20)


def _architecture(name: str) -> Finding:
    return Finding(
        cause=f"{name}: exec format error: the image is made for other processors, or its entry point is not a program",
        hint="set image.platforms to the nodes' platform; a script needs a first line like #!/bin/sh",
        patience=0,
        container=name,
    )


def crash(pod: Manifest, status: Manifest, ended: Manifest) -> Finding:
    """The container ended and should not have; final, because the kubelet only backs off after the second time."""
    name, code = status["name"], ended.get("exitCode", 0)
    signal = f", {_SIGNALS[code]}" if code in _SIGNALS else ""
    cause, hint = f"{name} crashes at start (exit code {code}{signal})", "its last lines say why"
    if ended.get("reason") == "OOMKilled":
        cause = (
            f"{name} needs more memory than its limit of {objects.memory_limit(pod, name)} and was killed (OOMKilled)"
        )
        hint = "raise resources.limits.memory in k8s-ee.yaml, or make it use less"
    elif code == 0:
        cause = f"{name} ended by itself (exit code 0), but should go on running"
        hint = "the command must stay in the foreground: check CMD in the Dockerfile or app.command"
    restarted = "terminated" not in (status.get("state") or {})
    return Finding(cause=cause, hint=hint, patience=0, container=name, restarted=restarted)


def _probe(pod: Manifest, name: str, events: Sequence[Manifest], *, running: bool) -> list[Finding]:
    """A refused or failing probe is normal while an app starts; it is final when the startup window has passed."""
    window = objects.startup_window(pod, name)
    unhealthy = objects.events_of(pod, events, reason="Unhealthy")
    texts = [objects.text(event) for event in unhealthy if _is_about(event, name)]
    base = Finding(cause="", patience=window, container=name, restarted=not running, starting=True)
    for text in reversed(texts):
        refused, status = _REFUSED.search(text), _STATUS.search(text)
        if refused:
            return [_nothing_listens(base, int(refused[1]))]
        if status:
            cause = f"{name} answers its health path with {status[1]}"
            hint = "app.healthPath must answer 2xx, without a login"
            return [dataclasses.replace(base, cause=cause, hint=hint)]
    cause, hint = f"{name} did not answer its health check", "what does it wait for? startupSeconds gives it longer"
    return [] if window == NEVER else [dataclasses.replace(base, cause=cause, hint=hint)]


def _is_about(event: Manifest, container: str) -> bool:
    place = (event.get("involvedObject") or {}).get("fieldPath") or ""
    return not place or place.endswith(f"{{{container}}}")


def _nothing_listens(base: Finding, port: int) -> Finding:
    return dataclasses.replace(
        base,
        cause=f"{base.container} runs, but nothing listens on its port {port}",
        hint="app.port must be the port the app listens on (it also gets it as PORT), on 0.0.0.0, not on 127.0.0.1",
        refused_port=port,
    )


def with_logs(finding: Finding, lines: Sequence[str]) -> Finding:
    """The finding, made surer by what the container wrote. A wrong port or architecture that it names is final."""
    text = "\n".join(lines)
    if finding.container and _ARCHITECTURE.search(text):
        better = _architecture(finding.container)
        return dataclasses.replace(finding, cause=better.cause, hint=better.hint, patience=0)
    if not finding.refused_port:
        return finding
    own = (line for line in lines if not _ELSEWHERE.search(line))
    ports = {int(port) for line in own for port in _LISTENING.findall(line)}
    if not ports or finding.refused_port in ports:
        return finding
    seen = ", ".join(str(port) for port in sorted(ports))
    cause = f"{finding.cause}; it says it listens on {seen}"
    return dataclasses.replace(finding, cause=cause, hint=f"set app.port to {seen}, or listen on PORT", patience=0)


def _unschedulable(condition: Manifest, events: Sequence[Manifest]) -> Finding:
    message = objects.short(condition.get("message", ""))
    if "persistentvolumeclaim" in message.lower():
        hint = "does the platform's storage class exist, and has it room?"
        return Finding(cause=f"its volume is not there: {message}", hint=hint, patience=60)
    hint = "lower resources.requests in k8s-ee.yaml, remove an old environment, or ask your platform team for room"
    base = Finding(cause=f"no node has room for it: {message}", hint=hint)
    said = {event.get("reason") for event in events}
    if said & _SCALING_UP:
        return dataclasses.replace(base, placeless=True)
    return dataclasses.replace(base, patience=_ROOM_REFUSED_SECONDS if "NotTriggerScaleUp" in said else _ROOM_SECONDS)


def _evicted(pod: Manifest) -> list[Finding]:
    status = pod.get("status") or {}
    if status.get("phase") != "Failed" or not status.get("reason"):
        return []
    cause = f"pod {pod['metadata']['name']} was {status['reason'].lower()}: {status.get('message', '')}"
    return [Finding(cause=cause, hint=_PLATFORM_TEAM, patience=60)]


def _trouble(events: Sequence[Manifest]) -> list[Finding]:
    """Of a pod of which nothing has come about yet: nobody takes such an event back when the next try succeeds."""
    last = [event for event in events if event.get("reason") in _TROUBLE][-1:]
    return [Finding(cause=f"{e['reason']}: {objects.text(e)}", hint=_PLATFORM_TEAM, patience=90) for e in last]
