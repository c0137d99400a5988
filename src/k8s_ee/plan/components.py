"""What is rendered: one chart with its values, applied by one field manager."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.config import model

Manifest = dict[str, Any]

SERVICE_ACCOUNT = "preview"
FENCE = "fence"


@dataclasses.dataclass(frozen=True)
class Component:
    """`name` is the label `app.kubernetes.io/component` of all its objects, and the name of its workload."""

    name: str
    chart: str
    values: Mapping[str, Any]
    manager: str


def manager(component: str) -> str:
    return f"{environment.MANAGER}-{component}"


def labels(target: environment.Environment) -> dict[str, str]:
    """The labels that tell whose an object inside the environment is."""
    return {
        environment.MANAGED_BY: environment.MANAGER,
        environment.PROJECT: target.project,
        environment.PULL_REQUEST: str(target.number),
    }


def metadata(target: environment.Environment, name: str, *, component: str) -> Manifest:
    own = {environment.COMPONENT: component, "app.kubernetes.io/name": name}
    return {"name": name, "namespace": target.namespace, "labels": labels(target) | own}


def common_values(target: environment.Environment, platform: model.Platform) -> dict[str, Any]:
    return {
        "labels": labels(target),
        "serviceAccount": SERVICE_ACCOUNT,
        "priorityClass": platform.priority_class,
    }


def resources(wanted: model.Resources) -> dict[str, Any]:
    return dataclasses.asdict(wanted)
