"""Cilium's programs from its Go module, the C code it compiles on the node, and the kinds it adds to the cluster."""

import json
import pathlib
import shutil
from typing import Any

import yaml

from k8s_ee_sandbox import artifacts_recipe, node_cilium, sources, toolchain

_MODULE = "github.com/cilium/cilium"
_VERSION_FLAG = f"-X {_MODULE}/pkg/version.ciliumVersion"
_DEFINITIONS = "pkg/k8s/apis/cilium.io/client/crds"
_NOT_NEEDED = ("complexity-tests", "test-progs", "tests", "tools")


def _make(workshop: artifacts_recipe.Workshop) -> None:
    version = _version()
    programs = workshop.into / "bin"
    toolchain.go(
        workshop,
        *("build", "-trimpath", f"-ldflags=-s -w {_VERSION_FLAG}={version}", f"-o={programs}/", "tool"),
        env={},
        cwd=sources.path("cilium"),
    )
    (programs / "daemon").rename(programs / "cilium-agent")
    (programs / "clang").symlink_to("/usr/bin/clang-19")
    (programs / "loopback").symlink_to(node_cilium.LOOPBACK)
    module = workshop.cache / "go" / "mod" / f"{_MODULE}@{version}"
    shutil.copytree(module / "bpf", workshop.into / "bpf", ignore=lambda folder, _: _left_out(folder, module))
    (workshop.into / "crds.json").write_text(json.dumps(_definitions(module)))
    _make_writable(workshop.into / "bpf")


def _version() -> str:
    """As go.mod has it, with its v."""
    lines = (sources.path("cilium") / "go.mod").read_text().splitlines()
    (version,) = (line.split()[-1] for line in lines if line.removeprefix("require ").startswith(f"{_MODULE} v"))
    return version


def _left_out(folder: str, module: pathlib.Path) -> tuple[str, ...]:
    return _NOT_NEEDED if pathlib.Path(folder) == module / "bpf" else ()


def _definitions(module: pathlib.Path) -> list[Any]:
    files = sorted((module / _DEFINITIONS).glob("*/*.yaml"))
    return [yaml.load(file.read_text(), Loader=yaml.CSafeLoader) for file in files]


def _make_writable(root: pathlib.Path) -> None:
    """The module cache is read-only, and the agent adds files to its copy."""
    for entry in (root, *root.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else 0o644)


RECIPES = (
    artifacts_recipe.Recipe(
        name="cilium",
        what="go build",
        make=_make,
        inputs=lambda: {
            "code": pathlib.Path(__file__).read_text(),
            "source": sources.digest(sources.path("cilium")),
        },
        needs=("go",),
        packages=toolchain.host_packages(),
        lane="go",
    ),
)
