"""One migration at a time, also where a deploy was cut off while its own ran."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import objects, pods, pool, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_ASKED = ("backoffLimit", "activeDeadlineSeconds", "podFailurePolicy")
_OF_ITS_UID = ("controller-uid", "job-name")


def make_room(
    cluster: client.Cluster,
    namespace: str,
    app: str,
    wanted: Collection[str],
    *,
    deadline: float,
    progress: Callable[[str], None],
) -> None:
    """Returns when no migration is at work but Jobs whose names are `wanted`, and none of these has failed.

    What has begun to migrate is waited for: cut off, it may leave tables half changed. A Job that has not is deleted:
    it may wait for an image that will never be there. So is a wanted one that failed, for it would stay so, and one
    whose image or Secret was not to be had, for its next try may be minutes away. Raises NotReady at `deadline`
    (`time.monotonic()`).
    """
    mine = _labels(app)
    listing = [functools.partial(cluster.list, kind, namespace, mine) for kind in ("Job", "Pod")]
    found_jobs, found_pods = pool.side_by_side(listing)
    if cluster.dry_run or not any(_in_the_way(found_jobs, found_pods, wanted)):
        return
    deleted, said = set[str](), set[str]()
    subjects = [watching.Subject(kind, namespace, labels=tuple(mine.items())) for kind in ("Job", "Pod")]
    with watching.watching(cluster, subjects) as watch:
        for view in watch.until(deadline):
            some = view.of("Pod")
            jobs, ending = _in_the_way(view.of("Job"), some, wanted)
            if not jobs and not ending:
                return
            for job in jobs:
                if job["metadata"]["uid"] not in deleted and not _is_working(job, some):
                    deleted.add(job["metadata"]["uid"])
                    _delete(cluster, job)
            for one in (*jobs, *ending):
                if one["metadata"]["uid"] not in deleted | said:
                    said.add(one["metadata"]["uid"])
                    progress(f"{one['metadata']['name']}: a migration of an earlier deploy, waiting for its end")
    raise _still_there(namespace, (*jobs, *ending))


def completed(cluster: client.Cluster, namespace: str, app: str) -> list[Manifest]:
    """Jobs of migrations that came to their end."""
    return [job for job in cluster.list("Job", namespace, _labels(app)) if _complete(job)]


def _labels(app: str) -> dict[str, str]:
    return {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: app}


def anew(job: Manifest) -> Manifest:
    """As it was asked for, without what the cluster wrote into it: to be made once more."""
    template, spec = job["spec"]["template"], {key: job["spec"][key] for key in _ASKED if key in job["spec"]}
    labels = {
        key: text for key, text in template["metadata"].get("labels", {}).items() if not key.endswith(_OF_ITS_UID)
    }
    metadata = {key: value for key, value in job["metadata"].items() if key in {"name", "labels"}}
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**spec, "template": template}}


def _delete(cluster: client.Cluster, job: Manifest) -> None:
    """It stays until its pods are gone."""
    metadata = job["metadata"]
    cluster.delete("Job", metadata["name"], metadata["namespace"], uid=metadata["uid"], propagation="Foreground")


def _still_there(namespace: str, left: Sequence[Manifest]) -> errors.NotReady:
    names = ", ".join(one["metadata"]["name"] for one in left)
    return errors.NotReady(
        f"the migration of an earlier deploy still runs: {names}",
        hint=f"`kubectl -n {namespace} logs --selector app.kubernetes.io/name=migrate` shows what it does; "
        "run the same command again when it is over, or once you have deleted its Job",
    )


def _in_the_way(
    jobs: Sequence[Manifest], some: Sequence[Manifest], wanted: Collection[str]
) -> tuple[list[Manifest], list[Manifest]]:
    """Jobs that are at work or must be made anew; and pods, not yet over, whose Job is gone or over."""

    def blocks(job: Manifest) -> bool:
        is_wanted = job["metadata"]["name"] in wanted
        return _failed(job) == is_wanted or (is_wanted and _is_stuck(job, some))

    blocking = [job for job in jobs if blocks(job) and not _complete(job)]
    others = [job for job in jobs if job in blocking or job["metadata"]["name"] in wanted]
    known = {job["metadata"]["uid"] for job in others}
    owned = [(pod, [o for o in pod["metadata"].get("ownerReferences") or [] if o["kind"] == "Job"]) for pod in some]
    ending = [
        pod for pod, jobs in owned if jobs and not objects.is_over(pod) and not known & {one["uid"] for one in jobs}
    ]
    return blocking, ending


def _is_working(job: Manifest, some: Sequence[Manifest]) -> bool:
    return not _failed(job) and any(map(_begun, objects.owned_by(job, some)))


def _is_stuck(job: Manifest, some: Sequence[Manifest]) -> bool:
    mine = objects.owned_by(job, some)
    return not any(map(_begun, mine)) and any(found.backs_off for pod in mine for found in pods.findings(pod, ()))


def _failed(job: Manifest) -> bool:
    return bool(objects.conditions(job, "Failed", "True"))


def _complete(job: Manifest) -> bool:
    return bool(objects.conditions(job, "Complete", "True"))


def _begun(pod: Mapping[str, Any]) -> bool:
    """Whether its own container was started; those that wait for databases come before it."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any({"running", "terminated"} & (one.get("state") or {}).keys() for one in statuses)
