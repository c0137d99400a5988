"""What comes before the end of an environment whose databases are to be backed up: nobody writes, and they run."""

from __future__ import annotations

import contextlib
import datetime
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import backups, environment, errors
from k8s_ee.cluster import marks, objects, pool, scaling, sleeping, waiting, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

_ACTIVITY = (environment.ACTIVE_AT, environment.DEPLOYED_AT)
_ATTEMPTS = 5
_ENDING_SECONDS = 60.0
"""More than an app's pods are given to end."""


def ask(cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime) -> environment.Observed:
    """Stops the app, then notes that a backup is wanted. Raises what `sleeping.quiet` does."""
    stopped = sleeping.quiet(cluster, observed)
    return note(cluster, stopped, backups.asked(stopped, now))


def note(cluster: client.Cluster, observed: environment.Observed, changes: marks.Changes) -> environment.Observed:
    """Raises Woken when somebody used it, or noted something of its backup, since it was `observed`.

    That its destruction is asked for meanwhile changes nothing about what is to be noted.
    """
    reads = (*_ACTIVITY, *backups.NOTES)
    seen = observed
    for _attempt in range(_ATTEMPTS):
        written = marks.write(cluster, seen, changes, reads=reads)
        if written is not None:
            return written
        seen = marks.again(cluster, observed)
        if marks.has(seen, changes):  # It was our own write, whose answer got lost.
            return seen
        if seen.is_ending or any(seen.annotations.get(key) != observed.annotations.get(key) for key in reads):
            break
    raise sleeping.Woken(observed.namespace)


@contextlib.contextmanager
def roused(
    cluster: client.Cluster,
    observed: environment.Observed,
    *,
    deadline: float,
    progress: Callable[[str], None],
    redact: Callable[[str], str],
) -> Iterator[None]:
    """Its databases are ready while the block runs, and nobody else is there; those that slept are put back after it.

    That is no use of the environment: what is noted of its activity stays. Raises NotReady, with the cause, for a
    database that does not start until `deadline` (`time.monotonic()`).
    """
    stores = scaling.workloads(cluster, observed, [scaling.STORES])
    slept = [one for one in stores if not one.replicas]
    # Of one that is asleep all are put back: who was killed before us may have left them running.
    resting = stores if environment.ASLEEP_SINCE in observed.annotations else slept
    counts = scaling.wanted(observed, stores)
    try:
        _await_end_of_app(cluster, observed.namespace, min(deadline, time.monotonic() + _ENDING_SECONDS))
        scaling.start(cluster, observed, slept, counts)
        names = [(one.kind, one.name) for one in stores if one.key in counts]
        waiting.ready(cluster, observed.namespace, names, deadline=deadline, progress=progress, redact=redact)
        yield
    finally:
        _put_back(cluster, observed, resting, counts)


def _put_back(
    cluster: client.Cluster,
    observed: environment.Observed,
    resting: Sequence[scaling.Workload],
    counts: scaling.Counts,
) -> None:
    """A deploy or wake in between keeps what it found running, also one that came while we stopped it."""
    with contextlib.suppress(*errors.ONE_OF_MANY):  # gone, or out of reach: whoever comes next finds them running
        unused = functools.partial(sleeping.is_unused, cluster, observed)
        if resting and unused():
            stopping = [functools.partial(scaling.stop, cluster, observed, one, still_wanted=unused) for one in resting]
            pool.side_by_side(stopping)
            if not unused():
                scaling.start(cluster, observed, scaling.workloads(cluster, observed, [scaling.STORES]), counts)


def _await_end_of_app(cluster: client.Cluster, namespace: str, deadline: float) -> None:
    """It may still be writing while it ends. One that does not end in time must not keep its data from being saved."""
    with watching.watching(cluster, [watching.Subject("Pod", namespace)]) as watch:
        for view in watch.until(deadline):
            if not any(map(_is_app, view.of("Pod"))):
                return


def _is_app(pod: dict[str, Any]) -> bool:
    """The app's own, or a migration that a deploy has left."""
    owners = pod["metadata"].get("ownerReferences") or []
    return not objects.is_over(pod) and any(one["kind"] in {"ReplicaSet", "Job"} for one in owners)
