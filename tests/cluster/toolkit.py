"""This project's own image, built from images/Dockerfile by the command that builds everywhere."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Mapping

import yaml

from k8s_ee_sandbox import packages, progress
from tests.cluster import cli, images

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILE = "images/Dockerfile"
_AUTHORITIES = "/etc/ssl/certs"


def build(runner: cli.Installed, folder: pathlib.Path) -> str:
    """REGISTRY/NAME@sha256:… in the sandbox's registry, on the sandbox's base image.

    Only `uv` is ours in place of the published one, which is on a registry that a sandbox may not reach.
    """
    packages.ensure("buildah", progress=progress.Progress())
    sandbox = runner.sandbox
    uv = images.push(sandbox, files={"uv": _uv().read_bytes()})
    config = folder / "k8s-ee.yaml"
    image = {
        "repository": f"{sandbox.registry}/k8s-ee/k8s-ee",
        "dockerfile": DOCKERFILE,
    }
    config.write_text(yaml.safe_dump({"projectId": "k8s-ee", "image": image}))
    # The machine may reach the package index through a proxy whose certificate only the machine knows.
    (folder / "containers.conf").write_text(f'[containers]\nvolumes = ["{_AUTHORITIES}:{_AUTHORITIES}:ro"]\n')
    built = runner.start(
        _with_bases(folder / "toolkit", {"base": sandbox.images["base"], "uv": uv}),
        *("build", "--config-path", str(config), "--output", "json"),
        CONTAINERS_CONF=str(folder / "containers.conf"),
        K8S_EE_REGISTRY_USERNAME=sandbox.registry_user,
        K8S_EE_REGISTRY_PASSWORD=sandbox.registry_password,
        K8S_EE_REGISTRY_INSECURE="true",
    ).end(timeout=400)
    assert built.code == 0, built.said
    return str(built.outcome["outputs"]["image"])


def _with_bases(copy: pathlib.Path, bases: Mapping[str, str]) -> pathlib.Path:
    """What the image is made of, its Dockerfile on other bases, by the name of the stage."""
    copy.mkdir()
    kept = (ROOT / f"{DOCKERFILE}.dockerignore").read_text().splitlines()
    for name in (*(line[1:] for line in kept if line.startswith("!")), "images"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name)
        else:
            shutil.copy(ROOT / name, copy)
    text = (copy / DOCKERFILE).read_text()
    for stage, base in bases.items():
        text, count = re.subn(rf"^FROM \S+ AS {stage}$", f"FROM {base} AS {stage}", text, flags=re.MULTILINE)
        assert count == 1, stage
    (copy / DOCKERFILE).write_text(text)
    return copy


def _uv() -> pathlib.Path:
    """`uv run` names itself; else the one that every make command uses."""
    bootstrap = [str(ROOT / "scripts" / "bootstrap")]
    subprocess.run(bootstrap, check=True, timeout=300)
    found = subprocess.run([*bootstrap, "--path"], capture_output=True, text=True, check=True, timeout=30)
    return pathlib.Path(os.environ.get("UV") or found.stdout.strip())
