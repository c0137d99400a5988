"""PersistentVolumes outlive the claims that bound them, and are of the environment all the same."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import errors
from k8s_ee.cluster import pool, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_CLAIM = "PersistentVolumeClaim"


def bound(cluster: client.Cluster) -> dict[str, tuple[str, ...]] | None:
    """Names of the PersistentVolumes by the namespace of their claim, a live one or one of an earlier namespace of that
    name. None: not allowed to look."""
    try:
        found = cluster.list("PersistentVolume")
    except errors.Refused:
        return None
    by_namespace: dict[str, list[str]] = {}
    for volume in found:
        by_namespace.setdefault(_claim(volume).get("namespace", ""), []).append(volume["metadata"]["name"])
    return {namespace: tuple(sorted(names)) for namespace, names in by_namespace.items()}


def _claim(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    return (volume.get("spec") or {}).get("claimRef") or {}


def namespace_of(volume: Mapping[str, Any]) -> str:
    return str(_claim(volume).get("namespace", ""))


def remaining(cluster: client.Cluster, namespaces: Collection[str], deadline: float) -> list[Manifest]:
    """What is left of claims that no longer exist; a new environment of that name may have claims of its own."""
    with watching.watching(cluster, [watching.Subject("PersistentVolume")]) as watch:
        for view in watch.until(deadline):
            mine = [pv for pv in view.of("PersistentVolume") if namespace_of(pv) in namespaces]
            if mine:
                live = _live_claims(cluster, {namespace_of(pv) for pv in mine})
                mine = [pv for pv in mine if _claim(pv).get("uid") not in live]
            if not mine:
                break
    return mine


def _live_claims(cluster: client.Cluster, namespaces: Collection[str]) -> set[str]:
    listing = [functools.partial(cluster.list, _CLAIM, namespace) for namespace in sorted(namespaces)]
    return {claim["metadata"]["uid"] for claims in pool.side_by_side(listing) for claim in claims}


def described(volume: Mapping[str, Any]) -> str:
    spec, status = volume.get("spec") or {}, volume.get("status") or {}
    policy = spec.get("persistentVolumeReclaimPolicy", "?")
    return f"PersistentVolume {volume['metadata']['name']} ({status.get('phase', '?')}, reclaim policy {policy})"
