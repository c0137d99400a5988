"""An environment, its platform and helm, as the tests of plan, helm and charts share them."""

from __future__ import annotations

import copy
import functools
import json
import pathlib
from typing import Any

from k8s_ee import environment, helm, plan
from k8s_ee.config import model
from k8s_ee_sandbox import artifacts, progress

Manifest = dict[str, Any]

IMAGE = "registry.example.com/acme/shop@sha256:" + "1" * 64
KUBERNETES = "v1.34.4"
POSTGRESQL = model.Database("postgresql", bootstrap="CREATE TABLE greeting (text text);\n")
PLATFORM = model.Platform(
    domain="preview.example.com",
    registries=("registry.example.com/acme",),
    image_pull_secrets=("registry",),
    cluster_cidrs=("203.0.113.0/24", "2001:db8::/32"),
)
TARGET = environment.Environment(
    project=environment.ProjectId("shop"),
    number=42,
    repository="acme/shop",
    repository_id=7,
    domain=PLATFORM.domain,
    branch="feature/new: cart",
    head_sha="a" * 40,
    run=3,
)


def config(**changes: Any) -> model.Config:
    return model.Config(project=TARGET.project, **changes)


FULL = config(
    app=model.App(
        migrate=("./migrate",), run_as_user=1000, command=("./serve",), args=("--all",), metrics_path="/stats"
    ),
    databases=(POSTGRESQL,),
    env={"LEVEL": "debug", "TEXT": "two\nlines: 'and' \"quotes\" {{ .Values.image }} $(HOME)"},
    env_from=(model.EnvFrom("secretRef", "payment"), model.EnvFrom("configMapRef", "flags", optional=True)),
    writable_dirs=("/var/cache/shop", "/tmp"),
    metrics=model.Metrics(enabled=True, interval="15s"),
)


def app(wanted: model.Config, target: environment.Environment = TARGET, platform: model.Platform = PLATFORM) -> Any:
    secrets = {one.engine: plan.ENGINES[one.engine].secret for one in wanted.deployed}
    return plan.app(target, wanted, platform, image=IMAGE, database_secrets=secrets)


def rendered(
    wanted: model.Config, target: environment.Environment = TARGET, platform: model.Platform = PLATFORM
) -> list[Manifest]:
    """Everything that runs in the environment."""
    parts = [plan.database(target, one, platform, secret=plan.ENGINES[one.engine].login) for one in wanted.deployed]
    return [
        manifest
        for part in (*parts, app(wanted, target, platform))
        for manifest in copy.deepcopy(_rendered(part.name, part.chart, json.dumps(part.values), target.namespace))
    ]


@functools.cache
def _rendered(name: str, chart: str, values: str, namespace: environment.NamespaceName) -> tuple[Manifest, ...]:
    part = plan.Component(name=name, chart=chart, values=json.loads(values), manager="test")
    return helm.render(part, namespace=namespace, kube_version=KUBERNETES)


def only(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    found = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].startswith(name)]
    assert len(found) == 1, [(one["kind"], one["metadata"]["name"]) for one in found]
    return found[0]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod templates by the kind of what makes them."""
    return {one["kind"]: one["spec"]["template"] for one in manifests if "template" in one.get("spec", {})}


def containers(template: Manifest) -> list[Manifest]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def helm_folder(folder: pathlib.Path, artifact: str = "helm") -> str:
    """A folder for PATH in which this Helm is called `helm`."""
    (folder / "helm").symlink_to(artifacts.ensure(artifact, progress=progress.Progress())[artifact])
    return str(folder)
