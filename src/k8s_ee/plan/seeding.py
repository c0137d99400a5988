"""PURE. A dump that is loaded once: what is noted on the volume of how far that is, and what follows from it.

(nothing)        no app was ever started on what is in there
none             there is no seed in it, and an app may have been started
loading SUM RUN  what is in there may be half a seed; RUN is another one for each try
loaded SUM       the seed of this checksum, and an app may have been started
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from k8s_ee import environment
from k8s_ee.config import model
from k8s_ee.plan import components, engines

NOTE = "k8s-ee/seed"
NONE = "none"
LOADING = "loading "
LOADED = "loaded "

Step = Literal["load", "mend", "settle", "new", "changed", "done"]
"""load it · empty what is there first · note that nothing is to be loaded · two reasons not to · nothing to do"""


def noted(claim: Mapping[str, Any] | None) -> str:
    """On a PersistentVolumeClaim as the cluster has it, if it is there."""
    return str((claim["metadata"].get("annotations") or {}).get(NOTE, "")) if claim else ""


def step(before: str, digest: str) -> Step:
    """`digest` is the wanted seed's, or empty."""
    if before.startswith(LOADING):
        return "mend"
    if not before:
        return "load" if digest else "settle"
    if not digest or before == LOADED + digest:
        return "done"
    return "new" if before == NONE else "changed"


def digest(seed: model.Seed, *, file: bytes = b"") -> str:
    """What makes it another seed. `file` is the SHA-256 of the one in the repository."""
    own = file.hex() or seed.sha256
    return own or hashlib.sha256(f"{seed.image} {seed.path}".encode()).hexdigest()


def carrier(
    target: environment.Environment, platform: model.Platform, engine: engines.Engine, image: str
) -> components.Manifest:
    """A pod of the image that stays until its file was read; its component's next deploy removes it, if nobody did."""
    name = f"{engine.name}-seed-{hashlib.sha256(image.encode()).hexdigest()[:8]}"
    metadata = components.metadata(target, name, component=engine.name)
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": name,
        "image": image,
        "command": ["sleep", "3600"],
        "resources": components.resources(engines.WAITING),
        "securityContext": security,
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": components.SERVICE_ACCOUNT,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "priorityClassName": platform.priority_class,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
    }
    template = {"metadata": {"labels": metadata["labels"]}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": template,
        },
    }
