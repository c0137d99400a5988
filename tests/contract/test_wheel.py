"""What is installed elsewhere is whole: the wheel has every file that the code looks for, and works alone."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from k8s_ee_sandbox import artifacts, progress
from scripts import variant

ROOT = pathlib.Path(__file__).parents[2]
# Folder of the repository → folder of the wheel. Links are followed: a wheel has none.
SHIPPED = {
    "charts": "k8s_ee/_data/charts",
    "k8s": "k8s_ee/_data/k8s",
    "schemas": "k8s_ee/_data/schemas",
    "sandbox/cilium": "k8s_ee_sandbox/_data/cilium",
    "sandbox/images": "k8s_ee_sandbox/_data/images",
    "sandbox/kube": "k8s_ee_sandbox/_data/kube",
    "sandbox/manifests": "k8s_ee_sandbox/_data/manifests",
}
PLATFORM = "domain: preview.example.com\nregistries: [registry.example.com]\n"
IMAGE = "registry.example.com/shop@sha256:" + "1" * 64


def uv() -> str:
    """`uv run` names itself; else the one that every make command uses."""
    bootstrap = [str(ROOT / "scripts" / "bootstrap")]
    subprocess.run(bootstrap, check=True, timeout=300)
    found = subprocess.run([*bootstrap, "--path"], capture_output=True, text=True, check=True, timeout=30)
    return os.environ.get("UV") or found.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv(), "build", "--quiet", "--wheel", f"--out-dir={folder}", str(ROOT)], check=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder for PYTHONPATH that has this wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    command = [uv(), "pip", "install", "--quiet", "--no-deps", f"--target={folder}", str(wheel)]
    subprocess.run(command, check=True, timeout=300)
    return folder


@pytest.mark.parametrize("folder", SHIPPED)
def test_the_wheel_has_every_file_as_it_is_here(folder: str, wheel: pathlib.Path) -> None:
    here = {name: ROOT / name for name in variant.worktree_files() if name.startswith(f"{folder}/")}
    assert here
    with zipfile.ZipFile(wheel) as archive:
        for name, path in here.items():
            assert archive.read(name.replace(folder, SHIPPED[folder], 1)) == path.read_bytes(), name


def test_the_wheel_has_nothing_that_only_this_machine_has(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "scripts/"))]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"k8s_ee", "k8s_ee_sandbox"}


def run(installed: pathlib.Path, folder: pathlib.Path, *arguments: str) -> str:
    """What it prints. Its dependencies are this environment's, its own files those of the wheel."""
    helm = artifacts.ensure("helm", progress=progress.Progress())["helm"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "K8S_EE_"))}
    environ = {**clean, "PYTHONPATH": str(installed), "PATH": f"{helm.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_render_works_from_the_wheel_alone(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "k8s-ee.yaml").write_text("projectId: shop\ndatabases: {postgresql: true}\n")
    (tmp_path / "platform.yaml").write_text(PLATFORM)
    subject = ("--pr=7", "--repository=acme/shop", "--repository-id=1", f"--head-sha={'a' * 40}")
    where = run(installed, tmp_path, "-c", "import k8s_ee; print(k8s_ee.__file__)")
    assert pathlib.Path(where).is_relative_to(installed)
    said = run(
        installed, tmp_path, "-m", "k8s_ee", "render", "--platform-file=platform.yaml", *subject, f"--image={IMAGE}"
    )
    for kind in ("Deployment", "StatefulSet", "NetworkPolicy"):
        assert f"kind: {kind}" in said


def test_the_sandbox_finds_its_sources_in_the_wheel(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    program = "from k8s_ee_sandbox import sources; print(*map(sources.path, ('kube', 'images', 'manifests', 'cilium')))"
    for path in run(installed, tmp_path, "-c", program).split():
        assert pathlib.Path(path).is_relative_to(installed)
