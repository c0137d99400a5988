"""Programs that tests write, and what they ask of processes that they have not started themselves."""

import contextlib
import os
import pathlib
import select
import shlex
import sys


def program(source: str) -> str:
    """The text of a file that runs in this Python, whose path may have blanks or be longer than a first line may be."""
    return f"#!/bin/sh\n''':'\nexec {shlex.quote(sys.executable)} \"$0\" \"$@\"\n'''\n{source}"


def gone(pid: int) -> bool:
    """Whether it has ended, or does within 10 s: a kill is an order, not yet a death."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            return bool(select.select([handle], [], [], 10)[0])
        finally:
            os.close(handle)
    return True


def first_of(pod_uid: str) -> int:
    """The first process of the pod's only container, as it is called outside."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = pod_uid in (folder / "cgroup").read_text().replace("_", "-")
            inside = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("NSpid"))
            if mine and inside.split()[-1] == "1" and (folder / "comm").read_text().strip() != "pause":
                return int(folder.name)
    raise AssertionError(f"no process of pod {pod_uid}")
