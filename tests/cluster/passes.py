"""One pass of `k8s-ee janitor` as a process, as a GitHub App on a local GitHub, with what it took of the machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import yaml

from tests.cluster import crowd
from tests.wire import github
from tests.wire import github_apps as apps
from tests.wire import github_state as states

_APP = 3
_LONGEST = 550.0
# The system's own count (ru_maxrss) begins with what the parent had, and the parent is pytest.
_MEASURED = """
import atexit, pathlib, runpy, sys
memory = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: memory.write_bytes(pathlib.Path("/proc/self/status").read_bytes()))
runpy.run_module("k8s_ee", run_name="__main__", alter_sys=True)
"""
_MOST_RESIDENT = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Passed:
    """Seconds; `memory` is the most that was resident at a time, in bytes."""

    code: int
    wall: float
    cpu: float
    memory: int
    outcome: dict[str, Any]

    def phase(self, name: str) -> float:
        return sum(float(one["seconds"]) for one in self.outcome["phases"] if one["name"] == name)

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.outcome["data"]["summary"]
        return found


@contextlib.contextmanager
def hub(numbers: range) -> Iterator[github.Server]:
    """Knows the repositories of a crowd, each pull request open, and an App that is installed for their owner."""
    shops = [states.Repository(id=one, full_name=f"acme/shop-{one}") for one in range(1, 1 + crowd.REPOSITORIES)]
    for number in numbers:
        shops[crowd.wanted(number).repository_id - 1].pulls[number] = states.Pull(number, head_sha="a" * 40)
    app = states.App(_APP, "previews", apps.keys().public, [states.Installation(100, "acme")])
    with github.Server(states.State(repositories=shops, apps=[app])) as server:
        yield server


def close(server: github.Server, numbers: range) -> None:
    for number in numbers:
        server.state.repositories[crowd.wanted(number).repository_id - 1].pulls[number].state = "closed"


def run(kubeconfig: pathlib.Path, server: github.Server, folder: pathlib.Path) -> Passed:
    """Start of the process to its end."""
    platform = folder / "platform.yaml"
    platform.write_text(yaml.safe_dump({"domain": "preview.test"}))
    foreign = ("K8S_EE_", "GITHUB_", "KUBE", "RUNNER_", "GH_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    environ |= {
        "K8S_EE_KUBECONFIG": str(kubeconfig),
        "K8S_EE_APP_ID": str(_APP),
        "K8S_EE_APP_PRIVATE_KEY": apps.keys().private,
        "GITHUB_API_URL": server.url,
    }
    status = folder / "status"
    arguments = ["janitor", "--platform-file", str(platform), "--output", "json"]
    command = [sys.executable, "-c", _MEASURED, str(status), *arguments]
    with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        killer = threading.Timer(_LONGEST, process.kill)
        killer.start()
        _pid, ended, used = os.wait4(process.pid, 0)
        killer.cancel()
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(ended)
    text = (folder / "stdout").read_text()
    assert text, (folder / "stderr").read_text()[-2000:]
    memory = _MOST_RESIDENT.search(status.read_text())
    assert memory
    cpu = used.ru_utime + used.ru_stime
    return Passed(process.returncode, wall, cpu, int(memory[1]) * 1024, json.loads(text))
