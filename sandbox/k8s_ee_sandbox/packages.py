"""Debian packages on the host, installed without starting what they bring."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from k8s_ee_sandbox import cache, errors, logged
from k8s_ee_sandbox import progress as progress_lines

_POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# k8s-ee: start no service while packages are installed\nexit 101\n"
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_QUERY_TIMEOUT = 60
_INSTALL_TIMEOUT = 20 * 60
_LOCK = "packages"
_ELSEWHERE = "Or use an existing cluster with --context."


def ensure(*names: str, progress: progress_lines.Progress) -> None:
    """Install what is missing. Raises SandboxError: not Debian, not root, no such package, apt-get failed."""
    missing = _missing(names)
    if not missing:
        _clean_up()
        return
    if os.geteuid() != 0:
        raise errors.SandboxError(
            f"Debian packages are missing, and only root can install them: {' '.join(missing)}",
            hint=f"As root: apt-get install --no-install-recommends {' '.join(missing)}. {_ELSEWHERE}",
        )
    progress.expect(1)
    with progress.step(f"Debian packages: {' '.join(missing)}"), cache.locked(_LOCK), _services_stay_down():
        _install(_missing(missing))


def _missing(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise errors.SandboxError(
            "the embedded cluster takes its parts from Debian packages, and this machine has no apt-get",
            hint="Run it on Debian or Ubuntu, or use an existing cluster with --context.",
        )
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", *names],
        capture_output=True,
        text=True,
        timeout=_QUERY_TIMEOUT,
        check=False,  # it fails whenever one of them is unknown, and still lists the others
    )
    installed = {line.removeprefix("installed ") for line in answer.stdout.splitlines()}
    return [name for name in names if name not in installed]


def _install(names: Sequence[str]) -> None:
    if not names:
        return
    log = cache.directory() / "logs" / "packages.log"
    log.unlink(missing_ok=True)
    # What an installation left half done, that was stopped, would keep every other one from beginning.
    logged.Runner().run(["dpkg", "--configure", "--pending"], log=log, timeout=_INSTALL_TIMEOUT, env=_QUIET)
    try:
        _apt_get("install", "--yes", "--no-install-recommends", *names, log=log)
    except errors.SandboxError:  # no package lists yet, or old ones
        _apt_get("update", log=log)
        log.unlink()
        _install_with_fresh_lists(names, log=log)


def _install_with_fresh_lists(names: Sequence[str], *, log: pathlib.Path) -> None:
    try:
        _apt_get("install", "--yes", "--no-install-recommends", *names, log=log)
    except errors.SandboxError as failed:
        unknown = re.findall(r"Unable to locate package (\S+)|Package '(\S+)' has no installation", log.read_text())
        if not unknown:
            raise
        raise errors.SandboxError(
            f"this machine's package sources do not have: {' '.join(a or b for a, b in unknown)}",
            hint=f"Debian 12 or newer has them. {_ELSEWHERE}",
        ) from failed


def _apt_get(*args: str, log: pathlib.Path) -> None:
    logged.Runner().run(
        ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *args],
        log=log,
        timeout=_INSTALL_TIMEOUT,
        env=_QUIET,
    )


def _clean_up() -> None:
    """One who was killed while he installed them left the file, and no service would ever be started again."""
    if os.geteuid() == 0 and _is_ours():
        with cache.locked(_LOCK):
            if _is_ours():
                _POLICY.unlink()


def _is_ours() -> bool:
    return _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT


@contextlib.contextmanager
def _services_stay_down() -> Iterator[None]:
    """invoke-rc.d asks this file. One that an administrator put there is left alone; one that we left is replaced."""
    if _POLICY.exists() and not _is_ours():
        yield
        return
    _POLICY.write_text(_POLICY_TEXT)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)
