"""A cluster of its own, reached at two distances, with the identities and the image that all sides use."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from k8s_ee import cluster as clusters
from k8s_ee import settings
from k8s_ee_sandbox import artifacts, cluster, platform, progress
from tests import conftest, world
from tests.bench import counting, measuring, relay, same, scenario, sides
from tests.cluster import cli

ROUND_TRIPS = (0.0, 0.025)
_NAME = "bench"
_BY_HAND = "bench-by-hand"
_SERVED_WITHIN = 15.0


@dataclasses.dataclass(frozen=True)
class Deploy:
    """`spent` from the first command's start to the last one's end; pods as seen from outside meanwhile."""

    spent: measuring.Spent
    slowest_pod: float
    pod_chain: float


@dataclasses.dataclass
class Arena:
    """`tools` by round trip time in seconds."""

    sandbox: cluster.Sandbox
    installed: cli.Installed
    tools: Mapping[float, sides.Tools]
    folder: pathlib.Path
    pull_secret: dict[str, Any]
    watcher: clusters.Cluster
    migration: bool
    _number: int = 0

    def pull_request(self, *, number: int = 0) -> scenario.Scenario:
        """Another pull request each time, or the same one by `number`."""
        self._number += 1
        return scenario.write(
            self.folder / f"scenario-{self._number}",
            self.sandbox,
            number=number or 1000 + self._number,
            image=self.installed.image,
            pull_secret=self.pull_secret,
            migration=self.migration,
        )

    @property
    def compared(self) -> tuple[str, ...]:
        """What a whole deploy is compared with; without a migration there is no order to keep."""
        return sides.SIDES if self.migration else sides.NAMESPACES

    def create_namespace(self, side: str, wanted: scenario.Scenario, *, round_trip: float) -> measuring.Spent:
        tools = self.tools[round_trip]
        return self._run(sides.create_namespace(side, tools, wanted), tools=tools, wanted=wanted)

    def deploy(self, side: str, wanted: scenario.Scenario, *, round_trip: float) -> Deploy:
        tools = self.tools[round_trip]
        commands = sides.deploy(side, tools, wanted, scratch=self.folder)
        with measuring.starts(self.watcher, wanted.namespace) as seen:
            spent = self._run(commands, tools=tools, wanted=wanted)
            self._serves(wanted)
        return Deploy(spent=spent, slowest_pod=seen.slowest, pod_chain=seen.chain)

    def validate(self) -> measuring.Spent:
        command = sides.Command((str(self.tools[0.0].k8s_ee), "validate"))
        return measuring.run([command], environ=self.installed.environ(), directory=self.folder)

    def discover(self) -> None:
        """Fills kubectl's and Helm's discovery cache, which they keep by address."""
        for tools in self.tools.values():
            command = tools.kubectl_("api-resources")
            measuring.run(
                [command], environ={**self.installed.environ(), **_caches(self.folder)}, directory=self.folder
            )

    def objects(self, wanted: scenario.Scenario) -> same.Objects:
        """Every namespaced object of the environment, and its Namespace."""
        kubectl = self.installed.kubectl
        kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
        listed = [kind for kind in kinds if not kind.startswith("events")]
        found = json.loads(kubectl("-n", wanted.namespace, "get", ",".join(listed), "--output=json"))["items"]
        return same.normalised([*found, json.loads(kubectl("get", "namespace", wanted.namespace, "--output=json"))])

    def requests(self, side: str, *, whole: bool) -> counting.Counts:
        """What one run, not timed, asks of the API server: a whole deploy, or create-namespace alone."""
        plain = self.tools[0.0]
        kubeconfig = plain.ci if side == sides.OURS else plain.admin
        content = yaml.safe_load(kubeconfig.read_text())
        wanted = self.pull_request()

        def commands(tools: sides.Tools) -> list[sides.Command]:
            make = functools.partial(sides.deploy, scratch=self.folder) if whole else sides.create_namespace
            return make(side, tools, wanted)

        with _counted(content) as (url, counts):
            through = _kubeconfig(self.folder / "counted.kubeconfig", content, server=url)
            tools = dataclasses.replace(plain, admin=through, ci=through)
            if side != sides.OURS:  # Which keeps no discovery cache: it needs no discovery.
                self._run([tools.kubectl_("api-resources")], tools=tools, wanted=wanted)
            counts.clear()
            self._run(commands(tools), tools=tools, wanted=wanted)
            found = counting.Counts(counts)
        self.remove([wanted])
        return found

    def remove(self, scenarios: Sequence[scenario.Scenario]) -> None:
        """Waits until they are gone: nothing of one round goes on during the next."""
        names = [one.namespace for one in scenarios]
        self.installed.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait", timeout=180)

    def _run(
        self, commands: Sequence[sides.Command], *, tools: sides.Tools, wanted: scenario.Scenario
    ) -> measuring.Spent:
        own = sides.environ(tools, wanted, image=self.installed.image)
        environ = {**self.installed.environ(), **own, **_caches(self.folder)}
        return measuring.run(commands, environ=environ, directory=self.folder)

    def _serves(self, wanted: scenario.Scenario) -> None:
        """A deploy that does not serve in the end is not worth comparing. Raises CommandFailed."""
        deadline, status, answer = time.monotonic() + _SERVED_WITHIN, 0, ""
        while time.monotonic() < deadline:
            status, answer = world.ask(self.sandbox, wanted.host, "/version")
            if status == 200 and json.loads(answer)["commit"] == scenario.COMMIT:
                return
            time.sleep(0.2)
        raise measuring.CommandFailed(f"{wanted.host} does not serve the commit: {status} {answer[:200]}")


@contextlib.contextmanager
def arena(folder: pathlib.Path, *, migration: bool) -> Iterator[Arena]:
    """The cluster is taken down in the end. Raises SandboxError."""
    lines = progress.Progress()
    try:
        sandbox = cluster.up(_NAME, "node", lines)
        kubectl = conftest.kubectl_for(sandbox.kubeconfig)
        installed = cli.with_image(cli.install(sandbox, folder, kubectl), folder)
        (folder / "k8s-ee.yaml").write_text(yaml.safe_dump(scenario.config(sandbox, migration=migration)))
        with _tools(folder, sandbox, installed) as tools:
            yield Arena(
                sandbox=sandbox,
                installed=installed,
                tools=tools,
                folder=folder,
                pull_secret=json.loads(
                    kubectl("-n", sandbox.platform_namespace, "get", "secret", platform.PULL_SECRET, "--output=json")
                ),
                watcher=clusters.connect(settings.Connection(kubeconfig=str(sandbox.kubeconfig))),
                migration=migration,
            )
    finally:
        cluster.down(_NAME, lines)


@contextlib.contextmanager
def _tools(
    folder: pathlib.Path, sandbox: cluster.Sandbox, installed: cli.Installed
) -> Iterator[Mapping[float, sides.Tools]]:
    found = artifacts.ensure("kubectl", "helm", progress=progress.Progress())
    kubeconfigs = {"ci": installed.kubeconfig, "admin": _by_hand(folder, sandbox, installed.kubectl)}
    address = urllib.parse.urlsplit(sandbox.api_url)
    made = {}
    with contextlib.ExitStack() as relays:
        for round_trip in ROUND_TRIPS:
            server, where = sandbox.api_url, folder / f"{round_trip * 1000:.0f}ms"
            where.mkdir()
            if round_trip:
                host, port = str(address.hostname), address.port or 443
                server = f"https://127.0.0.1:{relays.enter_context(relay.running(host, port, round_trip=round_trip))}"
            own = {
                user: _kubeconfig(where / user, yaml.safe_load(path.read_text()), server=server)
                for user, path in kubeconfigs.items()
            }
            made[round_trip] = sides.Tools(
                kubectl=found["kubectl"], helm=found["helm"], k8s_ee=installed.bin / "k8s-ee", **own
            )
        yield made


def _by_hand(folder: pathlib.Path, sandbox: cluster.Sandbox, kubectl: conftest.Kubectl) -> pathlib.Path:
    """A kubeconfig with a token, as CI has one, for sides that need to read Secrets (Helm keeps its releases there)."""
    inside = ("-n", sandbox.platform_namespace)
    account = f"{sandbox.platform_namespace}:{_BY_HAND}"
    wanted = [
        kubectl(*inside, "create", "serviceaccount", _BY_HAND, "--dry-run=client", "--output=yaml"),
        kubectl(
            *("create", "clusterrolebinding", _BY_HAND, "--clusterrole=cluster-admin"),
            *(f"--serviceaccount={account}", "--dry-run=client", "--output=yaml"),
        ),
    ]
    kubectl("apply", "-f", "-", stdin="---\n".join(wanted))
    token = kubectl(*inside, "create", "token", _BY_HAND, "--duration=24h").strip()
    content = yaml.safe_load(sandbox.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    return _kubeconfig(folder / "by-hand.kubeconfig", content, server=sandbox.api_url)


def _kubeconfig(path: pathlib.Path, content: Mapping[str, Any], *, server: str) -> pathlib.Path:
    (entry,) = content["clusters"]
    reached = {**entry["cluster"], "server": server}
    if server.startswith("http://"):
        reached = {"server": server}
    elif "127.0.0.1" in server:
        reached["tls-server-name"] = "kubernetes"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({**content, "clusters": [{**entry, "cluster": reached}]}))
    return path


@contextlib.contextmanager
def _counted(kubeconfig: Mapping[str, Any]) -> Iterator[tuple[str, counting.Counts]]:
    reached = kubeconfig["clusters"][0]["cluster"]
    authority = base64.b64decode(reached["certificate-authority-data"]).decode()
    token = kubeconfig["users"][0]["user"]["token"]
    with counting.running(reached["server"], authority=authority, token=token) as found:
        yield found


def _caches(folder: pathlib.Path) -> Mapping[str, str]:
    """Discovery is read once, in the first round, which does not count, and then from here."""
    helm = {f"HELM_{kind}_HOME": str(folder / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return {**helm, "KUBECACHEDIR": str(folder / "kube-cache"), "HOME": os.environ.get("HOME", "/root")}
