"""Images on their way from the cache into a registry."""

import base64
import json
import pathlib
import subprocess
import tempfile

from k8s_ee_sandbox import artifacts, errors
from k8s_ee_sandbox import progress as progress_lines

_TIMEOUT = 10 * 60


def push(archive: pathlib.Path, destination: str, *, user: str, password: str, plain_http: bool = True) -> str:
    """Push an archive to `registry/repository:tag`; `registry/repository@sha256:…` comes back. Raises SandboxError."""
    crane = artifacts.ensure("crane", progress=progress_lines.Progress())["crane"]
    registry = destination.partition("/")[0]
    with tempfile.TemporaryDirectory() as folder:
        _write_login(pathlib.Path(folder), registry=registry, user=user, password=password)
        insecure = ["--insecure"] if plain_http else []
        done = subprocess.run(
            [crane, "push", *insecure, archive, destination],
            env={"DOCKER_CONFIG": folder, "PATH": "/usr/bin:/bin"},  # no proxy: the registry is ours
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    if done.returncode != 0:
        raise errors.SandboxError(f"{destination} could not be pushed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def _write_login(folder: pathlib.Path, *, registry: str, user: str, password: str) -> None:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = folder / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"auths": {registry: {"auth": token}}}))
