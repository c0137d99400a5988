"""Waits until workloads are ready, and stops as soon as the cluster knows that they won't be."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import errors
from k8s_ee.cluster import diagnose, objects, observe, output, pods, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]
Progress = Callable[[str], None]
Redact = Callable[[str], str]

_TAIL = 20
_LISTENING_AFTER = 10.0
"""Seconds of refused probes after which the log is read for the port the app says it listens on."""
_TICK = 1.0
_SETTLED = 1.0
"""Seconds in which controllers have looked at what was just applied: their word before may be about what was there."""


@dataclasses.dataclass(frozen=True)
class _Verdict:
    """`done`, or what is in the way; `state` is one short line for the progress."""

    state: str
    done: bool = False
    findings: tuple[pods.Finding, ...] = ()


def ready(
    cluster: client.Cluster,
    namespace: str,
    workloads: Sequence[tuple[str, str]],
    *,
    deadline: float,
    progress: Progress,
    redact: Redact,
    within: float = math.inf,
    anew: bool = False,
) -> None:
    """Returns when every (kind, name) of Deployment, StatefulSet or Job is ready, or complete, in its newest form.

    `deadline` is on `time.monotonic()`; `within` seconds, if that is earlier, which begin once there is a node for each
    pod. `anew`: pods that an earlier deploy left behind, and that are tried ever later, are replaced first: what was
    wrong may be mended. Raises NotReady with cause, hint and evidence as soon as one of them can't
    become ready, or at the deadline; and what watching may raise.
    """
    if cluster.dry_run or not workloads:
        return
    kinds = {kind for kind, _name in workloads} | {"Pod", "Event"}
    kinds |= {"ReplicaSet"} if "Deployment" in kinds else set()
    subjects = [watching.Subject(kind, namespace) for kind in sorted(kinds)]
    with watching.watching(cluster, subjects) as watch:
        wait = _Wait(cluster, namespace, watch, deadline=deadline, within=within, progress=progress, redact=redact)
        wait.run(workloads, anew=anew)


class _Wait:
    def __init__(
        self,
        cluster: client.Cluster,
        namespace: str,
        watch: watching.Watch,
        *,
        deadline: float,
        within: float,
        progress: Progress,
        redact: Redact,
    ) -> None:
        self._cluster, self._namespace, self._watch = cluster, namespace, watch
        self._deadline, self._within, self._progress, self._redact = deadline, within, progress, redact
        self._since: dict[tuple[str, str, str], float] = {}
        self._said: dict[str, str] = {}
        self._read: set[tuple[str, str]] = set()
        self._sure: set[tuple[str, str, str]] = set()
        self._replaced: set[str] = set()
        self._began = time.monotonic()
        self._until = min(deadline, self._began + within)

    def run(self, workloads: Sequence[tuple[str, str]], *, anew: bool) -> None:
        pending = dict.fromkeys(workloads)
        while pending:
            now = time.monotonic()
            self._watch.next(min(self._until - now, _TICK))
            if not self._watch.complete and time.monotonic() < self._until:
                continue
            for kind, name in list(pending):
                if anew:
                    self._begin_anew(kind, name)
                if self._look(kind, name).done:
                    del pending[(kind, name)]
            anew = False
            if pending and time.monotonic() >= self._until:
                return self._give_up(list(pending))
        return None

    def _look(self, kind: str, name: str) -> _Verdict:
        """Raises NotReady when it can't become ready."""
        verdict = judge(self._watch.view, kind, name)
        final = self._final(name, verdict.findings)
        if final:  # What was seen a while ago may be over, behind a connection that was lost.
            verdict = judge(self._watch.again(), kind, name)
            final = self._final(name, verdict.findings)
        self._say(name, verdict.state)
        if any(finding.placeless for finding in verdict.findings):
            self._until = min(self._deadline, time.monotonic() + self._within)
        if not verdict.done:
            self._nudge(kind, name)
            if final:
                self._fail(name, final)
        return verdict

    def _say(self, name: str, state: str) -> None:
        if self._said.get(name) != state:
            self._said[name] = state
            self._progress(f"{name}: {state}")

    def _nudge(self, kind: str, name: str) -> None:
        stateful = self._watch.view.get(kind, name) if kind == "StatefulSet" else None
        for pod in diagnose.stuck_pods(stateful, self._watch.view.of("Pod")) if stateful else ():
            self._replace(name, pod["metadata"], "which an earlier version left broken")

    def _begin_anew(self, kind: str, name: str) -> None:
        """Pods whose next try may be minutes away. Those of a Job count: it would have failed."""
        for finding in judge(self._watch.view, kind, name).findings if kind != "Job" else ():
            pod = self._watch.view.get("Pod", finding.pod) if finding.backs_off else None
            if pod:
                self._replace(name, pod["metadata"], "which an earlier deploy left broken")

    def _replace(self, name: str, pod: Mapping[str, Any], why: str) -> None:
        if pod["uid"] not in self._replaced:
            self._replaced.add(pod["uid"])
            self._progress(f"{name}: replacing pod {pod['name']}, {why}")
            self._cluster.delete("Pod", pod["name"], self._namespace, uid=pod["uid"])

    def _final(self, name: str, findings: Sequence[pods.Finding]) -> pods.Finding | None:
        """The first that has lasted for longer than it may."""
        now = time.monotonic()
        current = {(name, f.pod, f.container if f.starting else f.cause): f for f in findings}
        for key in [key for key in self._since if key[0] == name and key not in current]:
            del self._since[key]
        for key, finding in current.items():
            age = now - self._since.setdefault(key, now)
            if finding.refused_port and age >= _LISTENING_AFTER and (finding.pod, finding.cause) not in self._read:
                self._read.add((finding.pod, finding.cause))
                if pods.with_logs(finding, self._tail(finding)).patience == 0:
                    self._sure.add(key)
            if key in self._sure or age >= max(finding.patience, _SETTLED):
                return finding
        return None

    def _give_up(self, pending: Sequence[tuple[str, str]]) -> None:
        """Raises NotReady, unless all of it is ready by now."""
        view = self._watch.again()
        verdicts = {(kind, name): judge(view, kind, name) for kind, name in pending}
        for (_kind, name), verdict in verdicts.items():
            self._say(name, verdict.state)
        left = {name: verdict for (_kind, name), verdict in verdicts.items() if not verdict.done}
        if not left:
            return
        for name, verdict in left.items():
            if verdict.findings:
                self._fail(name, min(verdict.findings, key=lambda finding: finding.patience))
        seconds = time.monotonic() - self._began
        names = ", ".join(f"{name} ({verdict.state})" for name, verdict in left.items())
        raise errors.NotReady(
            f"not ready after {seconds:.0f} s: {names}",
            hint=f"see what it waits for: kubectl -n {self._namespace} get pods,events",
        )

    def _fail(self, name: str, finding: pods.Finding) -> None:
        lines = self._tail(finding) if finding.container else ()
        better = pods.with_logs(finding, lines)
        cause = better.cause if better.cause.startswith(name) else f"{name}: {better.cause}"
        events = tuple(output.clean(event, self._redact) for event in finding.events)
        raise errors.NotReady(self._redact(cause), hint=better.hint, evidence=lines or events)

    def _tail(self, finding: pods.Finding) -> tuple[str, ...]:
        """Of the container that ended, and where nothing of it is kept any more, of the one that runs."""
        for previous in (True, False) if finding.restarted else (False, True):
            try:
                found = output.tail(
                    self._cluster,
                    self._namespace,
                    finding.pod,
                    finding.container,
                    lines=_TAIL,
                    redact=self._redact,
                    previous=previous,
                )
            except errors.ONE_OF_MANY:
                return ()  # Without the right to read logs the cause is still worth saying.
            if found.lines:
                return found.lines
        return ()


