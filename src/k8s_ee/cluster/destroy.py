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
from k8s_ee.cluster import patches, pool, unstick, volumes, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]
Progress = Callable[[str], None]

_GRACE_SECONDS = 1
"""Nobody is served any more, so nothing has to be drained: the end waits for the slowest pod."""
_PODS_FIRST_SINCE = (1, 33)
_PODS_SECONDS = 30.0
_VOLUME_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_RECHECK_SECONDS = 5.0
"""Whoever lost its labels is not watched any more."""
_CLAIM = "PersistentVolumeClaim"
_WORKLOADS = ("Deployment", "StatefulSet", "CronJob", "Job")


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


@dataclasses.dataclass(frozen=True)
class Survey:
    """What many environments consist of, asked once for all of them; see `survey`.

    `kinds` has the kinds of workload, and Ingress, by namespace. A kind that is missing there was made since and goes
    with the namespace, only later. `volumes` None: not allowed to look.
    """

    kinds: Mapping[str, frozenset[str]]
    claims: Mapping[str, tuple[Manifest, ...]]
    volumes: Mapping[str, tuple[str, ...]] | None


@dataclasses.dataclass(frozen=True)
class Begun:
    """One that is on its way out, or (`gone`) was not there any more. `volumes` are those of its claims."""

    observed: environment.Observed
    volumes: tuple[str, ...] = ()
    gone: bool = False


def destroy(cluster: client.Cluster, observed: environment.Observed, *, deadline: float, progress: Progress) -> Receipt:
    """Destroys the environment exactly as it was `observed`; one that is gone already gets its receipt, too.

    Waits until `deadline` (`time.monotonic()`); what blocks then is in the receipt. Raises Changed when somebody wrote
    to the namespace since, and what the API server's refusals are.
    """
    (receipt,) = finish(cluster, [begin(cluster, observed, progress)], deadline=deadline, progress=progress)
    return receipt


def survey(cluster: client.Cluster) -> Survey:
    """Eight lists in place of nine requests for each of many environments. Needs the right to list everywhere."""
    wanted = ("Ingress", *_WORKLOADS, "Pod", _CLAIM)
    listing = [functools.partial(cluster.listing, kind, metadata_only=True) for kind in wanted]
    kinds_of: dict[str, set[str]] = {}
    claims: dict[str, list[Manifest]] = {}
    for kind, found in zip(wanted, pool.side_by_side(listing), strict=True):
        for item in found.items:
            namespace = item["metadata"]["namespace"]
            kinds_of.setdefault(namespace, set()).add(kind)
            if kind == _CLAIM:
                claims.setdefault(namespace, []).append(item)
    return Survey(
        kinds={namespace: frozenset(found) for namespace, found in kinds_of.items()},
        claims={namespace: tuple(found) for namespace, found in claims.items()},
        volumes=volumes.bound(cluster),
    )


def begin(
    cluster: client.Cluster, observed: environment.Observed, progress: Progress, *, known: Survey | None = None
) -> Begun:
    """Marks it, stops traffic and what runs, and asks for its deletion, all of it only as it was `observed`.

    `known` spares what is not there: with it, an empty environment costs two requests, without it at least nine.
    Raises what `destroy` does.
    """
    name = observed.namespace
    marked = observed if observed.terminating else _mark(cluster, observed)
    bound = (known.volumes if known else volumes.bound(cluster)) or {}
    begun = Begun(observed, volumes=bound.get(name, ()), gone=marked is None)
    if marked is not None:
        _empty(cluster, name, progress, only=None if known is None else known.kinds.get(name, frozenset()))
        claims = _claims_of(cluster, name) if known is None else known.claims.get(name, ())
        if _delete_namespace(cluster, marked, progress):
            _delete_claims(cluster, name, claims)
    return begun


def finish(cluster: client.Cluster, begun: Sequence[Begun], *, deadline: float, progress: Progress) -> list[Receipt]:
    """Waits for all of them at once until `deadline` (`time.monotonic()`); one receipt each, in order."""
    if cluster.dry_run:
        return [_on_paper(one) for one in begun]
    left = _await_namespaces(cluster, [one for one in begun if not one.gone], deadline=deadline, progress=progress)
    gone = [one for one in begun if one.observed.uid not in left]
    receipts = {one.observed.uid: _stuck(cluster, one, left[one.observed.uid]) for one in begun if one not in gone}
    receipts |= {one.uid: one for one in _with_volumes(cluster, gone, deadline)}
    return [receipts[one.observed.uid] for one in begun]


