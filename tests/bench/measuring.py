"""Wall-clock and CPU time of commands, and the time that pods themselves needed to start."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k8s_ee import cluster as clusters
from k8s_ee.cluster import watching
from tests.bench import sides

_SECONDS = 240.0


class CommandFailed(Exception):
    """One of the compared commands did not succeed: there is nothing to compare."""


@dataclasses.dataclass(frozen=True)
class Spent:
    """In seconds. `cpu` is user and system time of the processes and all their children."""

    wall: float
    cpu: float


def run(commands: Sequence[sides.Command], *, environ: Mapping[str, str], directory: pathlib.Path) -> Spent:
    """One after another, start and end of each process counted. Raises CommandFailed."""
    began, cpu = time.monotonic(), 0.0
    for command in commands:
        cpu += _run(command, environ=environ, directory=directory)
    return Spent(wall=time.monotonic() - began, cpu=cpu)


def _run(command: sides.Command, *, environ: Mapping[str, str], directory: pathlib.Path) -> float:
    """Seconds of CPU."""
    log = directory / "log.txt"
    with log.open("w") as errors, (command.into or directory / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command.argv, env=environ, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )
        killer = threading.Timer(_SECONDS, process.kill)
        killer.start()
        _pid, status, used = os.wait4(process.pid, 0)
        killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandFailed(f"{' '.join(command.argv)}: exit code {process.returncode}\n{log.read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime


@dataclasses.dataclass
class Starts:
    """When each pod was seen first, and when it was seen ready, or done, on the monotonic clock."""

    created: dict[str, float] = dataclasses.field(default_factory=dict)
    ready: dict[str, float] = dataclasses.field(default_factory=dict)

    def note(self, pods: Sequence[Mapping[str, Any]], now: float) -> None:
        for pod in pods:
            name = pod["metadata"]["name"]
            self.created.setdefault(name, now)
            if _started(pod):
                self.ready.setdefault(name, now)

    @property
    def slowest(self) -> float:
        """Of one pod, from its creation to ready (or to its end, for a Job's)."""
        return max((self.ready[name] - self.created[name] for name in self.ready), default=0.0)

    @property
    def chain(self) -> float:
        """Seconds in which at least one pod was on its way from creation to ready: the part that nobody who deploys
        can shorten, as a pod that waits for another one's start is counted once."""
        return covered([(self.created[name], end) for name, end in self.ready.items()])


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _started(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    conditions = {one["type"] for one in status.get("conditions") or [] if one["status"] == "True"}
    return status.get("phase") == "Succeeded" or "Ready" in conditions


@contextlib.contextmanager
def starts(cluster: clusters.Cluster, namespace: str) -> Iterator[Starts]:
    """Watched from before the namespace exists, by the same one watch for every side."""
    seen, over = Starts(), threading.Event()

    def follow() -> None:
        while not over.is_set():
            if watch.next(0.2):
                seen.note(watch.view.of("Pod"), time.monotonic())

    with watching.watching(cluster, [watching.Subject("Pod", namespace)]) as watch:
        while not watch.complete:
            watch.next(5)
        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()
