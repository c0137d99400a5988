"""Questions about environments that one or two reads answer."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import pool

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"


def environments(cluster: client.Cluster) -> list[environment.Observed]:
    """All of them, or an error. A namespace whose identity labels were broken by hand is nobody's, and not listed."""
    return _observed(cluster, {})


def find(cluster: client.Cluster, repository_id: int, number: int) -> list[environment.Observed]:
    """The environments of one pull request, of any project."""
    return _observed(cluster, {environment.REPOSITORY_ID: str(repository_id), environment.PULL_REQUEST: str(number)})


def _observed(cluster: client.Cluster, labels: Mapping[str, str]) -> list[environment.Observed]:
    found = []
    for namespace in cluster.list("Namespace", labels={**environment.OURS, **labels}):
        try:
            found.append(environment.from_namespace(namespace))
        except errors.Refused:
            continue
    return found


def serving(cluster: client.Cluster, namespace: str, service: str) -> set[str]:
    """Head SHAs of the pods behind the Service's ready endpoints; "" stands for a pod that has none or is gone."""
    slices, pods = pool.side_by_side(
        [
            functools.partial(cluster.list, "EndpointSlice", namespace, {SERVICE_NAME: service}),
            functools.partial(cluster.list, "Pod", namespace),
        ]
    )
    return shas(slices, pods)


def shas(slices: list[Manifest] | tuple[Manifest, ...], pods: list[Manifest] | tuple[Manifest, ...]) -> set[str]:
    by_uid = {pod["metadata"]["uid"]: pod["metadata"].get("annotations") or {} for pod in pods}
    ready = [
        endpoint
        for slice_ in slices
        for endpoint in slice_.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is True
    ]
    targets = [(endpoint.get("targetRef") or {}).get("uid", "") for endpoint in ready]
    return {by_uid.get(uid, {}).get(environment.HEAD_SHA, "") for uid in targets}
