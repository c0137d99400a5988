"""What holds up the end of a namespace, and the one thing that may be done about it. Nothing is ever forced.

A finalizer is a promise of its controller to clean up. It is only taken off when the platform's settings say whose it
is, and the API server says that this controller does not exist any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors, lifecycle
from k8s_ee.cluster import diagnose, kinds, messages, pool

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]
Progress = Callable[[str], None]

_REMAINING = "NamespaceContentRemaining"
_ALWAYS = ("persistentvolumeclaims.", "pods.")
"""Looked at even if no condition names them: none does while pods are left, which go before everything else."""
_NATIVE = re.compile(r"[^/]*|([^/]*\.)?(kubernetes|k8s)\.io/.*", re.ASCII)
"""Finalizers that Kubernetes itself serves, and those of no domain: nobody's controller is gone for these."""
_NAMED = 5
"""Objects of one resource that are named; of the others the number."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """An object that is being deleted and is still there. `resource` as in "widgets.example.com".

    Without `finalizers` it is a pod that its node has not ended yet.
    """

    resource: str
    name: str
    path: str
    uid: str
    resource_version: str
    finalizers: tuple[str, ...]

    def __str__(self) -> str:
        if not self.finalizers:
            return f"{self.resource}/{self.name} has not ended yet"
        return f"{self.resource}/{self.name} is held by finalizer {', '.join(self.finalizers)}"


@dataclasses.dataclass(frozen=True)
class Report:
    """`removed`: finalizers that were taken off, each with its object. `blockers`: what still held it before that."""

    removed: tuple[str, ...]
    blockers: tuple[str, ...]


def blockers(cluster: client.Cluster, namespace: Manifest) -> tuple[str, ...]:
    """What its conditions say, and which objects hold which finalizers, as far as one may look. One line each."""
    return diagnose.blockers(namespace) + _described(holders(cluster, namespace))


def unstick(
    cluster: client.Cluster,
    observed: environment.Observed,
    orphans: Sequence[lifecycle.OrphanedFinalizer],
    progress: Progress,
) -> Report:
    """Takes off the finalizers of `orphans` whose controller is proven gone, from what is left in this namespace.

    Only while it is this one and terminating. Raises what the API server refuses.
    """
    namespace = cluster.get("Namespace", observed.namespace)
    if namespace is None or namespace["metadata"]["uid"] != observed.uid:
        return Report((), ())
    if not environment.from_namespace(namespace).terminating:
        return Report((), (f"Namespace {observed.namespace} is not being deleted",))
    found = holders(cluster, namespace)
    removed = []
    for holder, orphan in [(holder, orphan) for holder in found for orphan in orphans]:
        if orphan.finalizer in holder.finalizers and not _NATIVE.fullmatch(orphan.finalizer):
            proof = _gone(cluster, orphan)
            if proof and _remove(cluster, holder, orphan.finalizer):
                removed.append(f"{orphan.finalizer} of {holder.resource}/{holder.name}: {proof}")
                progress(f"took finalizer {removed[-1]}")
    return Report(tuple(removed), diagnose.blockers(namespace) + _described(found))


def holders(cluster: client.Cluster, namespace: Manifest) -> tuple[Holder, ...]:
    """What is being deleted and still there, of pods, claims and the resources that the conditions say are left."""
    name = namespace["metadata"]["name"]
    found = [functools.partial(_holders_of, cluster, one, name) for one in _remaining(namespace)]
    return tuple(holder for some in pool.side_by_side(found) for holder in some)


def _remaining(namespace: Manifest) -> list[str]:
    conditions = (namespace.get("status") or {}).get("conditions") or []
    texts = [c.get("message", "") for c in conditions if c.get("type") == _REMAINING and c.get("status") == "True"]
    return sorted(
        {*_ALWAYS, *(match[1] for text in texts for match in re.finditer(r"([a-z0-9.-]+) has \d+ resource", text))}
    )


def _holders_of(cluster: client.Cluster, resource: str, namespace: str) -> list[Holder]:
    """`resource` as conditions write it: "pods.", "widgets.example.com". Empty when one may not look."""
    plural, _, group = resource.partition(".")
    with contextlib.suppress(*errors.ONE_OF_MANY):
        kind = kinds.Kind(plural, _version(cluster, group), plural)
        items = cluster.metadata(kind.path(namespace=namespace), what=f"the {plural} of {namespace}")
        return [_holder(resource.rstrip("."), kind, item["metadata"]) for item in items if _held(plural, item)]
    return []


def _version(cluster: client.Cluster, group: str) -> str:
    """The API version, for example `example.com/v1`, that the cluster prefers for a group."""
    return cluster.preferred_version(group) if group else "v1"


def _held(plural: str, item: Manifest) -> bool:
    return "deletionTimestamp" in item["metadata"] and (plural == "pods" or bool(item["metadata"].get("finalizers")))


def _holder(resource: str, kind: kinds.Kind, metadata: Manifest) -> Holder:
    return Holder(
        resource=resource,
        name=metadata["name"],
        path=kind.path(metadata["name"], namespace=metadata["namespace"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        finalizers=tuple(metadata.get("finalizers") or ()),
    )


def _described(found: Collection[Holder]) -> tuple[str, ...]:
    lines = []
    for resource in sorted({holder.resource for holder in found}):
        mine = [holder for holder in found if holder.resource == resource]
        lines += [str(holder) for holder in mine[:_NAMED]]
        if len(mine) > _NAMED:
            lines.append(f"and {len(mine) - _NAMED} more of {resource}")
    return tuple(lines)


def _gone(cluster: client.Cluster, orphan: lifecycle.OrphanedFinalizer) -> str:
    """The proof in words; "" while it exists, or when it could not be asked: unknown is not absent."""
    namespace, _, name = orphan.deployment.partition("/")
    with contextlib.suppress(*errors.ONE_OF_MANY):
        if name and cluster.get("Deployment", name, namespace) is None:
            return f"its controller, Deployment {orphan.deployment}, does not exist"
        if orphan.api_service and cluster.get("APIService", orphan.api_service) is None:
            return f"its APIService {orphan.api_service} does not exist"
    return ""


def _remove(cluster: client.Cluster, holder: Holder, finalizer: str) -> bool:
    """One finalizer of one object, only as it was seen."""
    index = holder.finalizers.index(finalizer)
    path = f"/metadata/finalizers/{index}"
    answer = cluster.write(
        "PATCH",
        holder.path,
        what=f"{holder.resource} {holder.name}",
        body=[
            {"op": "test", "path": "/metadata/uid", "value": holder.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": holder.resource_version},
            {"op": "test", "path": path, "value": finalizer},
            {"op": "remove", "path": path},
        ],
        content_type=messages.JSON_PATCH,
        query={"fieldManager": environment.MANAGER},
        expected={404, 409, 422},
    )
    return answer.status == 200
