"""How many of each workload run in an environment, and how many did before somebody stopped them."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, messages, pool

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Counts = Mapping[str, int]
"""Replicas by "Kind/name"."""

STORES, SERVERS = "StatefulSet", "Deployment"
_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class Workload:
    kind: str
    name: str
    replicas: int
    resource_version: str

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"


def workloads(
    cluster: client.Cluster, observed: environment.Observed, of: Sequence[str] = (STORES, SERVERS)
) -> list[Workload]:
    """App and databases; what somebody made by hand in there is theirs to stop."""
    labels = {environment.MANAGED_BY: environment.MANAGER}
    listing = [functools.partial(cluster.list, kind, observed.namespace, labels) for kind in of]
    return [
        Workload(kind, item["metadata"]["name"], item["spec"].get("replicas", 1), item["metadata"]["resourceVersion"])
        for kind, items in zip(of, pool.side_by_side(listing), strict=True)
        for item in items
    ]


def wanted(observed: environment.Observed, found: Sequence[Workload]) -> Counts:
    """What runs now counts; of what is stopped, the record does. A record that can't be read is one of each."""
    recorded = _recorded(observed)
    known = {one.key: one.replicas or recorded.get(one.key, 0) for one in found}
    if not recorded and not any(known.values()):
        known = dict.fromkeys(known, 1)
    return {key: count for key, count in known.items() if count}


def of(kind: str, counts: Counts) -> Counts:
    return {key: count for key, count in counts.items() if key.startswith(f"{kind}/")}


def stop(
    cluster: client.Cluster, observed: environment.Observed, workload: Workload, *, still_wanted: Callable[[], bool]
) -> None:
    """As it was listed; if it changed, only while `still_wanted`: a deploy that changes it wants it to run."""
    for _attempt in range(_ATTEMPTS):
        if _scale(cluster, observed, workload, 0) != 409:
            return
        found = cluster.get(workload.kind, workload.name, observed.namespace)
        if found is None or not still_wanted():
            return
        workload = dataclasses.replace(workload, resource_version=found["metadata"]["resourceVersion"])
    raise _busy(workload)


def start(cluster: client.Cluster, observed: environment.Observed, found: Sequence[Workload], counts: Counts) -> None:
    """Those of `counts`. What runs already was started by somebody who knew better."""
    starting = [
        functools.partial(_start, cluster, observed, one, counts[one.key]) for one in found if one.key in counts
    ]
    pool.side_by_side(starting)


def _start(cluster: client.Cluster, observed: environment.Observed, workload: Workload, replicas: int) -> None:
    for _attempt in range(_ATTEMPTS):
        if workload.replicas or _scale(cluster, observed, workload, replicas) != 409:
            return
        found = cluster.get(workload.kind, workload.name, observed.namespace)
        if found is None:
            return
        metadata = found["metadata"]
        workload = dataclasses.replace(
            workload, replicas=found["spec"].get("replicas", 1), resource_version=metadata["resourceVersion"]
        )
    raise _busy(workload)


def _recorded(observed: environment.Observed) -> Counts:
    try:
        found = json.loads(observed.annotations.get(environment.REPLICAS, "{}"))
    except ValueError:
        return {}
    return {key: count for key, count in found.items() if type(count) is int} if isinstance(found, dict) else {}


def _busy(workload: Workload) -> errors.ClusterUnavailable:
    return errors.ClusterUnavailable(
        f"{workload.kind} {workload.name} keeps being changed by somebody else", hint="run the same command again"
    )


def _scale(cluster: client.Cluster, observed: environment.Observed, workload: Workload, replicas: int) -> int:
    """The status: 200, 404 when it is gone, 409 when it changed since."""
    path = kinds.kind(workload.kind).path(workload.name, namespace=observed.namespace, subresource="scale")
    answer = cluster.write(
        "PATCH",
        path,
        what=f"the scale of {workload.kind} {workload.name}",
        body={"metadata": {"resourceVersion": workload.resource_version}, "spec": {"replicas": replicas}},
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER},
        expected={404, 409},
    )
    return answer.status
