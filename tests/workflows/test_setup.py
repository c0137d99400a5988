"""actions/setup/setup.sh: what it finds, what it brings, and what it says when it can't."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import pathlib
import platform
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping

import pytest

import k8s_ee
from k8s_ee_sandbox import packages, progress

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "actions" / "setup" / "setup.sh"


class Runner:
    """A runner's folders and files around one call of the script."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.bin, self.temp = folder / "bin", folder / "temp"
        self.output, self.path = folder / "output", folder / "path"
        for one in (self.bin, self.temp):
            one.mkdir()

    def tool(self, name: str, prints: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\necho '{prints}'\n")
        (self.bin / name).chmod(0o755)

    def call(
        self, step: str, *, script: pathlib.Path = SCRIPT, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_PATH": str(self.path),
            **(env or {}),
        }
        command = ["bash", str(script), step]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)

    def found(self, **env: str) -> dict[str, str]:
        done = self.call("found", env=env)
        assert done.returncode == 0, done.stderr
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> Runner:
    return Runner(tmp_path)


def test_on_an_empty_runner_both_are_missing(runner: Runner) -> None:
    assert runner.found() == {"version": k8s_ee.__version__, "k8s-ee": "missing", "helm": "missing"}


def test_the_same_version_on_path_is_used(runner: Runner) -> None:
    runner.tool("k8s-ee", f"k8s-ee, version {k8s_ee.__version__}")
    assert runner.found()["k8s-ee"] == "found"


@pytest.mark.parametrize("version", ["0.0.9", f"1{k8s_ee.__version__}", f"{k8s_ee.__version__}1"])
def test_another_version_on_path_is_not_used(runner: Runner, version: str) -> None:
    runner.tool("k8s-ee", f"k8s-ee, version {version}")
    assert runner.found()["k8s-ee"] == "missing"


@pytest.mark.parametrize(
    ("version", "state"),
    [("v3.22.0", "found"), ("v3.31.2", "found"), ("v4.1.4", "found"), ("v3.21.9", "missing"), ("v3.2.0", "missing")],
)
def test_helm_on_path_is_used_if_it_is_a_supported_one(runner: Runner, version: str, state: str) -> None:
    runner.tool("helm", version)
    assert runner.found()["helm"] == state


def test_who_needs_no_helm_gets_none(runner: Runner) -> None:
    assert runner.found(K8S_EE_HELM="false")["helm"] == "found"


@pytest.fixture
def mirror(tmp_path: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """A download site and its folder, and curl, which every runner has and a bare Debian has not."""
    packages.ensure("curl", progress=progress.Progress())
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def _archive(folder: pathlib.Path) -> str:
    """Puts a release archive into the mirror; its SHA-256."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    program = b"#!/bin/sh\necho v3.22.0\n"
    path = folder / f"helm-v3.22.0-linux-{arch}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(f"linux-{arch}/helm")
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_helm_that_is_not_the_published_one_is_not_installed(
    runner: Runner, mirror: tuple[str, pathlib.Path]
) -> None:
    _archive(mirror[1])
    done = runner.call("helm", env={"HELM_MIRROR": mirror[0]})
    assert done.returncode == 5
    assert "::error title=k8s-ee setup::the downloaded Helm is not the published one" in done.stdout
    assert not runner.path.exists()
    assert not (runner.temp / "k8s-ee/bin/helm").exists()


def test_helm_of_the_right_sum_ends_up_on_path(
    runner: Runner, mirror: tuple[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """With the sum of the mirror's archive in the place of the published one: the real archive is not at hand here."""
    own = _archive(mirror[1])
    script = tmp_path / "toolkit" / "actions" / "setup" / "setup.sh"
    script.parent.mkdir(parents=True)
    lines = SCRIPT.read_text().splitlines()
    script.write_text("\n".join(f"{line.split('=')[0]}={own}" if "SHA256_A" in line[:14] else line for line in lines))
    done = runner.call("helm", script=script, env={"HELM_MIRROR": mirror[0]})
    assert done.returncode == 0, done.stdout + done.stderr
    folder = pathlib.Path(runner.path.read_text().strip())
    assert sorted(path.name for path in folder.iterdir()) == ["helm"]
    assert subprocess.check_output([folder / "helm"], text=True, timeout=10) == "v3.22.0\n"


def test_a_download_that_fails_says_what_to_do(runner: Runner, mirror: tuple[str, pathlib.Path]) -> None:
    done = runner.call("helm", env={"HELM_MIRROR": mirror[0]})
    assert done.returncode == 5
    assert "put helm 3.22.0 or 4 on the runner's PATH, or set HELM_MIRROR" in done.stdout


def test_k8s_ee_is_installed_from_the_lock_and_leaves_the_runners_python_alone(runner: Runner) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("needs uv: run by `make test`")
    (runner.bin / "uv").symlink_to(uv)
    done = runner.call("k8s-ee", env={key: os.environ[key] for key in ("HOME", "UV_CACHE_DIR") if key in os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    folder = pathlib.Path(runner.path.read_text().strip())
    assert [path.name for path in folder.iterdir()] == ["k8s-ee"]
    version = subprocess.check_output([folder / "k8s-ee", "--version"], text=True, timeout=60)
    assert version == f"k8s-ee, version {k8s_ee.__version__}\n"
