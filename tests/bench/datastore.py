"""What environments leave in etcd when they are gone, measured in pieces that go on where the last one ended.

    python -m tests.bench.datastore measure kept --cycles 250        # nothing is ever compacted
    python -m tests.bench.datastore measure compacted --cycles 250   # every minute, by the API server
    python -m tests.bench.datastore maintain kept                    # compaction, then defragmentation, by hand
    python -m tests.bench.datastore down
    python -m tests.bench.datastore plot                             # docs/datastore.json → docs/datastore.svg

One cycle makes an environment with its fence, app and database, waits until its pods run, and destroys it as the
janitor does. Pods are pretended by kwok, so that a thousand of them fit on any machine; all else is real.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from k8s_ee import cluster as clusters
from k8s_ee.cluster import destroy, pool
from k8s_ee_sandbox import cluster, cluster_profiles, network, node_programs, progress
from tests.bench import datastore_plot
from tests.cluster import crowd, environments, kwok

DATA = pathlib.Path(__file__).parents[2] / "docs" / "datastore.json"

RUNS = {"kept": "0", "compacted": "1m"}
"""How often the API server compacts. Its default is five minutes, in which a real platform sees few environments."""

_AT_ONCE = 50
_ETCD = "http://127.0.0.1:2379/v3"
_ASK = (
    "import sys, urllib.request;"
    "sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], sys.argv[2].encode(), timeout=120).read())"
)


@dataclasses.dataclass(frozen=True)
class Sample:
    """Sizes in bytes: of the file, and of what is used in it. `seconds` of work so far, without pauses in between."""

    cycles: int
    seconds: float
    file: int
    used: int
    revision: int
    after: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.datastore", description=__doc__)
    parser.add_argument("task", choices=["measure", "maintain", "down", "plot"])
    parser.add_argument("run", nargs="?", choices=sorted(RUNS))
    parser.add_argument("--cycles", type=int, default=_AT_ONCE, help=f"how many more, in steps of {_AT_ONCE}")
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    given = parser.parse_args(argv)
    if given.task in {"measure", "maintain"} and not given.run:
        parser.error("which run?")
    tasks: dict[str, Callable[[], None]] = {
        "measure": lambda: measure(given.run, cycles=given.cycles, data=given.data),
        "maintain": lambda: maintain(given.run, data=given.data),
        "down": down,
        "plot": lambda: datastore_plot.write(given.data),
    }
    tasks[given.task]()
    return 0


def measure(run: str, *, cycles: int, data: pathlib.Path) -> None:
    """Adds to `data` and leaves the cluster running. A new cluster starts its run anew."""
    fresh = cluster.status(_name(run)) is None
    sandbox = _up(run)
    samples = [] if fresh else _read(data).get(run, [])
    api = environments.connect(sandbox)
    if not samples:
        samples = [_sample(sandbox, cycles=0, seconds=0.0)]
        _write(data, run, samples)
    wanted = samples[-1].cycles + cycles
    with kwok.node(sandbox, api) as node:
        while samples[-1].cycles < wanted:
            began, last = time.monotonic(), samples[-1]
            _cycle(api, node, first=1 + last.cycles)
            seconds = round(last.seconds + time.monotonic() - began, 1)
            samples.append(_sample(sandbox, cycles=last.cycles + _AT_ONCE, seconds=seconds))
            _write(data, run, samples)
            print(samples[-1], file=sys.stderr, flush=True)


def maintain(run: str, *, data: pathlib.Path) -> None:
    """What an administrator does with a datastore that grew: nobody compacted it, and nothing shrank its file."""
    sandbox, samples = _up(run), _read(data)[run]
    last = samples[-1]
    revision = str(last.revision)
    for what, path, body in (
        ("compaction", "kv/compaction", {"revision": revision, "physical": True}),
        ("defragmentation", "maintenance/defragment", {}),
    ):
        began = time.monotonic()
        _etcd(sandbox, path, body)
        seconds = last.seconds + time.monotonic() - began
        last = _sample(sandbox, cycles=last.cycles, seconds=round(seconds, 1), after=what)
        samples.append(last)
        print(last, file=sys.stderr, flush=True)
    _write(data, run, samples)


def down() -> None:
    for run in RUNS:
        cluster.down(_name(run), progress.Progress())


def _cycle(api: clusters.Cluster, node: str, *, first: int) -> None:
    """`_AT_ONCE` environments from nothing to a 404."""
    wanted = [crowd.wanted(number) for number in range(first, first + _AT_ONCE)]
    names = {str(one.namespace) for one in wanted}
    crowd.create(api, [[*crowd.fence(one), *crowd.workloads(one, node)] for one in wanted])
    crowd.until(lambda: crowd.running(api, names) == 2 * len(names))
    known = destroy.survey(api)
    observed = [one for one in clusters.environments(api) if one.namespace in names]
    begin = functools.partial(destroy.begin, api, progress=environments.quiet, known=known)
    begun = pool.side_by_side([functools.partial(begin, one) for one in observed])
    receipts = destroy.finish(api, begun, deadline=environments.soon(240), progress=environments.quiet)
    gone = sum(one.deleted and not one.left for one in receipts)
    assert gone == _AT_ONCE, receipts


def _name(run: str) -> str:
    return f"data-{run}"[:12]


def _up(run: str) -> cluster.Sandbox:
    """Profile `api` with the run's compaction."""
    plain = cluster_profiles.find("api")
    flag = f"--etcd-compaction-interval={RUNS[run]}"

    def programs(site: node_programs.Site, images_ready: pathlib.Path) -> list[node_programs.Program]:
        made = plain.programs(site, images_ready)
        return [
            dataclasses.replace(one, argv=[*one.argv, flag]) if one.name == "kube-apiserver" else one for one in made
        ]

    with cluster_profiles.replaced(dataclasses.replace(plain, programs=programs)):
        return cluster.up(_name(run), "api", progress.Progress())


def _sample(sandbox: cluster.Sandbox, *, cycles: int, seconds: float, after: str = "") -> Sample:
    status = _etcd(sandbox, "maintenance/status", {})
    sizes = {"file": int(status["dbSize"]), "used": int(status["dbSizeInUse"])}
    return Sample(cycles, seconds, revision=int(status["header"]["revision"]), after=after, **sizes)


def _etcd(sandbox: cluster.Sandbox, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """It listens on the node's loopback only."""
    inside = f"--net=/run/netns/{network.Network(name=sandbox.name, slot=0).namespace}"
    command = ["nsenter", inside, sys.executable, "-c", _ASK, f"{_ETCD}/{path}", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _read(data: pathlib.Path) -> dict[str, list[Sample]]:
    found = json.loads(data.read_text()) if data.exists() else {}
    return {run: [Sample(**one) for one in samples] for run, samples in found.items()}


def _write(data: pathlib.Path, run: str, samples: Sequence[Sample]) -> None:
    everything = {**_read(data), run: samples}
    runs = [
        f'"{name}": [\n  ' + ",\n  ".join(json.dumps(dataclasses.asdict(one)) for one in everything[name]) + "\n]"
        for name in sorted(everything)
    ]
    data.write_text("{\n" + ",\n".join(runs) + "\n}\n")


if __name__ == "__main__":
    sys.exit(main())
