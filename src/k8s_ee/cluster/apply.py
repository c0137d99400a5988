"""Server-side apply of one component, and the removal of what it no longer has."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, messages, objects, pool, refusals, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_CONFLICTS = 3
_RECREATE_SECONDS = 60.0
_RECREATED = {"Job": "Foreground", "Deployment": "Background", "StatefulSet": "Orphan"}
"""What may be deleted and made again where it can't be changed, and what then happens to what it owns. A StatefulSet's
pods and volumes stay and are adopted by the new one; a Job goes after its pods, so that two never run side by side."""


def apply(
    cluster: client.Cluster, manifests: Sequence[Manifest], *, manager: str, namespace: str
) -> tuple[Manifest, ...]:
    """Objects as the API server has them then, in the order given; workloads after all the others.

    Fields that somebody else set on them are taken over: a hand edit must not wedge the next deploy. Raises what
    `transport.Transport.send` raises, after everything that was begun has ended.
    """
    done: dict[int, Manifest] = {}
    for late in (False, True):
        wave = [i for i, manifest in enumerate(manifests) if (manifest["kind"] in kinds.WORKLOADS) is late]
        work = [functools.partial(_one, cluster, manifests[i], manager, namespace) for i in wave]
        done.update(zip(wave, pool.side_by_side(work), strict=True))
    return tuple(done[i] for i in range(len(manifests)))


def _one(cluster: client.Cluster, manifest: Manifest, manager: str, namespace: str) -> Manifest:
    answer = _patch(cluster, manifest, manager, namespace)
    if answer.status == 422 and _immutable(answer) and manifest["kind"] in _RECREATED:
        if cluster.dry_run:
            return manifest
        _remove(cluster, manifest, namespace)
        answer = _patch(cluster, manifest, manager, namespace)
    if answer.status not in {200, 201}:
        raise refusals.error_of(_request(manifest, manager, namespace), answer)
    return answer.body


def _patch(cluster: client.Cluster, manifest: Manifest, manager: str, namespace: str) -> messages.Answer:
    request = _request(manifest, manager, namespace)
    for _attempt in range(_CONFLICTS):
        answer = cluster.write(
            request.method,
            request.path,
            what=request.what,
            body=request.body,
            content_type=request.content_type,
            query=request.query,
            expected={409, 422},
        )
        if answer.status != 409:
            break
    return answer


def _request(manifest: Manifest, manager: str, namespace: str) -> messages.Request:
    kind, name = kinds.kind(manifest["kind"], api_version=manifest["apiVersion"]), manifest["metadata"]["name"]
    return messages.Request(
        "PATCH",
        kind.path(name, namespace=namespace),
        f"{kind.name} {name}",
        query={"fieldManager": manager, "force": "true", "fieldValidation": "Strict"},
        body=manifest,
        content_type=messages.APPLY_PATCH,
    )


def _immutable(answer: messages.Answer) -> bool:
    return "field is immutable" in answer.message or "updates to statefulset spec" in answer.message


def _remove(cluster: client.Cluster, manifest: Manifest, namespace: str) -> None:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    found = cluster.get(kind, name, namespace)
    if found is None:
        return
    uid = found["metadata"]["uid"]
    pods = objects.owned_by(found, cluster.list("Pod", namespace)) if kind == "StatefulSet" else []
    cluster.delete(kind, name, namespace, uid=uid, propagation=_RECREATED[kind])
    deadline = time.monotonic() + _RECREATE_SECONDS
    if watching.gone(cluster, kind, name, namespace=namespace, uid=uid, deadline=deadline):
        raise errors.NotReady(
            f"{kind} {name} can't be changed in place and its old version is not gone after {_RECREATE_SECONDS:.0f} s",
            hint=f"see what holds it: kubectl -n {namespace} get {kind.lower()} {name} -o yaml",
        )
    _remove_unadoptable(cluster, pods, manifest, namespace)


def _remove_unadoptable(
    cluster: client.Cluster, pods: Sequence[Mapping[str, Any]], manifest: Manifest, namespace: str
) -> None:
    """Pods that the new selector does not match would keep their names, and so the new pods, for ever."""
    wanted = manifest["spec"]["selector"]["matchLabels"] if pods else {}
    for pod in pods:
        metadata = pod["metadata"]
        if not wanted.items() <= (metadata.get("labels") or {}).items():
            cluster.delete("Pod", metadata["name"], namespace, uid=metadata["uid"])


def prune(
    cluster: client.Cluster,
    namespace: str,
    *,
    component: str,
    manager: str,
    keep: Collection[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Deletes what the component once had and `keep` does not name, as (kind, name); returns what was deleted.

    Labels are not enough: StatefulSets stamp theirs on claims and Services on EndpointSlices. So it must also have been
    applied by `manager`, be owned by nothing, and be of a kind that holds no data.
    """
    listing = functools.partial(_owned, cluster, namespace, component, manager)
    found = pool.side_by_side([functools.partial(listing, kind) for kind in kinds.PRUNABLE])
    doomed = [
        (kind, item["metadata"])
        for kind, items in zip(kinds.PRUNABLE, found, strict=True)
        for item in items
        if (kind, item["metadata"]["name"]) not in keep
    ]
    deletes = [
        functools.partial(cluster.delete, kind, metadata["name"], namespace, uid=metadata["uid"])
        for kind, metadata in doomed
    ]
    answers = pool.side_by_side(deletes)
    return tuple(
        (kind, metadata["name"])
        for (kind, metadata), answer in zip(doomed, answers, strict=True)
        if answer.status < 300
    )


def _owned(cluster: client.Cluster, namespace: str, component: str, manager: str, kind: str) -> list[Mapping[str, Any]]:
    labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: component}
    try:
        items = cluster.listing(kind, namespace, labels=labels, metadata_only=True).items
    except refusals.UnknownKind:
        return []
    return [item for item in items if _applied_by(item, manager)]


def _applied_by(item: Mapping[str, Any], manager: str) -> bool:
    metadata = item["metadata"]
    fields = metadata.get("managedFields") or []
    ours = any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in fields)
    return ours and not metadata.get("ownerReferences") and "deletionTimestamp" not in metadata
