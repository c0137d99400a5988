"""PURE. A workload and what belongs to it → what keeps its newest version from being ready; and what blocks an end."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from k8s_ee.cluster import objects, pods
from k8s_ee.cluster.objects import Manifest
from k8s_ee.cluster.pods import Finding

_NO_PROGRESS_SECONDS = 60.0


def deployment(
    found: Manifest, replica_sets: Iterable[Manifest], all_pods: Iterable[Manifest], events: Sequence[Manifest]
) -> tuple[Finding, ...]:
    """Looks at the new ReplicaSet only; the old one serves on and its troubles are not this rollout's."""
    if not objects.observed(found):
        return ()
    newest = objects.new_replica_set(found, replica_sets)
    stalled = objects.conditions(found, "Progressing", "False")
    if newest is None:
        return tuple(_refused(condition) for condition in stalled)
    seen = [_refused(condition) for condition in objects.conditions(newest, "ReplicaFailure", "True")]
    for pod in _current(objects.owned_by(newest, all_pods)):
        seen += pods.findings(pod, events)
    # A deploy of the same again begins with what its Deployment said of the one before.
    lasting = [
        Finding(cause=f"no progress: {one.get('message', '')}", patience=_NO_PROGRESS_SECONDS) for one in stalled
    ]
    return tuple(seen or lasting)


def stateful_set(found: Manifest, all_pods: Iterable[Manifest], events: Sequence[Manifest]) -> tuple[Finding, ...]:
    mine = objects.of_revision(found, all_pods, newest=True)
    wanted = (found.get("spec") or {}).get("replicas", 1)
    seen = _refusals(found, events) if len(_live(mine)) < wanted else []
    for pod in _current(mine):
        seen += pods.findings(pod, events)
    return tuple(seen)


def _refusals(found: Manifest, events: Sequence[Manifest]) -> list[Finding]:
    """Of pods that are not there (yet): nobody takes such an event back when the next try succeeds."""
    return [_refused(event) for event in objects.events_of(found, events, reason="FailedCreate")]


def _live(some: Iterable[Manifest]) -> list[Manifest]:
    return [pod for pod in some if "deletionTimestamp" not in pod["metadata"]]


def _current(some: Sequence[Manifest]) -> list[Manifest]:
    """Without pods that are over and were replaced: what is left of them stays, and is no trouble any more.

    `some` have one owner. Times are whole seconds, so a pod of the same second may be the replacement.
    """
    at_work = [_created(pod) for pod in _live(some) if not objects.is_over(pod)]
    return [pod for pod in some if not (objects.is_over(pod) and at_work and max(at_work) >= _created(pod))]


def _created(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def stuck_pods(stateful: Manifest, all_pods: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Pods of an older revision that can't start: the controller waits for them before it makes the new ones.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
    """
    status = stateful.get("status") or {}
    if status.get("updateRevision") == status.get("currentRevision"):
        return ()
    old = objects.of_revision(stateful, all_pods, newest=False)
    return tuple(pod for pod in old if any(_stuck(finding) for finding in pods.findings(pod, ())))


def _stuck(finding: Finding) -> bool:
    return finding.patience < pods.NEVER and not finding.starting


def job(found: Manifest, all_pods: Iterable[Manifest], events: Sequence[Manifest]) -> tuple[Finding, ...]:
    """A Job retries by itself, so a pod that ran and failed is final only when the Job says so."""
    mine = sorted(objects.owned_by(found, all_pods), key=_created)
    failed = objects.conditions(found, "Failed", "True")
    if failed:
        ends = [end for pod in mine[-1:] for end in _ends(pod)]
        return (*ends, Finding(cause=f"{failed[0].get('reason')}: {failed[0].get('message')}", patience=0))
    seen = [] if _live(mine) else _refusals(found, events)
    for pod in _current(mine):
        seen += [
            f if not f.restarted else dataclasses.replace(f, patience=pods.NEVER) for f in pods.findings(pod, events)
        ]
    return tuple(seen)


def _ends(pod: Manifest) -> list[Finding]:
    ends = [(status, objects.terminated(status)) for status in objects.container_statuses(pod)]
    found = [pods.crash(pod, status, end) for status, end in ends if end and end.get("exitCode")]
    cut = [dataclasses.replace(f, cause=f.cause.replace("crashes at start", "failed")) for f in found]
    return [dataclasses.replace(finding, pod=pod["metadata"]["name"]) for finding in cut]


def _refused(source: Manifest) -> Finding:
    """`source`: a condition or an event whose message is the API server's refusal to create a pod."""
    message = objects.short(source.get("message", ""), 600)
    if "exceeded quota" in message:
        cause = f"the environment's quota is too small: {message[message.index('exceeded quota') :]}"
        hint = "lower resources.requests or limits, or app.replicas, in k8s-ee.yaml"
        return Finding(cause=cause, hint=hint, patience=10)
    if "violates PodSecurity" in message:
        cause = f"Pod Security refuses the pod: {message[message.index('violates PodSecurity') :]}"
        return Finding(cause=cause, hint=pods.ROOT_HINT, patience=0)
    if re.search(r"(maximum|minimum) (cpu|memory)|must be less than", message):
        cause = f"the limits of the namespace refuse the pod: {message}"
        return Finding(cause=cause, hint="change resources in k8s-ee.yaml", patience=0)
    final = "PriorityClass" in message or ("denied" in message and "failed calling webhook" not in message)
    return Finding(
        cause=f"pods can't be created: {message}", hint="ask your platform team", patience=0 if final else 20
    )


def blockers(namespace: Manifest) -> tuple[str, ...]:
    """What keeps a terminating namespace from going away, one line each; empty when nothing is named (yet)."""
    status = namespace.get("status") or {}
    return tuple(_blocker(c) for c in status.get("conditions") or [] if c.get("status") == "True")


def _blocker(condition: Manifest) -> str:
    message = condition.get("message", "")
    if condition.get("type") != "NamespaceDeletionDiscoveryFailure":
        return f"{condition.get('type')}: {message}"
    groups = re.findall(r"stale GroupVersion discovery: ([\w.-]+)/(\w+)", message)
    named = ", ".join(f"APIService {version}.{group}" for group, version in sorted(set(groups)))
    return f"{named or message} does not answer, which blocks every deletion in the cluster"