def judge(view: watching.View, kind: str, name: str) -> _Verdict:
    found = view.get(kind, name)
    if found is None:
        return _Verdict("not there", findings=(pods.Finding(cause=f"{kind} {name} is gone", patience=5),))
    uids = {pod["metadata"]["uid"] for pod in view.of("Pod")}
    events = [e for e in view.of("Event") if (e.get("involvedObject") or {}).get("uid") in uids or _fresh(view, e)]
    return {"Deployment": _deployment, "StatefulSet": _stateful_set, "Job": _job}[kind](view, found, events)


def _fresh(view: watching.View, event: Manifest) -> bool:
    """A workload keeps its uid over deploys, so what was said of it before this wait may be about an older version."""
    return event["metadata"]["uid"] in view.fresh


def _deployment(view: watching.View, found: Manifest, events: list[Manifest]) -> _Verdict:
    status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    rolled_out = updated == wanted == status.get("replicas", 0) and available >= wanted
    if objects.observed(found) and rolled_out:
        return _Verdict(f"{wanted}/{wanted} ready", done=True)
    newest = objects.new_replica_set(found, view.of("ReplicaSet"))
    ready_now = ((newest or {}).get("status") or {}).get("readyReplicas", 0)
    findings = diagnose.deployment(found, view.of("ReplicaSet"), view.of("Pod"), events)
    return _Verdict(f"{ready_now}/{wanted} of the new version ready", findings=findings)


