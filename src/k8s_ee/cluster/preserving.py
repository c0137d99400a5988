"""At most so many environments of the platform are kept whatever happens: each holds one slot while it is.

Two objects can't be written at once, so the order keeps them together. Who preserves notes the slot on the namespace
and renews its Lease last; who ends reads the Lease first, takes the note off, and then frees the Lease only as it was
read. Of the two, one sees the other: the renewal voids the freeing, or fails and is begun anew.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import leases, marks, observe, places, slots

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

PREFIX = "preserve"
"""Slots are Leases of the platform's namespace, named `preserve-0`, `preserve-1`, …"""

_READS = (environment.PRESERVED_UNTIL, environment.PRESERVE_SLOT)
_ATTEMPTS = 5
_CUT_OFF_AFTER = datetime.timedelta(minutes=10)
"""Between taking a slot and noting it on the namespace lie seconds."""


def holder(observed: environment.Observed) -> str:
    return f"{observed.uid} {observed.namespace}"


def preserve(
    cluster: client.Cluster,
    observed: environment.Observed,
    until: datetime.datetime,
    *,
    limit: int,
    home: str,
) -> environment.Observed:
    """Takes a slot in the platform's namespace `home`, then writes until when. Its own slot is taken again.

    Raises Refused when all are taken, naming by whom and until when, and when it is being destroyed; the slot is given
    back then.
    """
    had = observed.annotations.get(environment.PRESERVE_SLOT)
    acquire = functools.partial(slots.acquire, cluster, namespace=home, prefix=PREFIX, limit=limit)

    def decide(found: environment.Observed) -> marks.Changes:
        slot = acquire(holder=holder(found))
        if slot is None:
            raise _full(cluster, home=home, limit=limit)
        return {
            environment.PRESERVED_UNTIL: until.isoformat(timespec="seconds"),
            environment.PRESERVE_SLOT: slot,
        }

    for _attempt in range(_ATTEMPTS):
        try:
            observed = marks.change(cluster, observed, decide, reads=_READS)
        except errors.Refused:
            if not had:
                _free(cluster, _mine(cluster, observed, home=home))
            raise
        if cluster.dry_run or _renewed(cluster, observed, home=home):
            return observed
    raise errors.ClusterUnavailable(
        f"environment {observed.namespace} is preserved and unpreserved at the same time",
        hint="run the same command again",
    )


def end(cluster: client.Cluster, observed: environment.Observed, *, home: str) -> environment.Observed:
    """It is not preserved any more, and its slot is free. One that is not preserved is left as it is.

    Raises Refused when it is being destroyed: its slot goes with it.
    """
    mine = _mine(cluster, observed, home=home)

    def decide(found: environment.Observed) -> marks.Changes:
        mine[:] = _mine(cluster, found, home=home)
        return dict.fromkeys(_READS)

    if any(key in observed.annotations for key in _READS):
        observed = marks.change(cluster, observed, decide, reads=_READS)
    _free(cluster, mine)
    return observed


def expire(cluster: client.Cluster, observed: environment.Observed, *, home: str) -> environment.Observed | None:
    """Ends the preserve exactly as it was observed; None, and nothing is changed, when somebody renewed it since."""
    mine = _mine(cluster, observed, home=home)
    ended = marks.write(cluster, observed, dict.fromkeys(_READS), reads=_READS)
    if ended is not None:
        _free(cluster, mine)
    return ended


def tidy(
    cluster: client.Cluster, live: Sequence[environment.Observed], *, home: str, now: datetime.datetime
) -> tuple[str, ...]:
    """Frees slots whose environment is gone, or is not preserved: whoever took one was cut off. Returns their names."""
    freed = slots.reclaim(cluster, namespace=home, prefix=PREFIX, live={one.uid for one in live})
    idle = {holder(one) for one in live if environment.PRESERVE_SLOT not in one.annotations}
    unused = [one for one in slots.listed(cluster, home, PREFIX) if slots.holder_of(one) in idle]
    return (*freed, *_free(cluster, [one for one in unused if now - places.since(one) > _CUT_OFF_AFTER]))


def _renewed(cluster: client.Cluster, observed: environment.Observed, *, home: str) -> bool:
    """Whether it holds the slot that is noted on it; whoever read the Lease before can't free it any more."""
    for lease in _mine(cluster, observed, home=home):
        if lease["metadata"]["name"] == observed.annotations[environment.PRESERVE_SLOT]:
            renewal = {"renewTime": places.written(datetime.datetime.now(datetime.UTC))}
            return leases.write(cluster, lease, renewal).status == 200
    return False


def _free(cluster: client.Cluster, found: Sequence[Manifest]) -> list[str]:
    """Names of those that are free now, which are those that nobody renewed since they were `found`."""
    return [one["metadata"]["name"] for one in found if slots.drop(cluster, one)]


def _mine(cluster: client.Cluster, observed: environment.Observed, *, home: str) -> list[Manifest]:
    return [one for one in slots.listed(cluster, home, PREFIX) if slots.holder_of(one) == holder(observed)]


def _full(cluster: client.Cluster, *, home: str, limit: int) -> errors.Refused:
    owners = {owner.partition(" ")[0]: owner.partition(" ")[2] for owner in slots.held(cluster, home, PREFIX).values()}
    until = {one.uid: one.annotations.get(environment.PRESERVED_UNTIL, "") for one in observe.environments(cluster)}
    named = [f"{name} until {until[uid]}" if until.get(uid) else name for uid, name in sorted(owners.items())]
    return errors.Refused(
        f"{limit} environments are preserved, which is all that the platform allows: {', '.join(sorted(named))}",
        hint="end one of these with `k8s-ee unpreserve`, or wait; lifecycle.preserveLimit of the platform settings",
    )
