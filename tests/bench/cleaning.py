"""`make bench-cleaning`: how long it takes until the environments of fifty closed pull requests are gone.

serial   as most scripts do it: for each, one REST call whether it is closed, then `kubectl delete namespace --wait`
floor    what no tool that keeps to the API can be much faster than: all DELETEs at once, then one watch to the 404
k8s-ee   `k8s-ee janitor`, from the start of the process to its end; it also judges, proves, and tells what GitHub takes

One after another on the same cluster, each with fifty environments of its own: the fence, and a pod that kwok pretends
to run. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures

from k8s_ee import cluster as clusters
from k8s_ee.cluster import watching
from k8s_ee_sandbox import cluster, progress
from tests import conftest
from tests.cluster import crowd, environments, kwok, passes
from tests.wire import github

SERIAL, FLOOR, OURS = "serial", "floor", "k8s-ee"
_NAME = "cleaning"
_FASTER, _ABOVE_FLOOR = 5.0, 1.25


@dataclasses.dataclass(frozen=True)
class Arena:
    sandbox: cluster.Sandbox
    api: clusters.Cluster
    kubectl: conftest.Kubectl
    github: github.Server
    node: str
    folder: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Results:
    """Seconds by side, in the order of the rounds."""

    environments: int
    load: tuple[float, float]
    seconds: Mapping[str, tuple[float, ...]]

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    @property
    def faster(self) -> float:
        return self.median(SERIAL) / self.median(OURS)

    @property
    def above_floor(self) -> float:
        return self.median(OURS) / self.median(FLOOR)

    @property
    def met(self) -> bool:
        return self.faster >= _FASTER and self.above_floor <= _ABOVE_FLOOR


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cleaning", description=__doc__)
    parser.add_argument("--environments", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3, help="of floor and k8s-ee (default 3)")
    parser.add_argument("--serial-rounds", type=int, default=1, help="each takes minutes (default 1)")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    given = parser.parse_args(argv)
    found = compare(given.environments, rounds=given.rounds, serial_rounds=given.serial_rounds)
    print(json.dumps(dataclasses.asdict(found), indent=2) if given.output == "json" else text(found))
    return 0 if found.met else 1


def compare(count: int, *, rounds: int, serial_rounds: int) -> Results:
    """Brings a cluster up and takes it down. Raises SandboxError."""
    before, lines = os.getloadavg()[0], progress.Progress()
    order = [side for number in range(rounds) for side in ((FLOOR, OURS) if number % 2 else (OURS, FLOOR))]
    order += [SERIAL] * serial_rounds
    numbers = range(1, 1 + count * (len(order) + 1))
    try:
        sandbox = cluster.up(_NAME, "api", lines)
        api = environments.connect(sandbox)
        with (
            tempfile.TemporaryDirectory(prefix="k8s-ee-cleaning-") as folder,
            passes.hub(numbers) as hub,
            kwok.node(sandbox, api) as node,
        ):
            kubectl = conftest.kubectl_for(sandbox.kubeconfig)
            arena = Arena(sandbox, api, kubectl, hub, node, pathlib.Path(folder))
            _round(arena, FLOOR, numbers[:count])  # Not counted: caches are filled.
            seconds: dict[str, list[float]] = {SERIAL: [], FLOOR: [], OURS: []}
            for index, side in enumerate(order, 1):
                taken = _round(arena, side, numbers[index * count : (index + 1) * count])
                seconds[side].append(taken)
                print(f"{side}: {taken:.1f} s", file=sys.stderr, flush=True)
    finally:
        cluster.down(_NAME, lines)
    return Results(count, (before, os.getloadavg()[0]), {side: tuple(found) for side, found in seconds.items()})


def text(found: Results) -> str:
    lines = [f"{found.environments} environments; load of the machine {found.load[0]:.1f} to {found.load[1]:.1f}", ""]
    for side, seconds in found.seconds.items():
        spread = f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}, {len(seconds)} rounds)"
        lines.append(f"{side:8}{spread}")
    lines += [
        "",
        f"{_judged(found.faster >= _FASTER)} {found.faster:.1f} times as fast as serial (wanted at least {_FASTER:g})",
        f"{_judged(found.above_floor <= _ABOVE_FLOOR)} {found.above_floor:.2f} times the floor"
        f" (wanted at most {_ABOVE_FLOOR:g})",
    ]
    return "\n".join(lines)


def _judged(met: bool) -> str:
    return "met   " if met else "MISSED"


def _round(arena: Arena, side: str, numbers: range) -> float:
    """Seconds. The environments are there, their pods run, and their pull requests are closed before it starts."""
    wanted = [crowd.wanted(number) for number in numbers]
    crowd.create(arena.api, [[*crowd.fence(one), crowd.pod(one, arena.node)] for one in wanted])
    names = {str(one.namespace) for one in wanted}
    crowd.until(lambda: crowd.running(arena.api, names) == len(names))
    passes.close(arena.github, numbers)
    began = time.monotonic()
    _WAYS[side](arena, numbers)
    taken = time.monotonic() - began
    left = names & {one["metadata"]["name"] for one in arena.api.list("Namespace")}
    assert not left, f"{side} left {len(left)} behind"
    return taken


def _serial(arena: Arena, numbers: range) -> None:
    for number in numbers:
        one = crowd.wanted(number)
        asked = urllib.request.Request(
            f"{arena.github.url}/repos/{one.repository}/pulls/{number}", headers={"Authorization": "Bearer token"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["state"] == "closed"
        arena.kubectl("delete", "namespace", one.namespace, "--wait")


def _floor(arena: Arena, numbers: range) -> None:
    api, names = arena.api, {str(crowd.wanted(number).namespace) for number in numbers}
    found = [one["metadata"] for one in api.list("Namespace") if one["metadata"]["name"] in names]
    with watching.watching(api, [watching.Subject("Namespace")]) as watch:
        with futures.ThreadPoolExecutor(len(found)) as pool:
            list(pool.map(lambda one: api.delete("Namespace", one["name"], uid=one["uid"]), found))
        waiting = {one["uid"]: one["name"] for one in found}
        while waiting:
            watch.next(1)
            if watch.complete:
                there = {one["metadata"]["uid"] for one in watch.view.of("Namespace")}
                absent = functools.partial(watching.absent, api, "Namespace")
                waiting = {uid: name for uid, name in waiting.items() if uid in there or not absent(name, uid=uid)}


def _ours(arena: Arena, numbers: range) -> None:
    done = passes.run(arena.sandbox.kubeconfig, arena.github, arena.folder)
    assert done.code == 0, done.outcome["failure"]
    assert done.summary["deleted"] == len(numbers), done.summary


_WAYS: Mapping[str, Callable[[Arena, range], None]] = {SERIAL: _serial, FLOOR: _floor, OURS: _ours}


if __name__ == "__main__":
    sys.exit(main())