def _stateful_set(view: watching.View, found: Manifest, events: list[Manifest]) -> _Verdict:
    status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
    current = status.get("updatedReplicas", 0) if status.get("updateRevision") else 0
    rolled_out = current == wanted and status.get("readyReplicas", 0) == wanted
    if objects.observed(found) and rolled_out and status.get("currentRevision") == status.get("updateRevision"):
        return _Verdict(f"{wanted}/{wanted} ready", done=True)
    findings = diagnose.stateful_set(found, view.of("Pod"), events)
    return _Verdict(f"{min(current, status.get('readyReplicas', 0))}/{wanted} ready", findings=findings)


def _job(view: watching.View, found: Manifest, events: list[Manifest]) -> _Verdict:
    pods_done = sum(objects.succeeded(pod) for pod in objects.owned_by(found, view.of("Pod")))
    # The Job's own status says the same, but two seconds later: its controller collects changes.
    if objects.conditions(found, "Complete", "True") or pods_done >= found["spec"].get("completions", 1):
        return _Verdict("complete", done=True)
    failed = (found.get("status") or {}).get("failed", 0)
    state = f"running, {failed} failed" if failed else "running"
    return _Verdict(state, findings=diagnose.job(found, view.of("Pod"), events))


def served(cluster: client.Cluster, namespace: str, service: str, sha: str, *, deadline: float) -> set[str]:
    """Waits until every ready endpoint of the Service is a pod of that commit, and at least one is.

    Returns {sha}. Raises NotReady at the deadline, naming the commits that serve then.
    """
    if cluster.dry_run:
        return {sha}
    subjects = [watching.Subject("EndpointSlice", namespace), watching.Subject("Pod", namespace)]
    with watching.watching(cluster, subjects) as watch:
        for view in watch.until(deadline):
            seen = _serving(view, service)
            if seen == {sha}:
                return seen
    names = ", ".join(sorted(one[:7] or "unknown" for one in seen)) or "nothing"
    raise errors.NotReady(
        f"{service} does not serve commit {sha[:7]}: {names} does",
        hint=f"kubectl -n {namespace} get endpointslices,pods",
    )


def _serving(view: watching.View, service: str) -> set[str]:
    slices = view.of("EndpointSlice")
    mine = [one for one in slices if (one["metadata"].get("labels") or {}).get(observe.SERVICE_NAME) == service]
    return observe.shas(mine, view.of("Pod"))
