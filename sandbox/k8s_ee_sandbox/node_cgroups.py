"""The control groups that the kubelet puts pods into: one tree per sandbox, for cgroup v1 and v2."""

import contextlib
import os
import pathlib
import time

from k8s_ee_sandbox import errors

_ROOT = pathlib.Path("/sys/fs/cgroup")
_NEEDED = ("cpu", "cpuset", "memory", "pids")
_EMPTY_WITHIN = 10.0


def path(name: str) -> str:
    """As the kubelet's `cgroupRoot`."""
    return f"/k8s-ee-{name}"


def create(name: str) -> None:
    """Raises SandboxError when a controller is missing."""
    group = path(name).lstrip("/")
    if (_ROOT / "cgroup.controllers").exists():
        _create_unified(_ROOT / group)
        return
    for controller in _controllers():
        (controller / group).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (controller / file).exists():  # empty in a new group, and then nothing can run in it
                (controller / group / file).write_text((controller / file).read_text())


def _controllers() -> list[pathlib.Path]:
    return [entry for entry in _ROOT.iterdir() if entry.is_dir() and not entry.is_symlink()]


def _create_unified(group: pathlib.Path) -> None:
    missing = set(_NEEDED) - set((_ROOT / "cgroup.controllers").read_text().split())
    if missing:
        raise errors.SandboxError(f"the kernel offers no cgroup controller {', '.join(sorted(missing))}")
    wanted = " ".join(f"+{controller}" for controller in _NEEDED)
    try:
        (_ROOT / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:  # Below the real root, a group with processes in it can't have groups with limits.
        raise errors.SandboxError(
            f"{_ROOT} can't have control groups of its own: {error.strerror}",
            hint="In a container, start it with the host's control groups: docker run --privileged --cgroupns=host.",
        ) from error
    group.mkdir(exist_ok=True)
    (group / "cgroup.subtree_control").write_text(wanted)


def remove(name: str) -> None:
    """Raises SandboxError if something still runs inside after some seconds."""
    group = path(name).lstrip("/")
    until = time.monotonic() + _EMPTY_WITHIN
    while left := [found for parent in (_ROOT, *_controllers()) if (found := parent / group).exists()]:
        for top in left:
            _remove_tree(top)
        if time.monotonic() > until:
            raise errors.SandboxError(f"control group {left[0]} is still in use", hint="Look into its cgroup.procs.")
        time.sleep(0.02)


def _remove_tree(top: pathlib.Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        # A killed process stays inside for a moment.
        with contextlib.suppress(OSError):
            pathlib.Path(folder).rmdir()
