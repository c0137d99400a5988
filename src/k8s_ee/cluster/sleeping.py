"""An environment that nobody uses stops and keeps its data; woken, it is what it was.

    REPLICAS       what runs when it is awake; written before the first scale, so it is never lost
    (its route)    parked before anything stops, and brought back after everything is ready
    ASLEEP_SINCE   everything was scaled to zero; written last
    ACTIVE_AT      changes whenever somebody wakes or deploys it: whoever puts it to sleep then gives way

A process killed between two of these steps leaves what the next `sleep` or `wake` goes on from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from k8s_ee import environment, errors, plan
from k8s_ee.cluster import kinds, marks, messages, pool, routing, waiting, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Counts = Mapping[str, int]
"""Replicas by "Kind/name"."""

_STORES, _SERVERS = "StatefulSet", "Deployment"
_ACTIVITY = (environment.ACTIVE_AT, environment.DEPLOYED_AT, environment.REPLICAS)
_ATTEMPTS = 10
_ENDPOINT_SECONDS = 10.0


class Woken(errors.Refused):
    """Somebody woke it, deployed to it or put it to sleep since it was judged, and that counts."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"environment {name} is being deployed, woken or put to sleep by somebody else: that was left to them",
            hint="look with k8s-ee status, and run the same command again if it is still wanted",
        )


@dataclasses.dataclass(frozen=True)
class _Workload:
    kind: str
    name: str
    replicas: int
    resource_version: str

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"


def sleep(
    cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime, *, untold: str = ""
) -> environment.Observed:
    """Scales app and databases to zero, and returns the environment as it is then; pods may still be ending.

    `untold` is why, for the janitor to tell the pull request; empty = whoever asks tells it, or it is not news.
    One that sleeps is left as it is. Raises Woken when it was deployed or woken since it was `observed` (what was
    stopped by then runs again), and Refused when it is being destroyed.
    """
    marks.require_kept(observed)
    workloads, routes = _workloads(cluster, observed), routing.leading(cluster, observed.namespace)
    running = [one for one in workloads if one.replicas]
    if observed.asleep_since and not running and not routes:
        return observed
    counts = _wanted(observed, workloads)
    recorded = _write(cluster, observed, {environment.REPLICAS: json.dumps(counts, sort_keys=True)})
    routing.park(cluster, recorded.namespace, routes, wanted=functools.partial(_unused, cluster, recorded))
    pool.side_by_side([functools.partial(_stop, cluster, recorded, one) for one in running])
    try:
        return _fall_asleep(cluster, observed if cluster.dry_run else recorded, now, untold)
    except Woken:
        _scale_up(cluster, recorded, counts)
        routing.reopen(cluster, recorded.namespace)
        raise


def wake(
    cluster: client.Cluster,
    observed: environment.Observed,
    now: datetime.datetime,
    *,
    deadline: float,
    progress: Callable[[str], None],
    redact: Callable[[str], str],
) -> environment.Observed:
    """Brings back what it recorded, databases first, and returns the environment when all of it is ready.

    One that is awake is left as it is. Raises NotReady, with the cause, when something does not start until `deadline`
    (`time.monotonic()`): what was recorded stays so that it can be tried again. Raises Woken when it was put to sleep
    meanwhile, and Refused when it is being destroyed.
    """
    marks.require_kept(observed)
    workloads = _workloads(cluster, observed)
    if not is_stopped(observed) and any(one.replicas for one in workloads):
        routing.reopen(cluster, observed.namespace)
        return observed
    counts = _wanted(observed, workloads)
    begun = _begin(cluster, observed, now)
    for kind in (_STORES, _SERVERS):
        there = _scale_up(cluster, begun, _of(kind, counts))
        waiting.ready(cluster, begun.namespace, there, deadline=deadline, progress=progress, redact=redact)
        if not cluster.dry_run:
            _still_awake(cluster, begun, now)
    _lead_there(cluster, begun, deadline)
    if cluster.dry_run:  # The first step was only written on paper, so the last can't build on it.
        return begun
    done = marks.write(cluster, begun, {environment.REPLICAS: None}, reads=[*_ACTIVITY, environment.ASLEEP_SINCE])
    return done or _still_awake(cluster, begun, now)


