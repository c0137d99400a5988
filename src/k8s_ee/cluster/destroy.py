"""The end of one environment, and the proof of it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import diagnose, kinds, patches, pool, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]
Progress = Callable[[str], None]

_GRACE_SECONDS = 1
"""Nobody is served any more, so nothing has to be drained: the end waits for the slowest pod."""
_PODS_FIRST_SINCE = (1, 33)
_PODS_SECONDS = 30.0
_VOLUME_SECONDS = 60.0


class Changed(errors.Refused):
    """The environment changed since it was judged, so the judgement is void. Nothing was deleted."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"environment {name} was changed while it was about to be destroyed: it was left alone",
            hint="run the same command again: it decides anew",
        )


@dataclasses.dataclass(frozen=True)
class Receipt:
    """`deleted`: a 404 for this uid was seen. `left` names what is still there or could not be looked at; `volumes` are
    the PersistentVolumes seen gone."""

    namespace: str
    uid: str
    deleted: bool
    left: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def destroy(cluster: client.Cluster, observed: environment.Observed, *, deadline: float, progress: Progress) -> Receipt:
    """Destroys the environment exactly as it was `observed`; one that is gone already gets its receipt, too.

    Waits until `deadline` (`time.monotonic()`); what blocks then is in the receipt. Raises Changed when somebody wrote
    to the namespace since, and what the API server's refusals are.
    """
    name, uid = observed.namespace, observed.uid
    marked = observed if observed.terminating else _mark(cluster, observed)
    volumes = _volumes_of(cluster, name)
    if marked is not None:
        _empty(cluster, name, progress)
        claims = _claims_of(cluster, name)
        if _delete_namespace(cluster, marked, progress):
            _delete_claims(cluster, name, claims)
        bound = [f"PersistentVolume {volume}" for volume in volumes]
        if cluster.dry_run:
            return Receipt(name, uid, deleted=False, left=(f"Namespace {name} (dry run)", *bound))
        left = watching.gone(cluster, "Namespace", name, uid=uid, deadline=deadline)
        if left:
            return Receipt(name, uid, deleted=False, left=(f"Namespace {name}", *diagnose.blockers(left), *bound))
        progress(f"namespace {name} is gone")
    elif cluster.dry_run:
        return Receipt(name, uid, deleted=True)
    return _with_volumes(cluster, observed, volumes, deadline)


