"""A fixed number of places, each a Lease that whoever creates it holds: the API server lets only one do that.

https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import environment
from k8s_ee.cluster import kinds

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

Check = Callable[[], object]
"""To be called before each of many acts; raises when there are to be no more."""

_ATTEMPTS = 5


def acquire(
    cluster: client.Cluster,
    *,
    namespace: str,
    prefix: str,
    limit: int,
    holder: str,
    annotations: Mapping[str, str] | None = None,
) -> str | None:
    """Name of the Lease (`PREFIX-0` to `PREFIX-(limit-1)`) that `holder` has now; None when all are taken.

    `holder` is the uid of an environment's namespace, a space, and its name. Whoever has one already gets the same
    again, even above a limit that was lowered since: nobody loses a slot by asking.
    """
    taken = held(cluster, namespace, prefix)
    mine = _mine(taken, holder)
    if mine:
        return mine
    for number in _free(taken, prefix, limit):
        lease = _lease(f"{prefix}-{number}", namespace, prefix=prefix, holder=holder, annotations=annotations or {})
        if cluster.create(lease) is not None:
            return _lowest(cluster, namespace, prefix, number=number, holder=holder)
        found = cluster.get("Lease", f"{prefix}-{number}", namespace)
        if found and holder_of(found) == holder:
            return f"{prefix}-{number}"
    return None


def release(cluster: client.Cluster, namespace: str, name: str, holder: str) -> bool:
    """Whether `holder` had it, and it is free now. One that is somebody else's is left alone."""
    for _attempt in range(_ATTEMPTS):
        found = cluster.get("Lease", name, namespace)
        if found is None or holder_of(found) != holder:
            return False
        if drop(cluster, found):
            return True
    return False


def held(cluster: client.Cluster, namespace: str, prefix: str) -> dict[str, str]:
    """Holder of each slot that is taken, by name."""
    return {lease["metadata"]["name"]: holder_of(lease) for lease in listed(cluster, namespace, prefix)}


def reclaim(
    cluster: client.Cluster, *, namespace: str, prefix: str, live: Collection[str], check: Check = lambda: None
) -> tuple[str, ...]:
    """Frees the slots of environments that are gone, and returns the names of these slots.

    `live` are uids of environments that exist. It may be old: that one is gone is asked again
    for each. A holder that is not written the way `acquire` is given it belongs to somebody else, and stays.
    """
    freed = []
    for lease in listed(cluster, namespace, prefix):
        check()
        uid, _, name = holder_of(lease).partition(" ")
        if uid and name and uid not in live and _gone(cluster, name, uid) and drop(cluster, lease):
            freed.append(lease["metadata"]["name"])
    return tuple(freed)


def _gone(cluster: client.Cluster, name: str, uid: str) -> bool:
    found = cluster.get("Namespace", name)
    return found is None or found["metadata"]["uid"] != uid


def listed(cluster: client.Cluster, namespace: str, prefix: str) -> list[Manifest]:
    """The Lease of each slot that is taken."""
    return [one for one in cluster.list("Lease", namespace) if _number(one["metadata"]["name"], prefix) is not None]


def _number(name: str, prefix: str) -> int | None:
    matched = re.fullmatch(rf"{re.escape(prefix)}-([0-9]{{1,6}})", name, re.ASCII)
    return int(matched[1]) if matched else None


def _free(taken: Collection[str], prefix: str, limit: int) -> list[int]:
    """Numbers that may be tried. Slots above a limit that was lowered count until they are given back.

    Below `bound` all may be taken, and together with those above it that makes no more than `limit`. Since nobody
    takes one above the bound, that holds for any number of processes that come to the same numbers at once.
    """
    numbers = {number for name in taken if (number := _number(name, prefix)) is not None}
    bound = limit
    while bound > 0 and bound + sum(number >= bound for number in numbers) > limit:
        bound -= 1
    return [number for number in range(bound) if number not in numbers]


def _lowest(cluster: client.Cluster, namespace: str, prefix: str, *, number: int, holder: str) -> str:
    """Two processes of one holder may have got one each, when another was freed between their reads."""
    name = f"{prefix}-{number}"
    if cluster.dry_run:
        return name
    lowest = _mine(held(cluster, namespace, prefix), holder) or name
    if lowest != name:
        release(cluster, namespace, name, holder)
    return lowest


def _mine(taken: Mapping[str, str], holder: str) -> str | None:
    mine = [name for name, owner in taken.items() if owner == holder]
    return min(mine, key=lambda name: int(name.rpartition("-")[2]), default=None)


def holder_of(lease: Manifest) -> str:
    """Empty when nobody has it."""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _lease(name: str, namespace: str, *, prefix: str, holder: str, annotations: Mapping[str, str]) -> Manifest:
    labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: prefix}
    return {
        "apiVersion": kinds.kind("Lease").api_version,
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": dict(annotations)},
        "spec": {"holderIdentity": holder},
    }


def drop(cluster: client.Cluster, lease: Manifest) -> bool:
    """Whether it is free now. Only as it was read: by now it may be somebody else's."""
    metadata = lease["metadata"]
    answer = cluster.delete(
        "Lease",
        metadata["name"],
        metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )
    return answer.status < 300
