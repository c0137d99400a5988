"""Wheels from the package index, by whichever client this Python has."""

import dataclasses
import importlib.util
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

from k8s_ee_sandbox import artifacts_recipe

_TIMEOUT = 15 * 60


@dataclasses.dataclass(frozen=True)
class Wheel:
    project: str
    version: str
    sha256: tuple[str, ...]  # one for each machine it is published for

    def inputs(self) -> Mapping[str, str]:
        return {"wheel": f"{self.project}=={self.version}", "sha256": " ".join(self.sha256)}

    def requirement(self) -> str:
        hashes = "".join(f" --hash=sha256:{digest}" for digest in self.sha256)
        return f"{self.project}=={self.version}{hashes}\n"


def unpack(wheel: Wheel, *, workshop: artifacts_recipe.Workshop) -> pathlib.Path:
    """Download, check the hash, unpack. Raises SandboxError."""
    requirements = workshop.into / "requirements.txt"
    requirements.write_text(wheel.requirement())
    target = workshop.into / "unpacked"
    workshop.runner.run(
        [
            *_client(workshop),
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--require-hashes",
            "--only-binary=:all:",
            f"--target={target}",
            f"--requirement={requirements}",
        ],
        log=workshop.log,
        timeout=_TIMEOUT,
    )
    requirements.unlink()
    return target


def _client(workshop: artifacts_recipe.Workshop) -> list[str]:
    """This Python's pip, else uv (environments made by uv have no pip), else the pip of an environment made for it."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    uv = os.environ.get("UV") or shutil.which("uv")  # `uv run` names itself
    if uv:
        return [uv, "pip"]
    own = workshop.cache / "pip"
    if not (own / "bin" / "pip").exists():
        workshop.runner.run([sys.executable, "-m", "venv", "--clear", own], log=workshop.log, timeout=_TIMEOUT)
    return [str(own / "bin" / "python"), "-m", "pip"]
