"""Every manifest that this project ships or makes, against Kubernetes' own schemas, unknown fields refused."""

from __future__ import annotations

import collections
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from k8s_ee import config, plan, resources
from k8s_ee.config import model
from k8s_ee_sandbox import artifacts, kube_schemas, manifests, progress, sources
from tests.unit.plan import facts

TOOLS = ("helm", "kubeconform", "kube-schemas", "kubectl")
_EXAMPLE = pathlib.Path("examples/guestbook/k8s-ee.yaml")
_OTHERS = {"PrometheusRule"}
"""Kinds that are not Kubernetes' own, so that there is no schema of theirs here."""


def everything(scratch: pathlib.Path) -> dict[str, list[facts.Manifest]]:
    """Manifests by where they come from, those of kinds that Kubernetes has. Needs helm and kubectl on PATH."""
    configs = {
        "minimal": facts.config(),
        "full": facts.FULL,
        "databases": facts.config(databases=tuple(map(model.Database, plan.ENGINES))),
        "guestbook": config.load(_EXAMPLE.read_text(), path=str(_EXAMPLE)),
    }
    found = {f"environment-{name}": _environment(one) for name, one in configs.items()}
    unset: dict[str, str] = collections.defaultdict(lambda: "unset")
    for file in sorted(sources.path("manifests").glob("*.yaml")):
        found[f"sandbox-{file.stem}"] = manifests.read(file.stem, unset)
    for file in sorted((resources.directory("k8s") / "platform").glob("*.yaml")):
        if file.name not in {"kustomization.yaml", "platform.yaml"}:  # neither is an object of a cluster
            found[f"platform-{file.stem}"] = list(yaml.safe_load_all(file.read_text()))
    built_ones = {name: built(folder) for name, folder in kustomizations().items()}
    built_ones["janitor-everything"] = with_components(scratch / "components")
    for name, objects in built_ones.items():
        found[name] = [one for one in objects if one["kind"] not in _OTHERS]
    return found


def kustomizations() -> dict[str, pathlib.Path]:
    """What can be applied as it is, by its place below k8s/."""
    shipped = resources.directory("k8s")
    folders = [
        one.parent for one in sorted(shipped.rglob("kustomization.yaml")) if "\nkind: Kustomization" in one.read_text()
    ]
    return {"-".join(one.relative_to(shipped).parts): one for one in folders}


def built(folder: pathlib.Path) -> list[facts.Manifest]:
    """Raises CalledProcessError when kustomize can't build it."""
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(done.stdout))


def with_components(scratch: pathlib.Path) -> list[facts.Manifest]:
    """The janitor with all of its components."""
    shutil.copytree(resources.directory("k8s") / "janitor", scratch / "janitor")
    components = [str(one.relative_to(scratch)) for one in sorted((scratch / "janitor" / "components").iterdir())]
    text = {"kind": "Kustomization", "resources": ["janitor/base"], "components": components}
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return built(scratch)


def _environment(wanted: Any) -> list[facts.Manifest]:
    target, platform = facts.TARGET, facts.PLATFORM
    engines = [plan.ENGINES[one.engine] for one in wanted.databases]
    logins = [plan.logins.login(one, target, lambda: "secret") for one in engines]
    passwords = [plan.logins.credentials(one, login) for one, login in zip(engines, logins, strict=True)] + logins
    fence = plan.fence(target, wanted, platform)
    return [plan.namespace(target, platform), *fence, *passwords, *facts.rendered(wanted)]


def conform(files: Iterable[pathlib.Path], tools: Mapping[str, pathlib.Path]) -> subprocess.CompletedProcess[str]:
    location = f"{tools['kube-schemas']}/{kube_schemas.LOCATION}"
    command = [str(tools["kubeconform"]), "-strict", "-summary", "-schema-location", location]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False)


def main() -> int:
    tools = artifacts.ensure(*TOOLS, progress=progress.Progress())
    folders = [str(tools[name].parent) for name in ("helm", "kubectl")]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])  # a process of its own
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for name, objects in everything(pathlib.Path(scratch)).items():
            files.append(pathlib.Path(scratch) / f"{name}.yaml")
            files[-1].write_text(yaml.safe_dump_all(objects))
        done = conform(files, tools)
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
