"""PURE. Reads what the API server's objects say, where its shapes are awkward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k8s_ee import environment

Manifest = Mapping[str, Any]

_TEMPLATE_HASH = "pod-template-hash"


def conditions(item: Manifest, type_: str, status: str) -> list[Manifest]:
    found = (item.get("status") or {}).get("conditions") or []
    return [c for c in found if c.get("type") == type_ and c.get("status") == status]


def is_ready(pod: Manifest) -> bool:
    return bool(conditions(pod, "Ready", "True"))


def observed(workload: Manifest) -> bool:
    """Whether its controller has seen the newest spec."""
    generation = int(workload["metadata"].get("generation", 0))
    return int((workload.get("status") or {}).get("observedGeneration", 0)) >= generation


def owned_by(owner: Manifest, items: Iterable[Manifest]) -> list[Manifest]:
    uid = owner["metadata"]["uid"]
    return [i for i in items if any(o.get("uid") == uid for o in i["metadata"].get("ownerReferences") or [])]


def new_replica_set(deployment: Manifest, replica_sets: Iterable[Manifest]) -> Manifest | None:
    """None while the controller has not seen the newest spec: what is there then belongs to an older one."""
    wanted = revision(deployment)
    if not observed(deployment) or not wanted:
        return None
    return next((found for found in owned_by(deployment, replica_sets) if revision(found) == wanted), None)


def revision(item: Manifest) -> str:
    """Of a Deployment, or of one of its ReplicaSets; empty before its controller has looked at it."""
    return str((item["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))


def template_of(replica_sets: Iterable[Manifest], sha: str, *, but: str) -> dict[str, Any] | None:
    """The newest pod template of a commit, as the Deployment had it, `but` for that of one revision."""

    def serves(one: Manifest) -> bool:
        return bool((one.get("status") or {}).get("readyReplicas"))

    def commit(one: Manifest) -> str:
        return str((one["spec"]["template"]["metadata"].get("annotations") or {}).get(environment.HEAD_SHA, ""))

    found = [one for one in replica_sets if commit(one) == sha and revision(one) != but]
    if not found:
        return None
    template = max(found, key=lambda one: (serves(one), int(revision(one) or 0)))["spec"]["template"]
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key != _TEMPLATE_HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def of_revision(stateful: Manifest, pods: Iterable[Manifest], *, newest: bool) -> list[Manifest]:
    """Nothing while the controller has not seen the newest spec: what it calls its newest then is an older one."""
    if not observed(stateful):
        return []
    update = (stateful.get("status") or {}).get("updateRevision")
    return [
        pod
        for pod in owned_by(stateful, pods)
        if ((pod["metadata"].get("labels") or {}).get("controller-revision-hash") == update) is newest
    ]


def succeeded(pod: Manifest) -> bool:
    """Every container of it ended with 0, and none will be started again."""
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    ends = [(one.get("state") or {}).get("terminated") or {} for one in status.get("containerStatuses") or []]
    all_ended = len(ends) == len(spec.get("containers") or []) > 0 and all(end.get("exitCode") == 0 for end in ends)
    return all_ended and spec.get("restartPolicy") in ("Never", "OnFailure")


def is_over(pod: Manifest) -> bool:
    """Nothing of it runs, nor will."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def container_statuses(pod: Manifest) -> list[Manifest]:
    """Init containers first, as they run."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def has_begun(pod: Manifest) -> bool:
    """Whether any container of it, one that runs before the others included, runs or ever ran."""
    return any("running" in (one.get("state") or {}) or terminated(one) for one in container_statuses(pod))


def terminated(status: Manifest) -> Manifest | None:
    """How the container ended, now or before its last restart."""
    state, last = status.get("state") or {}, status.get("lastState") or {}
    found: Manifest | None = state.get("terminated") or last.get("terminated")
    return found


def memory_limit(pod: Manifest, container: str) -> str:
    limits = (_container(pod, container).get("resources") or {}).get("limits") or {}
    return str(limits.get("memory") or "")


def startup_window(pod: Manifest, container: str) -> float:
    """Seconds after which the kubelet begins it anew if it has not answered by then; infinite where nobody asks."""
    asked = _container(pod, container)
    startup, liveness = asked.get("startupProbe"), asked.get("livenessProbe") or {}
    if startup:
        return float(startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3))
    return float(liveness.get("initialDelaySeconds") or math.inf)


def _container(pod: Manifest, name: str) -> Manifest:
    return next((one for one in (pod.get("spec") or {}).get("containers") or [] if one["name"] == name), {})


def events_of(item: Manifest, events: Sequence[Manifest], *, reason: str = "") -> list[Manifest]:
    """Oldest first."""
    uid = item["metadata"]["uid"]
    mine = [e for e in events if (e.get("involvedObject") or {}).get("uid") == uid and reason in ("", e.get("reason"))]
    return sorted(mine, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))


def text(event: Manifest) -> str:
    return short(str(event.get("message") or ""))


def short(message: str, limit: int = 400) -> str:
    one_line = " ".join(message.split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"
