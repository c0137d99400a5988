"""What a run can leave behind on the machine, counted before and after."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import fnmatch
import os
import pathlib
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping

_BECOME_REAPER = 36  # PR_SET_CHILD_SUBREAPER
_PROC = pathlib.Path("/proc")
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_SHARED = pathlib.Path("/dev/shm")  # noqa: S108 - only looked at
_TIMEOUT = 30
# In names of links, namespaces and control groups, and wherever those are mentioned.
_SANDBOX = re.compile(r"(?:^|[\s/])(?:k8s-ee|ee)-([a-z0-9-]+?)(?:-inet)?(?=[\s/]|$)")

# A route that a router has announced.
_COUNTDOWN = re.compile(r" expires \d+sec")
_NETWORK_NAMESPACES = pathlib.Path("/run/netns")

Counts = Mapping[str, collections.Counter[str]]


def adopt() -> None:
    """From now on whoever loses its parent below this process becomes its child, daemons too: none gets away."""
    if ctypes.CDLL(None, use_errno=True).prctl(_BECOME_REAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this process can't adopt orphans")


def descendants() -> dict[int, str]:
    """Command lines by process number, of all that descend from this process and have not ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    children = collections.defaultdict(list)
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children[int(parent)].append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [os.getpid()]
    while waiting:
        for child in children[waiting.pop()]:
            waiting.append(child)
            with contextlib.suppress(OSError):
                # One that is on its way out has none any more.
                if command := (_PROC / str(child) / "cmdline").read_text().replace("\0", " ").strip():
                    found[child] = command
    return found


def count() -> Counts:
    """Everything outside processes, by kind. Of this machine as a whole, whoever made it."""
    return {
        "mount": collections.Counter(_mounts()),
        "link": collections.Counter(
            line.split()[1].rstrip(":").partition("@")[0] for line in _lines("ip", "-oneline", "link")
        ),
        "network namespace": collections.Counter(line.split()[0] for line in _lines("ip", "netns")),
        "route": collections.Counter(
            _COUNTDOWN.sub("", line) for line in _lines("ip", "route", "show", "table", "all")
        ),
        "firewall rule": collections.Counter([*_rules("iptables-save"), *_rules("ip6tables-save")]),
        "control group": collections.Counter(control_groups()),
        "shared memory": collections.Counter(path.name for path in _SHARED.glob("PostgreSQL.*")),
    }


def new(before: Counts, after: Counts, *, ours: Iterable[str] = ()) -> list[str]:
    """What has come. What names a sandbox counts only if it is one of `ours`: others may work on the same machine."""
    names = set(ours)
    found = [(kind, what) for kind in after for what in after[kind] - before[kind]]
    return [f"{kind} {what}" for kind, what in found if set(_SANDBOX.findall(what)) <= names]


def control_groups() -> Iterator[str]:
    """Of all sandboxes. Some may be taken away while we look: `pathlib.Path.rglob` would fail then."""
    for folder, names, _files in os.walk(_CGROUPS):
        for name in fnmatch.filter(names, "k8s-ee*"):
            yield str((pathlib.Path(folder) / name).relative_to(_CGROUPS))


def _mounts() -> list[str]:
    """Without the one that the first network namespace brings, whosever it is, while there is one."""
    found = [line.split()[4] for line in (_PROC / "self" / "mountinfo").read_text().splitlines()]
    return [one for one in found if one != str(_NETWORK_NAMESPACES) or not any(_NETWORK_NAMESPACES.iterdir())]


def _lines(*command: str) -> list[str]:
    """None where the program is not installed: nobody can have used it, then."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except FileNotFoundError:
        return []
    return [line for line in done.stdout.splitlines() if line.strip()]


def _rules(program: str) -> list[str]:
    """With their tables. Chains that come with the kernel are none."""
    table, found = "", []
    for line in _lines(program):
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-") or re.match(r":\S+ - ", line):
            found.append(f"{table} {line.partition(' [')[0]}")
    return found
