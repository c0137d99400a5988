"""Programs from the sandbox's images, run without a cluster: in the unpacked image, with one folder of ours in it."""

from __future__ import annotations

import os
import pathlib

import pytest

from k8s_ee_sandbox import artifacts, progress

# The mounts are this command's own and go with it; the tree itself is shared and stays as it is. So does shared memory:
# a database that is killed leaves its own behind.
_ENTER = """
root=$1 shared=$2 at=$3 user=$4
shift 4
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount --rbind /proc "$root/proc"
mkdir -p "$root$at"
mount --bind "$shared" "$root$at"
exec chroot --userspec="$user:$user" --groups= "$root" "$@"
"""


def tree(image: str) -> pathlib.Path:
    """Only root can enter it: others skip."""
    if os.geteuid() != 0:
        pytest.skip("only root can run programs in an image")
    name = f"tree-{image}"
    return artifacts.ensure(name, progress=progress.Progress())[name]


def inside(
    root: pathlib.Path, *command: str, shared: pathlib.Path, user: int, at: str = "", own_processes: bool = False
) -> list[str]:
    """The command line. `shared` has the same path inside if that is below /tmp; else `at` is a folder of the image."""
    processes = ["--pid", "--fork"] if own_processes else []
    enter = ["sh", "-euc", _ENTER, "sh", str(root), str(shared), at or str(shared), str(user)]
    return ["unshare", "--mount", *processes, *enter, *command]
