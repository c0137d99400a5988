"""`make test`: runs every test on a cluster of its own, and fails if anything is left running on the machine."""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import subprocess
import sys
import time

_SANDBOX = "test"


def leftovers() -> dict[str, collections.Counter[str]]:
    """What a cluster could leave behind, by kind. Counted before and after."""
    return {
        "processes": collections.Counter(_processes()),
        "mounts": collections.Counter(line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").open()),
        "links": collections.Counter(_lines("ip", "-o", "link", field=1)),
        "network namespaces": collections.Counter(_lines("ip", "netns", field=0)),
        "routes": collections.Counter(_lines("ip", "route", field=0)),
        "iptables rules": collections.Counter(
            _lines("iptables-save", "-t", "filter") + _lines("iptables-save", "-t", "nat")
        ),
        "cgroups": collections.Counter(
            str(one) for one in pathlib.Path("/sys/fs/cgroup").rglob("*") if one.is_dir() and "k8s-ee" in one.name
        ),
    }


def _processes() -> list[str]:
    """Names of programs only a cluster runs; others come and go on any machine."""
    names = []
    for status in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            names.append(status.read_text().strip())
        except OSError:
            continue
    ours = ("kube", "etcd", "containerd", "coredns", "cilium", "runc", "act", "postgres", "pause", "unshare")
    return [name for name in names if name.startswith(ours)]


def _lines(*command: str, field: int | None = None) -> list[str]:
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except FileNotFoundError:
        return []
    rows = [line for line in output.splitlines() if line and not line.startswith(("#", ":"))]
    return rows if field is None else [row.split()[field] for row in rows]


def new(before: dict[str, collections.Counter[str]], after: dict[str, collections.Counter[str]]) -> list[str]:
    return [f"{kind}: {name}" for kind in after for name in after[kind] - before[kind]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="every loop at full length")
    parser.add_argument("arguments", nargs="*", help="for pytest")
    options = parser.parse_args()
    started = time.monotonic()
    before = leftovers()
    selection = [] if options.long else ["-m", "not long"]
    environ = {**os.environ, "K8S_EE_SANDBOX": _SANDBOX}
    command = [sys.executable, "-m", "pytest", *selection, *options.arguments]
    code = subprocess.run(command, env=environ, check=False).returncode
    subprocess.run(
        [sys.executable, "-m", "k8s_ee_sandbox", "down", "--name", _SANDBOX], env=environ, check=False, timeout=120
    )
    remaining = new(before, leftovers())
    for line in remaining:
        print(f"left behind: {line}", file=sys.stderr)
    print(f"make test: {time.monotonic() - started:.0f} s, {len(remaining)} things left behind", file=sys.stderr)
    return code or (1 if remaining else 0)


if __name__ == "__main__":
    sys.exit(main())
