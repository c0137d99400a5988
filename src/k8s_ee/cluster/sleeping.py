"""An environment that nobody uses stops and keeps its data; woken, it is what it was.

    REPLICAS       what runs when it is awake; written before the first scale, so it is never lost
    (its route)    parked before anything stops, and brought back after everything is ready
    ASLEEP_SINCE   everything was scaled to zero; written last
    ACTIVE_AT      changes whenever somebody wakes or deploys it: whoever puts it to sleep then gives way

A process killed between two of these steps leaves what the next `sleep` or `wake` goes on from.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors, plan
from k8s_ee.cluster import marks, objects, pool, routing, scaling, waiting, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

_ACTIVITY = (environment.ACTIVE_AT, environment.DEPLOYED_AT, environment.REPLICAS)
_ENDPOINT_SECONDS = 10.0


class Woken(errors.Refused):
    """Somebody woke it, deployed to it or put it to sleep since it was judged, and that counts."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"environment {name} is being deployed, woken or put to sleep by somebody else: that was left to them",
            hint="look with k8s-ee status, and run the same command again if it is still wanted",
        )


def sleep(
    cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime, *, untold: str = ""
) -> environment.Observed:
    """Scales app and databases to zero, and returns the environment as it is then; pods may still be ending.

    `untold` is why, for the janitor to tell the pull request; empty = whoever asks tells it, or it is not news.
    One that sleeps is left as it is. Raises Woken when it was deployed or woken since it was `observed` (what was
    stopped by then runs again), and Refused when it is being destroyed.
    """
    marks.require_kept(observed)
    workloads, routes = scaling.workloads(cluster, observed), routing.leading(cluster, observed.namespace)
    running = [one for one in workloads if one.replicas]
    if observed.asleep_since and not running and not routes:
        return observed
    counts = scaling.wanted(observed, workloads)
    recorded = _stop(cluster, observed, counts, running, routes)
    try:
        return _fall_asleep(cluster, observed if cluster.dry_run else recorded, now, untold)
    except Woken:
        _put_back(cluster, recorded, counts)
        raise


def quiet(cluster: client.Cluster, observed: environment.Observed) -> environment.Observed:
    """Stops traffic and app, so that nobody writes to the databases any more; these are left as they are.

    `wake` brings back what was stopped. Raises as `sleep`, but one whose destruction was asked for is stopped, too.
    """
    workloads, routes = scaling.workloads(cluster, observed), routing.leading(cluster, observed.namespace)
    running = [one for one in workloads if one.kind == scaling.SERVERS and one.replicas]
    if not running and not routes:
        return observed
    counts = scaling.wanted(observed, workloads)
    recorded = _stop(cluster, observed, counts, running, routes)
    if not is_unused(cluster, recorded):
        _put_back(cluster, recorded, counts)
        raise Woken(observed.namespace)
    return recorded


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
    workloads = scaling.workloads(cluster, observed)
    if not is_stopped(observed) and any(one.replicas for one in workloads):
        routing.reopen(cluster, observed.namespace)
        return observed
    counts = scaling.wanted(observed, workloads)
    begun = _begin(cluster, observed, now)
    for kind in (scaling.STORES, scaling.SERVERS):
        there = _scale_up(cluster, begun, scaling.of(kind, counts))
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
    counts = scaling.wanted(observed, scaling.workloads(cluster, observed))
    begun = _begin(cluster, observed, datetime.datetime.now(datetime.UTC))
    _scale_up(cluster, begun, scaling.of(scaling.STORES, counts))


def is_stopped(observed: environment.Observed) -> bool:
    """Whether it sleeps, or was on its way into or out of sleep when somebody was cut off."""
    return environment.ASLEEP_SINCE in observed.annotations or environment.REPLICAS in observed.annotations


def stopped(cluster: client.Cluster, namespace: str, *, deadline: float) -> tuple[str, ...]:
    """Waits until no pod runs any more; names of those that do at the deadline (`time.monotonic()`)."""
    if cluster.dry_run:
        return ()
    with watching.watching(cluster, [watching.Subject("Pod", namespace)]) as watch:
        for view in watch.until(deadline):
            left = [pod for pod in view.of("Pod") if not objects.is_over(pod)]
            if not left:
                break
    return tuple(sorted(pod["metadata"]["name"] for pod in left))


def _stop(
    cluster: client.Cluster,
    observed: environment.Observed,
    counts: scaling.Counts,
    running: Sequence[scaling.Workload],
    routes: Sequence[dict[str, Any]],
) -> environment.Observed:
    recorded = _write(cluster, observed, {environment.REPLICAS: json.dumps(counts, sort_keys=True)})
    unused = functools.partial(is_unused, cluster, recorded)
    routing.park(cluster, recorded.namespace, routes, wanted=unused)
    stopping = [functools.partial(scaling.stop, cluster, recorded, one, still_wanted=unused) for one in running]
    pool.side_by_side(stopping)
    return recorded


def _put_back(cluster: client.Cluster, recorded: environment.Observed, counts: scaling.Counts) -> None:
    _scale_up(cluster, recorded, counts)
    routing.reopen(cluster, recorded.namespace)


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


def is_unused(cluster: client.Cluster, recorded: environment.Observed) -> bool:
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


def _scale_up(cluster: client.Cluster, observed: environment.Observed, counts: scaling.Counts) -> list[tuple[str, str]]:
    """(kind, name) of those of `counts` that are there."""
    found = [one for one in scaling.workloads(cluster, observed) if one.key in counts]
    scaling.start(cluster, observed, found, counts)
    return [(one.kind, one.name) for one in found]
