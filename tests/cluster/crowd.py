"""Environments by the hundred: what the fence makes of each, and what runs in it, on a node that is pretended."""

from __future__ import annotations

import functools
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from k8s_ee import cluster, environment
from k8s_ee.cluster import pool
from k8s_ee.config import model
from k8s_ee.plan import components, isolation
from tests.unit.plan import facts

Manifest = dict[str, Any]

REPOSITORIES = 20
_PATIENCE = 180.0
_PLATFORM = model.Platform(domain="preview.test")


def wanted(number: int) -> environment.Environment:
    """One pull request of one of `REPOSITORIES` repositories of one owner."""
    repository = 1 + number % REPOSITORIES
    return environment.Environment(
        project=environment.ProjectId("crowd"),
        number=number,
        repository=f"acme/shop-{repository}",
        repository_id=repository,
        domain=_PLATFORM.domain,
        run=1,
    )


def fence(one: environment.Environment) -> list[Manifest]:
    """The namespace and the objects that limit it."""
    config = model.Config(project=one.project, databases=(facts.POSTGRESQL,))
    manifests = [isolation.namespace(one, _PLATFORM), *isolation.fence(one, config, _PLATFORM)]
    return [_placed(manifest, one) for manifest in manifests]


def pod(one: environment.Environment, node: str) -> Manifest:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "app", "image": "registry.test/app", "securityContext": security}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "app", "namespace": one.namespace},
        "spec": {
            "nodeName": node,
            "serviceAccountName": components.SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }


def workloads(one: environment.Environment, node: str) -> list[Manifest]:
    """App and database as the charts make them, each pod bound to the node at once."""
    found: list[Manifest] = json.loads(_rendered().replace(_rendered_for(), str(one.namespace)))
    for manifest in found:
        _placed(manifest, one)
        template = manifest["spec"].get("template") if "spec" in manifest else None
        if template:
            template["spec"] |= {"nodeName": node, "tolerations": [{"operator": "Exists"}]}
            template["spec"].pop("priorityClassName", None)
    return found


def create(api: cluster.Cluster, manifests: Iterable[Sequence[Manifest]]) -> None:
    """Those of one group one after another, the groups side by side."""
    pool.side_by_side([functools.partial(_in_order, api, group) for group in manifests])


def until(condition: Callable[[], bool], *, seconds: float = _PATIENCE) -> None:
    """Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.3)


def running(api: cluster.Cluster, names: set[str]) -> int:
    """How many pods run in these namespaces."""
    pods = api.list("Pod")
    return sum(one["metadata"]["namespace"] in names and one["status"].get("phase") == "Running" for one in pods)


def remove(api: cluster.Cluster, names: set[str]) -> None:
    """Asks for the end of those that are there. Waits for none."""
    found = [one for one in api.list("Namespace") if one["metadata"]["name"] in names]
    ends = [
        functools.partial(api.delete, "Namespace", one["metadata"]["name"], uid=one["metadata"]["uid"]) for one in found
    ]
    pool.side_by_side(ends)


def _in_order(api: cluster.Cluster, group: Sequence[Manifest]) -> None:
    for manifest in group:
        api.create(manifest)


def _placed(manifest: Manifest, one: environment.Environment) -> Manifest:
    if manifest["kind"] != "Namespace":
        manifest["metadata"]["namespace"] = one.namespace
    return manifest


def _rendered_for() -> str:
    return str(facts.TARGET.namespace)


@functools.cache
def _rendered() -> str:
    config = facts.config(databases=(facts.POSTGRESQL,))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", facts.helm_folder(pathlib.Path(folder)), prepend=":")
        return json.dumps(facts.rendered(config))
