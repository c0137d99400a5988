"""Do two ways leave the same objects? Every namespaced object there is, without what differs from run to run."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Objects = dict[str, Any]

EXCEPTED = (
    "Events, and the Secrets in which Helm keeps its releases",
    "status, uid, resourceVersion, generation, managedFields, times; addresses and volume names given by the cluster",
    "the random parts of pods' names; pods of one owner are compared as one",
    "the label app.kubernetes.io/managed-by of each object, which Helm sets to itself",
    "annotations of kubectl (last-applied-configuration) and Helm (release-name, release-namespace)",
    "the passwords in postgresql-login and postgresql-credentials-v1: each run makes its own",
    "on the Namespace, k8s-ee/head-sha, deployed-at and active-at: k8s-ee's notes of what it has verified, and when",
    "on the volume, k8s-ee/seed and database-version: k8s-ee's notes of what data it has",
)

_METADATA = (
    *("uid", "resourceVersion", "generation", "managedFields", "creationTimestamp", "selfLink", "generateName"),
    "ownerReferences",
)
_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    *("meta.helm.sh/release-name", "meta.helm.sh/release-namespace"),
    *("k8s-ee/head-sha", "k8s-ee/deployed-at", "k8s-ee/active-at", "k8s-ee/seed", "k8s-ee/database-version"),
    "endpoints.kubernetes.io/last-change-trigger-time",
)
_GIVEN = {"Service": ("clusterIP", "clusterIPs"), "PersistentVolumeClaim": ("volumeName",), "Pod": ("nodeName",)}
_CONTROLLER = ("controller-uid", "batch.kubernetes.io/controller-uid")
_CREDENTIALS = ("postgresql-login", "postgresql-credentials-v1")


def normalised(items: Sequence[Mapping[str, Any]]) -> Objects:
    """By "Kind name"."""
    found: Objects = {}
    for item in items:
        if item["kind"] != "Event" and item.get("type") != "helm.sh/release.v1":
            name, rest = _one(copy.deepcopy(dict(item)))
            found[name] = rest
    return found


def differences(one: Objects, ours: Objects, *, name: str = "other") -> list[str]:
    """Lines of a diff; empty when they are the same."""
    left, right = (json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (one, ours))
    return list(difflib.unified_diff(left, right, name, "k8s-ee", lineterm="", n=1))


def _one(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, metadata = item["kind"], item["metadata"]
    owners = [f"{owner['kind']} {owner['name']}" for owner in metadata.get("ownerReferences") or []]
    name = f"of {owners[0]}" if owners and kind in {"Pod", "EndpointSlice"} else metadata["name"]
    item.pop("status", None)
    for key in _METADATA:
        metadata.pop(key, None)
    metadata.pop("name")
    metadata["owners"] = owners
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _ANNOTATIONS}
    (metadata.get("labels") or {}).pop("app.kubernetes.io/managed-by", None)
    for key in _GIVEN.get(kind, ()):
        item["spec"].pop(key, None)
    if kind in {"EndpointSlice", "Endpoints"}:
        item.pop("endpoints", None)
        item.pop("subsets", None)
    if kind == "Secret" and name in _CREDENTIALS:
        item["data"] = sorted(item["data"])
    return f"{kind} {name}", _without(item, _CONTROLLER)


def _without(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    if isinstance(value, list):
        return [_without(inner, keys) for inner in value]
    return value
