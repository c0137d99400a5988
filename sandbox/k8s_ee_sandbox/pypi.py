"""Wheels from the package index, by whichever client this Python has."""

import dataclasses
import importlib.util
import os
import pathlib
import shutil
import sys
from collections.abc import Mapping

from k8s_ee_sandbox import artifacts_recipe, errors

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
            *_client(),
            "install",
            "--quiet",
            "--no-deps",
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


def _client() -> list[str]:
    """`pip` of this Python, else `uv` from beside it or from PATH (environments made by uv have no pip)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    beside = pathlib.Path(sys.executable).parent
    uv = shutil.which("uv", path=os.pathsep.join((os.fspath(beside), os.environ.get("PATH", ""))))
    if uv is None:
        raise errors.SandboxError(
            f"{sys.executable} has neither pip nor uv",
            hint="Install one of them into this environment, for example with `python -m ensurepip`.",
        )
    return [uv, "pip"]