def wake_databases(cluster: client.Cluster, observed: environment.Observed) -> None:
    """For a deploy of the app alone: starts what its pods wait for. Raises Refused when it is being destroyed."""
    counts = _wanted(observed, _workloads(cluster, observed))
    begun = _begin(cluster, observed, datetime.datetime.now(datetime.UTC))
    _scale_up(cluster, begun, _of(_STORES, counts))


def is_stopped(observed: environment.Observed) -> bool:
    """Whether it sleeps, or was on its way into or out of sleep when somebody was cut off."""
    return environment.ASLEEP_SINCE in observed.annotations or environment.REPLICAS in observed.annotations


def stopped(cluster: client.Cluster, namespace: str, *, deadline: float) -> tuple[str, ...]:
    """Waits until no pod runs any more; names of those that do at the deadline (`time.monotonic()`)."""
    if cluster.dry_run:
        return ()
    with watching.watching(cluster, [watching.Subject("Pod", namespace)]) as watch:
        while True:
            watch.next(deadline - time.monotonic())
            ended = ("Succeeded", "Failed")
            left = [pod for pod in watch.view.of("Pod") if (pod.get("status") or {}).get("phase") not in ended]
            if (watch.complete and not left) or time.monotonic() >= deadline:
                return tuple(sorted(pod["metadata"]["name"] for pod in left))


def _workloads(cluster: client.Cluster, observed: environment.Observed) -> list[_Workload]:
    """App and databases; what somebody made by hand in there is theirs to stop."""
    labels = {environment.MANAGED_BY: environment.MANAGER}
    listing = [functools.partial(cluster.list, kind, observed.namespace, labels) for kind in (_STORES, _SERVERS)]
    return [
        _Workload(kind, item["metadata"]["name"], item["spec"].get("replicas", 1), item["metadata"]["resourceVersion"])
        for kind, items in zip((_STORES, _SERVERS), pool.side_by_side(listing), strict=True)
        for item in items
    ]


def _wanted(observed: environment.Observed, workloads: Sequence[_Workload]) -> Counts:
    """What runs now counts; of what is stopped, the record does. A record that can't be read is one of each."""
    recorded = _recorded(observed)
    known = {one.key: one.replicas or recorded.get(one.key, 0) for one in workloads}
    if not recorded and not any(known.values()):
        known = dict.fromkeys(known, 1)
    return {key: count for key, count in known.items() if count}


def _of(kind: str, counts: Counts) -> Counts:
    return {key: count for key, count in counts.items() if key.startswith(f"{kind}/")}


def _recorded(observed: environment.Observed) -> Counts:
    try:
        found = json.loads(observed.annotations.get(environment.REPLICAS, "{}"))
    except ValueError:
        return {}
    return {key: count for key, count in found.items() if type(count) is int} if isinstance(found, dict) else {}


def _write(
    cluster: client.Cluster, observed: environment.Observed, changes: Mapping[str, str | None]
) -> environment.Observed:
    """Raises Woken when somebody woke it, deployed to it or put it to sleep since."""
    if marks.has(observed, changes):
        return observed
    written = marks.write(cluster, observed, changes, reads=_ACTIVITY)
    return written or _gave_way(cluster, observed, unless=changes)


def _gave_way(
    cluster: client.Cluster, observed: environment.Observed, *, unless: Mapping[str, str | None] | None = None
) -> environment.Observed:
    """Raises Woken, or Refused when it is being destroyed. `unless` it was our own write, whose answer got lost."""
    found = marks.again(cluster, observed)
    marks.require_kept(found)
    if unless and marks.has(found, unless) and _activity(found) == _activity(observed):
        return found
    raise Woken(observed.namespace)


def _unused(cluster: client.Cluster, recorded: environment.Observed) -> bool:
    """Whether nobody deployed to it or woke it since it was recorded to be put to sleep."""
    return _activity(marks.again(cluster, recorded)) == _activity(recorded)


