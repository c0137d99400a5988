"""Takes a database out of a live environment, data and all, while nothing of the app runs."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, messages, pool, volumes, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_CLAIM, _VOLUME = "PersistentVolumeClaim", "PersistentVolume"
_VOLUME_SECONDS = 60.0


def stop_app(cluster: client.Cluster, namespace: str, app: str, *, deadline: float) -> None:
    """Deployment and Jobs of the app, until none of its pods is there.

    The Jobs are deleted: they run again. Raises NotReady for pods that do not end until `deadline`
    (`time.monotonic()`).
    """
    mine = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: app}
    cluster.write(
        "PATCH",
        kinds.kind("Deployment").path(app, namespace=namespace, subresource="scale"),
        what=f"the scale of Deployment {app}",
        body={"spec": {"replicas": 0}},
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER},
        expected={404},
    )
    remove = functools.partial(delete, cluster, namespace, deadline=deadline)
    pool.side_by_side([functools.partial(remove, job, "Job") for job in cluster.list("Job", namespace, mine)])
    with watching.watching(cluster, [watching.Subject("Pod", namespace, labels=tuple(mine.items()))]) as watch:
        for view in watch.until(deadline):
            left = sorted(pod["metadata"]["name"] for pod in view.of("Pod"))
            if not left:
                return
    raise errors.NotReady(
        f"the app does not stop: {', '.join(left)}", hint="nothing was deleted; run the same command again"
    )


def remove(
    cluster: client.Cluster, namespace: str, name: str, *, pod: str, claim: str, deadline: float
) -> tuple[str, ...]:
    """StatefulSet, pod, claim and volume of the database `name`: each is seen gone before the next one goes.

    Whatever is left of its storage, described. Raises NotReady when one of the others does not go until `deadline`
    (`time.monotonic()`).
    """
    for kind, one in (("StatefulSet", name), ("Pod", pod)):
        delete(cluster, namespace, cluster.get(kind, one, namespace), kind, deadline=deadline)
    found = cluster.get(_CLAIM, claim, namespace)
    delete(cluster, namespace, found, _CLAIM, deadline=deadline)
    volume = found["spec"].get("volumeName") if found else None
    return _left(cluster, volume, deadline=min(deadline, time.monotonic() + _VOLUME_SECONDS)) if volume else ()


def delete(cluster: client.Cluster, namespace: str, found: Manifest | None, kind: str, *, deadline: float) -> None:
    """This very object, if it is there, until it is gone. Raises NotReady when that takes longer."""
    if found is None:
        return
    name, uid = found["metadata"]["name"], found["metadata"]["uid"]
    cluster.delete(kind, name, namespace, uid=uid)
    left = watching.gone(cluster, kind, name, namespace=namespace, uid=uid, deadline=deadline)
    if left:
        held = ", ".join(left["metadata"].get("finalizers") or []) or "nothing that can be seen"
        raise errors.NotReady(
            f"{kind} {name} was deleted, and does not go (held by {held})",
            hint=f"kubectl -n {namespace} describe {kind.lower()} {name}; then run the same command again",
        )


def _left(cluster: client.Cluster, name: str, *, deadline: float) -> tuple[str, ...]:
    """Its provisioner takes it away some time after the claim; one with another reclaim policy stays for good."""
    try:
        with watching.watching(cluster, [watching.Subject(_VOLUME, name=name)]) as watch:
            for view in watch.until(deadline):
                found = view.get(_VOLUME, name)
                if found is None:
                    return ()
                left = volumes.described(found)
                if found["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
                    break
    except errors.Refused:
        left = f"{_VOLUME} {name}: not allowed to look whether it is gone"
    return (left,)
