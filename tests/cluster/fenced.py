"""Whole environments as a deploy makes them (namespace, fence, app), and connections tried from inside a pod."""

import dataclasses
import json
import os
import pathlib
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from k8s_ee import config, environment, helm, plan
from k8s_ee.config import model
from k8s_ee_sandbox import cluster, platform
from tests import conftest
from tests.cluster import workloads

Manifest = dict[str, Any]
Address = tuple[str, int]

_KUBERNETES = "v1.34.4"

# Answers with its port; the next port answers as well, and no policy names it.
APP = """
import http.server, os, threading
port = os.environ.get("PORT", "8000").encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(port)
    def log_message(self, *args):
        pass
for number in (int(port), int(port) + 1):
    threading.Thread(target=http.server.ThreadingHTTPServer(("", number), Handler).serve_forever).start()
"""

_TRY = """
import concurrent.futures, json, socket, sys
def reached(address):
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True
addresses = [tuple(one) for one in json.loads(sys.argv[1])]
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps([one for one, open in zip(addresses, pool.map(reached, addresses)) if open]))
"""

# Tries as fast as it can from its first instruction on, for two seconds.
EAGER = """
import json, socket, sys, time
until, attempts, reached = time.monotonic() + 2, 0, 0
while time.monotonic() < until:
    for address in json.loads(sys.argv[1]):
        attempts += 1
        try:
            socket.create_connection(tuple(address), timeout=0.1).close()
            reached += 1
        except OSError:
            pass
print(json.dumps({"attempts": attempts, "reached": reached}))
"""


@dataclasses.dataclass(frozen=True)
class Maker:
    """Makes environments on one sandbox."""

    sandbox: cluster.Sandbox
    kubectl: conftest.Kubectl

    def target(self) -> environment.Environment:
        return environment.Environment(
            project=environment.ProjectId("fenced"),
            number=1 + secrets.randbelow(10**9),
            repository="acme/shop",
            repository_id=1,
            domain=self.sandbox.domain,
            scheme="http",
            head_sha="a" * 40,
        )

    def fence(self, target: environment.Environment) -> None:
        """Namespace first, as a deploy does."""
        settings, wanted = self._platform(), self._config(port=3000)
        self.apply(plan.namespace(target, settings))
        self.apply(*plan.fence(target, wanted, settings), namespace=target.namespace)

    def external_databases(self, target: environment.Environment, there: model.ExternalDatabases) -> Manifest:
        """The policy that an environment with an external database has besides."""
        settings = dataclasses.replace(self._platform(), external_databases=there)
        databases = (model.Database(engine="postgresql", external="theirs"),)
        wanted = dataclasses.replace(self._config(port=3000), databases=databases)
        fence = plan.fence(target, wanted, settings)
        return next(one for one in fence if one["metadata"]["name"] == "external-databases")

    def app(self, target: environment.Environment, *, port: int = 3000, **spec: Any) -> None:
        """`spec` overrides keys of the Deployment's."""
        wanted, image = self._config(port=port), self.sandbox.images["base"]
        component = plan.app(target, wanted, self._platform(), image=image, database_secrets={})
        manifests = helm.render(component, namespace=target.namespace, kube_version=_KUBERNETES)
        for manifest in manifests:
            if manifest["kind"] == "Deployment":
                manifest["spec"] |= spec
        self.apply(*manifests, namespace=target.namespace)

    def apply(self, *manifests: Manifest, namespace: str = "default") -> None:
        self.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", stdin=workloads.together(*manifests))

    def wait_for_app(self, target: environment.Environment) -> None:
        try:
            self.kubectl("-n", target.namespace, "rollout", "status", "deployment/app", "--timeout=90s")
        except AssertionError as failed:
            state = self.kubectl("-n", target.namespace, "get", "pods,replicasets,events", check=False)
            raise AssertionError(f"{failed}\n{state}") from None

    def tenant(self) -> str:
        """A namespace that nothing protects and nothing restricts, with one pod that answers and may try anything."""
        name = f"tenant-{uuid.uuid4().hex[:8]}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.kubectl("-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        self.apply(workloads.pod("app", workloads.pod_spec(self.sandbox.images["base"], APP)), namespace=name)
        self.kubectl("-n", name, "wait", "--for=condition=Ready", "pod/app", "--timeout=90s")
        return name

    def reached(self, namespace: str, addresses: Iterable[Address], *, pod: str = "deployment/app") -> set[Address]:
        """Those of the addresses that accept a connection from that pod."""
        wanted = json.dumps(list(addresses))
        answer = self.kubectl("-n", namespace, "exec", pod, "--", "python3", "-c", _TRY, wanted, timeout=40)
        return {(host, port) for host, port in json.loads(answer)}

    def pod_address(self, namespace: str) -> str:
        return self.kubectl("-n", namespace, "get", "pods", "-o=jsonpath={.items[0].status.podIP}")

    def service_address(self, namespace: str, name: str = "app") -> str:
        return self.kubectl("-n", namespace, "get", "service", name, "-o=jsonpath={.spec.clusterIP}")

    def _platform(self) -> model.Platform:
        return config.load_platform(yaml.safe_dump(platform.settings(self.sandbox)), path="platform.yaml")

    def _config(self, *, port: int) -> model.Config:
        app = model.App(port=port, health_path="/", command=("python3", "-c", APP))
        return model.Config(project=environment.ProjectId("fenced"), app=app)


def add_to_path(program: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