def _on_paper(begun: Begun) -> Receipt:
    name, bound = begun.observed.namespace, [f"PersistentVolume {volume}" for volume in begun.volumes]
    if begun.gone:
        return Receipt(name, begun.observed.uid, deleted=True)
    return Receipt(name, begun.observed.uid, deleted=False, left=(f"Namespace {name} (dry run)", *bound))


def _stuck(cluster: client.Cluster, begun: Begun, namespace: Manifest) -> Receipt:
    name = begun.observed.namespace
    bound = [f"PersistentVolume {volume}" for volume in begun.volumes]
    if "status" not in namespace:  # There was no time for a look.
        namespace = cluster.get("Namespace", name) or namespace
    named = unstick.blockers(cluster, namespace)
    return Receipt(name, begun.observed.uid, deleted=False, left=(f"Namespace {name}", *named, *bound))


def _await_namespaces(
    cluster: client.Cluster, begun: Sequence[Begun], *, deadline: float, progress: Progress
) -> dict[str, Manifest]:
    """Those not gone at the deadline, by uid, as they were last seen. Gone is what the API server said 404 of."""
    waiting = {one.observed.uid: str(one.observed.namespace) for one in begun}
    if not waiting:
        return {}
    single = next(iter(waiting.values())) if len(waiting) == 1 else ""
    subject = watching.Subject("Namespace", name=single, labels=() if single else tuple(environment.OURS.items()))
    with watching.watching(cluster, [subject]) as watch:
        while True:
            watch.next(min(_RECHECK_SECONDS, deadline - time.monotonic()))
            over = time.monotonic() >= deadline
            view = watch.again() if over else watch.view
            seen = {found["metadata"]["uid"]: found for found in view.of("Namespace")}
            missing = [uid for uid in waiting if uid not in seen] if over or watch.complete else []
            checks = [
                functools.partial(watching.absent, cluster, "Namespace", waiting[uid], uid=uid) for uid in missing
            ]
            for uid, absent in zip(missing, pool.side_by_side(checks), strict=True):
                if absent:
                    progress(f"namespace {waiting.pop(uid)} is gone")
            if not waiting or over:
                return {uid: seen.get(uid, {"metadata": {"name": name, "uid": uid}}) for uid, name in waiting.items()}


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


def _empty(cluster: client.Cluster, name: str, progress: Progress, *, only: frozenset[str] | None) -> None:
    """Traffic first, then what runs. The namespace controller would do it, but only five seconds later."""
    present = frozenset({"Ingress", *_WORKLOADS, "Pod"}) if only is None else only
    if present - {_CLAIM}:
        progress(f"stopping what runs in {name}")
    if "Ingress" in present:
        cluster.delete_all("Ingress", name)
    stopping = [functools.partial(cluster.delete_all, kind, name) for kind in _WORKLOADS if kind in present]
    pool.side_by_side(stopping)
    if "Pod" not in present and not {*_WORKLOADS} & present:
        return
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
        for view in watch.until(deadline):
            if not view.of("Pod"):
                return


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


def _with_volumes(cluster: client.Cluster, gone: Sequence[Begun], deadline: float) -> list[Receipt]:
    """Storage is given back by its provisioner some time after the claim; what stays is named."""
    if not gone:
        return []
    # Also for whoever waited for the namespace until the very end.
    until = max(min(deadline, time.monotonic() + _VOLUME_SECONDS), time.monotonic() + _LOOK_SECONDS)
    names = {str(one.observed.namespace) for one in gone}
    try:
        remaining = volumes.remaining(cluster, names, until)
    except errors.Refused:
        remaining, unknown = [], ("PersistentVolumes: not allowed to look whether they are gone",)
        return [Receipt(one.observed.namespace, one.observed.uid, deleted=True, left=unknown) for one in gone]
    return [
        _receipt(one, [pv for pv in remaining if volumes.namespace_of(pv) == one.observed.namespace]) for one in gone
    ]


def _receipt(begun: Begun, remaining: Sequence[Manifest]) -> Receipt:
    names = {volume["metadata"]["name"] for volume in remaining}
    return Receipt(
        begun.observed.namespace,
        begun.observed.uid,
        deleted=True,
        left=tuple(volumes.described(volume) for volume in remaining),
        volumes=tuple(volume for volume in begun.volumes if volume not in names),
    )
