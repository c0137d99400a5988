"""Every manifest that this project ships or makes, against Kubernetes' own schemas, unknown fields refused."""

from __future__ import annotations

import collections
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from k8s_ee import config, plan, resources
from k8s_ee_sandbox import artifacts, kube_schemas, manifests, progress, sources
from tests.unit.plan import facts

TOOLS = ("helm", "kubeconform", "kube-schemas")
_EXAMPLE = pathlib.Path("examples/guestbook/k8s-ee.yaml")


def everything() -> dict[str, list[facts.Manifest]]:
    """Manifests by where they come from. Needs helm on PATH."""
    configs = {
        "minimal": facts.config(),
        "full": facts.FULL,
        "guestbook": config.load(_EXAMPLE.read_text(), path=str(_EXAMPLE)),
    }
    found = {f"environment-{name}": _environment(one) for name, one in configs.items()}
    unset: dict[str, str] = collections.defaultdict(lambda: "unset")
    for file in sorted(sources.path("manifests").glob("*.yaml")):
        found[f"sandbox-{file.stem}"] = manifests.read(file.stem, unset)
    for file in sorted((resources.directory("k8s") / "platform").glob("*.yaml")):
        if file.name not in {"kustomization.yaml", "platform.yaml"}:  # neither is an object of a cluster
            found[f"platform-{file.stem}"] = list(yaml.safe_load_all(file.read_text()))
    return found


def _environment(wanted: Any) -> list[facts.Manifest]:
    target, platform = facts.TARGET, facts.PLATFORM
    passwords = [plan.credentials(plan.ENGINES[one.engine], target, lambda: "secret") for one in wanted.databases]
    fence = plan.fence(target, wanted, platform)
    return [plan.namespace(target, platform), *fence, *passwords, *facts.rendered(wanted)]


def conform(files: Iterable[pathlib.Path], tools: Mapping[str, pathlib.Path]) -> subprocess.CompletedProcess[str]:
    location = f"{tools['kube-schemas']}/{kube_schemas.LOCATION}"
    command = [str(tools["kubeconform"]), "-strict", "-summary", "-schema-location", location]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False)


def main() -> int:
    tools = artifacts.ensure(*TOOLS, progress=progress.Progress())
    os.environ["PATH"] = f"{tools['helm'].parent}{os.pathsep}{os.environ['PATH']}"  # a process of its own
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for name, objects in everything().items():
            files.append(pathlib.Path(scratch) / f"{name}.yaml")
            files[-1].write_text(yaml.safe_dump_all(objects))
        done = conform(files, tools)
    print(done.stdout + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
