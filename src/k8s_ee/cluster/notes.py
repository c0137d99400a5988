"""What one pass of the janitor leaves for the next about things that have no namespace to note it on.

All else is noted on the environment's namespace, and goes with it. What is still owed when it is gone can't be: a
finalizer that kept the namespace until then would make deleting wait for GitHub. So there is one Lease in the
platform's namespace, because Leases are what a janitor may write there anyway, with an annotation for each note: they
come and go one by one, and who is killed between two of them leaves the others as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, leases

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

NAME = "janitor-notes"

_PREFIX = "notes.k8s-ee/"
_ROOM = 200_000
"""Characters; the API server takes 256 KiB of annotations."""
_ATTEMPTS = 5


def read(cluster: client.Cluster, *, home: str) -> dict[str, str]:
    return _notes(cluster.get("Lease", NAME, home) or {"metadata": {}})


def write(cluster: client.Cluster, changes: Mapping[str, str | None], *, home: str) -> frozenset[str]:
    """None takes one away. Returns the names of those that are noted now: where there is no room, some are not."""
    for _attempt in range(_ATTEMPTS):
        found = cluster.get("Lease", NAME, home) or cluster.create(_lease(home))
        if found is None:  # Somebody else made it just now.
            continue
        fitting = _fitting(_notes(found), changes)
        noted = {f"{_PREFIX}{name}": text for name, text in fitting.items()}
        if leases.write(cluster, found, {}, annotations=noted).status == 200:
            return frozenset(name for name, text in fitting.items() if text is not None)
    raise errors.ClusterUnavailable(f"Lease {NAME} keeps being changed by somebody else")


def _notes(lease: Manifest) -> dict[str, str]:
    noted = lease["metadata"].get("annotations") or {}
    return {key.removeprefix(_PREFIX): text for key, text in noted.items() if key.startswith(_PREFIX)}


def _fitting(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str | None]:
    left = _ROOM - sum(len(_PREFIX) + len(name) + len(text) for name, text in known.items() if name not in changes)
    found: dict[str, str | None] = {}
    for name, text in changes.items():
        size = 0 if text is None else len(_PREFIX) + len(name) + len(text.encode())
        if size <= left:
            found[name] = text
            left -= size
    return found


def _lease(home: str) -> Manifest:
    labels = {environment.MANAGED_BY: environment.MANAGER}
    return {
        "apiVersion": kinds.kind("Lease").api_version,
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": home, "labels": labels},
        "spec": {},
    }