def _mark(cluster: client.Cluster, observed: environment.Observed) -> environment.Observed | None:
    """The point of no return: one atomic write that only succeeds on what was judged. None when it is gone.

    Before it nothing is deleted, and after it whoever looks knows that this environment is on its way out.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    answer = cluster.json_patch(
        observed.namespace,
        [
            *patches.same(observed.uid, resource_version=observed.resource_version),
            *patches.annotate({environment.CLEANUP_REQUESTED_AT: now}),
        ],
    )
    if answer.status == 200:
        return environment.from_namespace(answer.body)
    found = cluster.get("Namespace", observed.namespace)
    if found is None or found["metadata"]["uid"] != observed.uid:
        return None
    if "deletionTimestamp" in found["metadata"]:
        return environment.from_namespace(found)
    raise Changed(observed.namespace)


def _empty(cluster: client.Cluster, name: str, progress: Progress) -> None:
    """Traffic first, then what runs. The namespace controller would do it, but only five seconds later."""
    progress(f"stopping what runs in {name}")
    cluster.delete_all("Ingress", name)
    workloads = ("Deployment", "StatefulSet", "CronJob", "Job")
    pool.side_by_side([functools.partial(cluster.delete_all, kind, name) for kind in workloads])
    cluster.delete_all("Pod", name, grace_seconds=_GRACE_SECONDS)
    if not cluster.dry_run and _number(cluster.version()) < _PODS_FIRST_SINCE:
        _await_pods(cluster, name)


def _number(version: str) -> tuple[int, int]:
    major, minor = [*version.split("."), "0"][:2]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _await_pods(cluster: client.Cluster, name: str) -> None:
    """Older clusters may delete network policies before the pods they fence (CVE-2024-7598)."""
    deadline = time.monotonic() + _PODS_SECONDS
    with watching.watching(cluster, [watching.Subject("Pod", name)]) as watch:
        while time.monotonic() < deadline and not (watch.complete and not watch.view.of("Pod")):
            watch.next(deadline - time.monotonic())


def _delete_namespace(cluster: client.Cluster, marked: environment.Observed, progress: Progress) -> bool:
    """Whether it is on its way out now; not, if it is gone already. Raises Changed when it was claimed back."""
    progress(f"deleting namespace {marked.namespace}")
    version = marked.resource_version
    for _attempt in range(5):
        answer = cluster.delete("Namespace", marked.namespace, uid=marked.uid, resource_version=version)
        if answer.status != 409:
            return answer.status < 300
        found = cluster.get("Namespace", marked.namespace)
        if found is None or found["metadata"]["uid"] != marked.uid:
            return False
        if "deletionTimestamp" in found["metadata"]:
            return True
        annotations = found["metadata"].get("annotations") or {}
        if annotations.get(environment.CLEANUP_REQUESTED_AT) != marked.annotations.get(
            environment.CLEANUP_REQUESTED_AT
        ):
            raise Changed(marked.namespace)
        version = found["metadata"]["resourceVersion"]
    raise Changed(marked.namespace)


def _claims_of(cluster: client.Cluster, name: str) -> tuple[Manifest, ...]:
    try:
        return cluster.list("PersistentVolumeClaim", name)
    except errors.Refused:
        return ()


def _delete_claims(cluster: client.Cluster, name: str, claims: Sequence[Manifest]) -> None:
    """The namespace controller does it as well, but then needs another round, five seconds later, to see them gone.

    Not before the namespace itself: until then somebody may claim the environment back, with its data. `claims` were
    listed before that, so they are of the namespace that was deleted and of no later one of its name.
    """
    with contextlib.suppress(errors.Refused):
        for claim in claims:
            metadata = claim["metadata"]
            cluster.delete("PersistentVolumeClaim", metadata["name"], name, uid=metadata["uid"])


def _volumes_of(cluster: client.Cluster, name: str) -> tuple[str, ...]:
    """Names of the PersistentVolumes bound to claims of the namespace, live or of an earlier one of that name."""
    try:
        found = cluster.list("PersistentVolume")
    except errors.Refused:
        return ()
    return tuple(sorted(pv["metadata"]["name"] for pv in found if _claim(pv).get("namespace") == name))


def _claim(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    return (volume.get("spec") or {}).get("claimRef") or {}


def _with_volumes(
    cluster: client.Cluster, observed: environment.Observed, volumes: tuple[str, ...], deadline: float
) -> Receipt:
    """Storage is given back by its provisioner some time after the claim; what stays is named."""
    name = observed.namespace
    try:
        remaining = _await_volumes(cluster, observed, min(deadline, time.monotonic() + _VOLUME_SECONDS))
    except errors.Refused:
        unknown = "PersistentVolumes: not allowed to look whether they are gone"
        return Receipt(name, observed.uid, deleted=True, left=(unknown,))
    named = tuple(_described(volume) for volume in remaining)
    names = {volume["metadata"]["name"] for volume in remaining}
    gone = tuple(volume for volume in volumes if volume not in names)
    return Receipt(name, observed.uid, deleted=True, left=named, volumes=gone)


def _await_volumes(cluster: client.Cluster, observed: environment.Observed, deadline: float) -> list[Manifest]:
    """What is left of claims that no longer exist; a new environment of that name may have claims of its own."""
    with watching.watching(cluster, [watching.Subject("PersistentVolume")]) as watch:
        while True:
            watch.next(deadline - time.monotonic())
            mine = [pv for pv in watch.view.of("PersistentVolume") if _claim(pv).get("namespace") == observed.namespace]
            if watch.complete and mine:
                live = {pvc["metadata"]["uid"] for pvc in _live_claims(cluster, observed.namespace)}
                mine = [pv for pv in mine if _claim(pv).get("uid") not in live]
            if (watch.complete and not mine) or time.monotonic() >= deadline:
                return mine


def _live_claims(cluster: client.Cluster, namespace: str) -> tuple[Manifest, ...]:
    return cluster.list(kinds.kind("PersistentVolumeClaim").name, namespace)


def _described(volume: Mapping[str, Any]) -> str:
    spec, status = volume.get("spec") or {}, volume.get("status") or {}
    policy = spec.get("persistentVolumeReclaimPolicy", "?")
    return f"PersistentVolume {volume['metadata']['name']} ({status.get('phase', '?')}, reclaim policy {policy})"
