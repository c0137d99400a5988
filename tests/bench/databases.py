"""`make bench-databases`: how long databases take until they answer, alone and all together.

bare      the engine's own way to make an empty database, and its server, as plain processes in its own image
alone     one of our charts: from its creation to Ready, where its volume and its image are there already
together  all charts at the same time

Each engine bare, each alone, and then all together, in every round, on one cluster. CPU is what the whole machine spent
beyond what it spends while nothing starts. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from k8s_ee import cluster as clusters
from k8s_ee import config as configs
from k8s_ee import environment, helm, plan
from k8s_ee.cluster import pool
from k8s_ee.config import model
from k8s_ee_sandbox import cache, cluster, platform, progress
from tests import conftest, servers
from tests.bench import measuring
from tests.cluster import cli, crowd, environments
from tests.workflows import events

_NAME, _STORAGE_CLASS = "databases", "at-once"
_BEYOND, _TOGETHER = 1.5, 1.3
_IDLE_SECONDS = 3.0

# Makes an empty database in the empty folder $D and becomes its server; and what succeeds once that answers.
_BARE = {
    "postgresql": (
        'initdb -D "$D" -U postgres -A trust; exec postgres -D "$D" -h 127.0.0.1 -k "$SOCKETS"',
        "psql -XqAt -h 127.0.0.1 -U postgres -c 'select 1'",
    ),
    "mariadb": (
        'mariadb-install-db --no-defaults --datadir="$D" --force --auth-root-authentication-method=normal;'
        ' exec mariadbd --no-defaults --skip-ssl --datadir="$D" --socket="$SOCKETS/s" --port="$MYSQL_TCP_PORT"',
        "mariadb --no-defaults --skip-ssl -S \"$SOCKETS/s\" -uroot -e 'select 1'",
    ),
    "redis": (
        'exec valkey-server --dir "$D" --port "$REDIS_PORT" --appendonly yes',
        'valkey-cli -e -p "$REDIS_PORT" ping',
    ),
    "mongodb": (
        'exec mongod --dbpath "$D" --bind_ip 127.0.0.1',
        "mongoexport --uri 'mongodb://nobody:nobody@127.0.0.1:27017/admin?serverSelectionTimeoutMS=300'"
        " --collection none --out /dev/null",
    ),
    "minio": (
        'ROOT_ACCESS_KEY_ID=one ROOT_SECRET_ACCESS_KEY=two exec versitygw --port "127.0.0.1:$PORT" posix "$D"',
        'printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc 127.0.0.1 "$PORT" | grep -q HTTP',
    ),
}
_UNTIL = "({}) & until {}; do kill -0 $!; sleep 0.02; done"
ENGINES = tuple(_BARE)
_IMAGES = {"redis": "valkey"}


@dataclasses.dataclass(frozen=True)
class Round:
    """Seconds by engine. `cpu` is what starting it alone cost; `together` ends when the last one is ready."""

    bare: Mapping[str, float]
    alone: Mapping[str, float]
    cpu: Mapping[str, float]
    together: float


@dataclasses.dataclass(frozen=True)
class Results:
    cores: int
    load: tuple[float, float]
    rounds: tuple[Round, ...]

    def median(self, what: str, engine: str) -> float:
        seconds: list[float] = [getattr(one, what)[engine] for one in self.rounds]
        return statistics.median(seconds)

    def beyond(self, engine: str) -> float:
        return self.median("alone", engine) - self.median("bare", engine)

    @property
    def together(self) -> float:
        return statistics.median(one.together for one in self.rounds)

    @property
    def least(self) -> float:
        """Seconds that no order of starting them could go below."""
        work = sum(self.median("cpu", engine) for engine in ENGINES) / self.cores
        return max(work, *(self.median("alone", engine) for engine in ENGINES))

    @property
    def ratio(self) -> float:
        return self.together / self.least

    @property
    def met(self) -> bool:
        return self.ratio <= _TOGETHER and all(self.beyond(engine) <= _BEYOND for engine in ENGINES)


@dataclasses.dataclass(frozen=True)
class Arena:
    """`platform` makes volumes at once, not when a pod wants them."""

    installed: cli.Installed
    api: clusters.Cluster
    platform: model.Platform
    folder: pathlib.Path


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.databases", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    given = parser.parse_args(argv)
    found = compare(given.rounds)
    print(json.dumps(dataclasses.asdict(found), indent=2) if given.output == "json" else text(found))
    return 0 if found.met else 1


def compare(rounds: int) -> Results:
    """Brings a cluster up and takes it down. Raises SandboxError."""
    before, lines = os.getloadavg()[0], progress.Progress()
    try:
        sandbox = cluster.up(_NAME, "node", lines)
        with tempfile.TemporaryDirectory(prefix="k8s-ee-databases-", dir="/tmp") as folder:
            cache.set_apart(pathlib.Path(folder))  # as the sandbox does with volumes
            arena = _arena(sandbox, pathlib.Path(folder))
            _started(arena, ENGINES)  # Not counted: images are unpacked, caches are filled.
            measured = tuple(_round(arena, number) for number in range(1, rounds + 1))
    finally:
        cluster.down(_NAME, lines)
    return Results(os.cpu_count() or 1, (before, os.getloadavg()[0]), measured)


def text(found: Results) -> str:
    load = f"load of the machine {found.load[0]:.1f} to {found.load[1]:.1f}"
    lines = [f"medians of {len(found.rounds)} rounds, in seconds; {found.cores} cores; {load}", ""]
    lines.append(f"{'':12}{'bare':>8}{'alone':>8}{'beyond':>8}{'CPU':>8}")
    for engine in ENGINES:
        bare, alone, cpu = (found.median(what, engine) for what in ("bare", "alone", "cpu"))
        lines.append(f"{engine:12}{bare:>8.2f}{alone:>8.2f}{found.beyond(engine):>8.2f}{cpu:>8.2f}")
    lines.append("")
    for engine in ENGINES:
        beyond = found.beyond(engine)
        lines.append(f"{_judged(beyond <= _BEYOND)} {engine}: {beyond:.2f} s beyond bare (wanted at most {_BEYOND:g})")
    lines.append(
        f"{_judged(found.ratio <= _TOGETHER)} all together: {found.together:.2f} s, {found.ratio:.2f} times the least"
        f" possible {found.least:.2f} s (wanted at most {_TOGETHER:g})"
    )
    return "\n".join(lines)


def _judged(met: bool) -> str:
    return "met   " if met else "MISSED"


def _arena(sandbox: cluster.Sandbox, folder: pathlib.Path) -> Arena:
    kubectl = conftest.kubectl_for(sandbox.kubeconfig)
    installed = cli.install(sandbox, folder, kubectl)
    os.environ["PATH"] = f"{installed.bin}{os.pathsep}{os.environ['PATH']}"  # for helm
    (standard,) = json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]
    at_once = {**standard, "metadata": {"name": _STORAGE_CLASS}, "volumeBindingMode": "Immediate"}
    kubectl("apply", "-f", "-", stdin=json.dumps(at_once))
    settings = {**platform.settings(sandbox), "storageClass": _STORAGE_CLASS}
    loaded = configs.load_platform(json.dumps(settings), path="platform.yaml")
    return Arena(installed, environments.connect(sandbox), loaded, folder)


def _round(arena: Arena, number: int) -> Round:
    bare = {engine: _bare(engine, arena.folder) for engine in ENGINES}
    began = _busy()
    time.sleep(_IDLE_SECONDS)
    idle = (_busy() - began) / _IDLE_SECONDS
    alone, cpu = {}, {}
    for engine in ENGINES:
        alone[engine], spent = _started(arena, [engine])
        cpu[engine] = max(0.0, spent - idle * alone[engine])
    together, _ = _started(arena, ENGINES)
    shown = ", ".join(f"{engine} {bare[engine]:.2f}/{alone[engine]:.2f}" for engine in ENGINES)
    print(f"round {number}, bare/alone: {shown}; together {together:.2f}", file=sys.stderr, flush=True)
    return Round(bare, alone, cpu, together)


def _bare(engine: str, folder: pathlib.Path) -> float:
    """Seconds until the first answer."""
    with servers.made(engine, image=_IMAGES.get(engine, ""), within=folder) as server:
        empty = server.volume / "bare"
        empty.mkdir(mode=0o700)
        os.chown(empty, server.engine.user, server.engine.user)
        command = server.inside("sh", "-euc", _UNTIL.format(*_BARE[engine]), own_processes=True)
        environ = {**server.env, "D": str(empty), "PORT": str(server.port)}
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=environ, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(servers.PATIENCE) == 0, f"{engine} does not start by itself"
            return time.monotonic() - began
        finally:
            servers.kill(process)


def _busy() -> float:
    """Seconds that all cores of the machine have worked."""
    user, nice, system, _idle, _waiting, *interrupts = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    ticks = sum(int(one) for one in (user, nice, system, *interrupts[:2]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _started(arena: Arena, engines: Sequence[str]) -> tuple[float, float]:
    """Seconds from the creation of these until the last one is Ready, and of CPU meanwhile."""
    with (
        tempfile.TemporaryDirectory(dir=arena.folder) as folder,
        cli.preview(arena.installed, pathlib.Path(folder)) as preview,
    ):
        wanted = [model.Database(engine, storage="256Mi") for engine in engines]
        preview.configure({**cli.small(), "databases": {one.engine: {"storage": one.storage} for one in wanted}})
        fenced = preview.run("create-namespace")
        assert fenced.code == 0, fenced.said
        charts = [_prepared(arena, preview, one) for one in wanted]
        crowd.until(lambda: all(_bound(one) for one in arena.api.list("PersistentVolumeClaim", preview.namespace)))
        # A namespace ends right after the kubelet has looked: it would always be the same moment between two looks.
        time.sleep(random.random())  # noqa: S311
        with measuring.starts(arena.api, preview.namespace) as seen:
            began, busy = time.monotonic(), _busy()
            pool.side_by_side(
                [
                    functools.partial(arena.api.apply, chart, manager="bench", namespace=preview.namespace)
                    for chart in charts
                ]
            )
            crowd.until(lambda: len(seen.ready) == len(engines))
            spent = _busy() - busy
        for kind in ("StatefulSet", "Pod"):  # A namespace whose pods come back takes long to go.
            arena.api.delete_all(kind, preview.namespace, grace_seconds=0)
    crowd.until(lambda: arena.api.get("Namespace", preview.namespace) is None)
    return max(seen.ready.values()) - began, spent


def _prepared(arena: Arena, preview: cli.Preview, wanted: model.Database) -> tuple[dict[str, Any], ...]:
    """Makes its Secret and its volume, and gives the rest of it."""
    engine = plan.ENGINES[wanted.engine]
    target = environment.Environment(
        project=environment.ProjectId(preview.project),
        number=preview.number,
        repository=events.REPOSITORY,
        repository_id=events.REPOSITORY_ID,
        domain=arena.platform.domain,
    )
    component = plan.database(target, wanted, arena.platform, secret=engine.login)
    chart = helm.render(component, namespace=target.namespace, kube_version=arena.api.version())
    (claim,) = next(one for one in chart if one["kind"] == "StatefulSet")["spec"]["volumeClaimTemplates"]
    volume = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim, "metadata": {"name": engine.claim}}
    secret = plan.logins.login(engine, target, token=lambda: servers.PASSWORD)
    arena.api.apply((secret, volume), manager="bench", namespace=target.namespace)
    return chart


def _bound(claim: Mapping[str, Any]) -> bool:
    return bool((claim.get("status") or {}).get("phase") == "Bound")


if __name__ == "__main__":
    sys.exit(main())
