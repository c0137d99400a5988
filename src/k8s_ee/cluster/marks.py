"""What is noted on the namespace of a live environment, written only while what it was decided from still holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from k8s_ee import environment, errors
from k8s_ee.cluster import patches

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Changes = Mapping[str, str | None]
Decide = Callable[[environment.Observed], Changes]

_ATTEMPTS = 20
"""One writer wins each round, so as many people may ask at the same moment."""
DOOMED = (environment.CLEANUP_REQUESTED_AT, environment.DESTROY_REQUESTED_AT)


def change(
    cluster: client.Cluster, observed: environment.Observed, decide: Decide, *, reads: Collection[str]
) -> environment.Observed:
    """Writes the annotations that `decide` gives (None removes), and returns the environment as it is then.

    `reads` are the annotations that `decide` looks at: when one of them changed meanwhile, it decides anew. Nothing is
    ever written to an environment whose destruction was asked for or has begun. Raises Refused for such a one and for
    one that is gone, ClusterUnavailable when it keeps changing, and what `decide` raises.
    """
    for _attempt in range(_ATTEMPTS):
        require_kept(observed)
        changes = decide(observed)
        written = write(cluster, observed, changes, reads=reads)
        if written is not None:
            return written
        observed = again(cluster, observed)
        if has(observed, changes):  # It was our own write, whose answer got lost.
            return observed
    raise errors.ClusterUnavailable(
        f"environment {observed.namespace} keeps being changed by somebody else", hint="run the same command again"
    )


def write(
    cluster: client.Cluster, observed: environment.Observed, changes: Changes, *, reads: Collection[str]
) -> environment.Observed | None:
    """One attempt; None when it is not, or not in these annotations, what was observed."""
    guards = [*patches.alive(observed.uid), *patches.unchanged(observed.annotations, {*reads, *DOOMED})]
    answer = cluster.json_patch(observed.namespace, [*guards, *patches.annotate(changes)])
    return environment.from_namespace(answer.body) if answer.status == 200 else None


def has(observed: environment.Observed, changes: Changes) -> bool:
    return all(observed.annotations.get(key) == value for key, value in changes.items())


def again(cluster: client.Cluster, observed: environment.Observed) -> environment.Observed:
    """As it is now. Raises Refused when it is gone, or another one of that name is there."""
    found = cluster.get("Namespace", observed.namespace)
    if found is None or found["metadata"]["uid"] != observed.uid:
        raise errors.Refused(
            f"environment {observed.namespace} is gone: nothing was changed", hint="a new deploy makes a new one"
        )
    return environment.from_namespace(found)


def require_kept(observed: environment.Observed) -> None:
    """Raises Refused for one that is on its way out: whatever is written to it has no effect any more."""
    if observed.terminating or any(observed.annotations.get(key) for key in DOOMED):
        raise errors.Refused(
            f"environment {observed.namespace} is being destroyed: nothing was changed",
            hint="deploy again if it should exist: that waits for the end and makes a new one",
        )