def _lead_there(cluster: client.Cluster, awake: environment.Observed, deadline: float) -> None:
    """Its pods are ready and their endpoints follow: until then the responder has more to say than the controller."""
    if awake.head_sha:
        until = min(deadline, time.monotonic() + _ENDPOINT_SECONDS)
        with contextlib.suppress(errors.NotReady):
            waiting.served(cluster, awake.namespace, plan.APP, awake.head_sha, deadline=until)
    routing.reopen(cluster, awake.namespace)


def _activity(observed: environment.Observed) -> tuple[str | None, ...]:
    return tuple(observed.annotations.get(key) for key in (environment.ACTIVE_AT, environment.DEPLOYED_AT))


def _begin(cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime) -> environment.Observed:
    """The first step of waking: from here on nobody who judged it idle before can stop it again."""
    changes = {environment.ACTIVE_AT: now.isoformat(timespec="seconds"), environment.ASLEEP_SINCE: None}
    return marks.change(cluster, observed, lambda _now: changes, reads=())


def _still_awake(cluster: client.Cluster, begun: environment.Observed, now: datetime.datetime) -> environment.Observed:
    """As it is now. Raises Woken when somebody put it to sleep again; what was started by then is stopped."""
    found = marks.again(cluster, begun)
    marks.require_kept(found)
    if environment.ASLEEP_SINCE in found.annotations:
        sleep(cluster, found, now)
        raise Woken(begun.namespace)
    return found


def _fall_asleep(
    cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime, untold: str
) -> environment.Observed:
    """The last step of sleep: everything is at zero, and nobody wanted it awake meanwhile."""
    since = now.isoformat(timespec="seconds")
    told = {environment.SLEEP_UNTOLD: f"{since} {untold}"} if untold else {}
    return _write(cluster, observed, {environment.ASLEEP_SINCE: since, **told})


def _stop(cluster: client.Cluster, observed: environment.Observed, workload: _Workload) -> None:
    """Only as it was listed before the record was written: a deploy that changes it afterwards wants it to run."""
    for _attempt in range(_ATTEMPTS):
        if _scale(cluster, observed, workload, 0) != 409:
            return
        found = cluster.get(workload.kind, workload.name, observed.namespace)
        if found is None or not _unused(cluster, observed):
            return
        workload = dataclasses.replace(workload, resource_version=found["metadata"]["resourceVersion"])
    raise errors.ClusterUnavailable(
        f"{workload.kind} {workload.name} keeps being changed by somebody else", hint="run the same command again"
    )


def _scale_up(cluster: client.Cluster, observed: environment.Observed, counts: Counts) -> list[tuple[str, str]]:
    """(kind, name) of those of `counts` that are there. What runs already was started by somebody who knew better."""
    found = [one for one in _workloads(cluster, observed) if one.key in counts]
    starting = [functools.partial(_start, cluster, observed, one, counts[one.key]) for one in found]
    pool.side_by_side(starting)
    return [(one.kind, one.name) for one in found]


def _start(cluster: client.Cluster, observed: environment.Observed, workload: _Workload, replicas: int) -> None:
    for _attempt in range(_ATTEMPTS):
        if workload.replicas or _scale(cluster, observed, workload, replicas) != 409:
            return
        found = cluster.get(workload.kind, workload.name, observed.namespace)
        if found is None:
            return
        metadata = found["metadata"]
        workload = dataclasses.replace(
            workload, replicas=found["spec"].get("replicas", 1), resource_version=metadata["resourceVersion"]
        )
    raise errors.ClusterUnavailable(
        f"{workload.kind} {workload.name} keeps being changed by somebody else", hint="run the same command again"
    )


def _scale(cluster: client.Cluster, observed: environment.Observed, workload: _Workload, replicas: int) -> int:
    """The status: 200, 404 when it is gone, 409 when it changed since."""
    path = kinds.kind(workload.kind).path(workload.name, namespace=observed.namespace, subresource="scale")
    answer = cluster.write(
        "PATCH",
        path,
        what=f"the scale of {workload.kind} {workload.name}",
        body={"metadata": {"resourceVersion": workload.resource_version}, "spec": {"replicas": replicas}},
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER},
        expected={404, 409},
    )
    return answer.status
