"""The route of an environment that sleeps is parked, so that the platform's wildcard route takes its address.

A parked Ingress has a class that nobody serves and notes the one it had. It stays what it is otherwise, its certificate
too, and a deploy, which applies it as a whole, brings it back like `reopen` does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, messages, pool

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

PARKED = "k8s-ee-asleep"
_ATTEMPTS = 10


def leading(cluster: client.Cluster, namespace: str) -> list[Manifest]:
    """The Ingresses, of our making, that lead to the environment."""
    return [one for one in _listed(cluster, namespace) if _class_of(one) != PARKED]


def park(cluster: client.Cluster, namespace: str, found: Sequence[Manifest], *, wanted: Callable[[], bool]) -> None:
    """`found` as it was when that was decided; of what changed since it is parked what is still `wanted`."""
    pool.side_by_side([functools.partial(_move, cluster, namespace, one, to=_parked, wanted=wanted) for one in found])


def reopen(cluster: client.Cluster, namespace: str) -> None:
    parked = [one for one in _listed(cluster, namespace) if _class_of(one) == PARKED]
    pool.side_by_side([functools.partial(_move, cluster, namespace, one, to=_opened) for one in parked])


def _listed(cluster: client.Cluster, namespace: str) -> Sequence[Manifest]:
    return cluster.list("Ingress", namespace, {environment.MANAGED_BY: environment.MANAGER})


def _class_of(ingress: Manifest) -> str:
    return str(ingress["spec"].get("ingressClassName") or "")


def _parked(ingress: Manifest) -> tuple[str, str | None]:
    return PARKED, _class_of(ingress)


def _opened(ingress: Manifest) -> tuple[str, None]:
    return (ingress["metadata"].get("annotations") or {}).get(environment.ROUTE_CLASS, ""), None


def _move(
    cluster: client.Cluster,
    namespace: str,
    ingress: Manifest,
    *,
    to: Callable[[Manifest], tuple[str, str | None]],
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Raises ClusterUnavailable when it keeps changing: an ingress controller writes to it, too, but seldom."""
    name = ingress["metadata"]["name"]
    before = _class_of(ingress) == PARKED
    for _attempt in range(_ATTEMPTS):
        if _write(cluster, namespace, ingress, *to(ingress)) != 409:
            return
        found = cluster.get("Ingress", name, namespace)
        if found is None or (_class_of(found) == PARKED) is not before or not wanted():
            return
        ingress = found
    raise errors.ClusterUnavailable(
        f"Ingress {name} keeps being changed by somebody else", hint="run the same command again"
    )


def _write(cluster: client.Cluster, namespace: str, ingress: Manifest, name: str, noted: str | None) -> int:
    """The status: 200, 404 when it is gone, 409 when it changed since. null removes in a merge patch."""
    metadata = ingress["metadata"]
    guard = {"resourceVersion": metadata["resourceVersion"], "annotations": {environment.ROUTE_CLASS: noted}}
    answer = cluster.write(
        "PATCH",
        kinds.kind("Ingress").path(metadata["name"], namespace=namespace),
        what=f"the route of Ingress {metadata['name']}",
        body={"metadata": guard, "spec": {"ingressClassName": name or None}},
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER},
        expected={404, 409},
    )
    return answer.status
