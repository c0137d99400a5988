"""The ingress controller of the embedded cluster, asked from the host."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee_sandbox import cluster
from tests import conftest
from tests.cluster import workloads

pytestmark = pytest.mark.cluster


@pytest.fixture
def host(sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str) -> str:
    """A server behind this host name."""
    name = f"{namespace}.{sandbox.domain}"
    manifests = workloads.together(
        workloads.deployment("web", sandbox.images["base"], version="1", replicas=2),
        workloads.service("web"),
        workloads.ingress("web", name),
    )
    kubectl("-n", namespace, "apply", "-f", "-", stdin=manifests)
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    address = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=" + sandbox.ingress_address.partition(":")[0]
    kubectl("-n", namespace, "wait", address, "ingress/web", "--timeout=10s")
    return name


@contextlib.contextmanager
def _connected(sandbox: cluster.Sandbox) -> Iterator[http.client.HTTPConnection]:
    address, _, port = sandbox.ingress_address.partition(":")
    with contextlib.closing(http.client.HTTPConnection(address, int(port), timeout=10)) as connection:
        yield connection


def _get(sandbox: cluster.Sandbox, host: str, path: str = "/", **headers: str) -> tuple[int, str]:
    with _connected(sandbox) as connection:
        connection.request("GET", path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def _raw(sandbox: cluster.Sandbox, request: str) -> socket.socket:
    address, _, port = sandbox.ingress_address.partition(":")
    connection = socket.create_connection((address, int(port)), timeout=10)
    connection.sendall(request.encode())
    return connection


def test_a_host_name_leads_to_its_service(sandbox: cluster.Sandbox, host: str) -> None:
    status, body = _get(sandbox, host)
    assert (status, json.loads(body)["version"]) == (200, "1")


def test_an_unknown_host_is_a_404_that_names_it(sandbox: cluster.Sandbox) -> None:
    status, body = _get(sandbox, "nobody.invalid")
    assert (status, body.strip()) == (404, "ingress: no route for nobody.invalid")


def test_a_service_without_ready_pods_is_a_503_that_names_it(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str, host: str
) -> None:
    kubectl("-n", namespace, "delete", "deployment/web", "--cascade=foreground", "--timeout=60s")
    kubectl("-n", namespace, "wait", "--for=delete", "pod", "-l=app=web", "--timeout=60s")
    status, body = _get(sandbox, host)
    assert (status, body.strip()) == (503, f"ingress: {namespace}/web has no ready endpoints")


def test_the_server_learns_the_real_client_and_not_what_the_client_claims(sandbox: cluster.Sandbox, host: str) -> None:
    _, body = _get(sandbox, host, **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
    headers: dict[str, Any] = json.loads(body)["headers"]
    assert headers["Host"] == headers["X-Forwarded-Host"] == host
    assert headers["X-Forwarded-Proto"] == "http"
    node = sandbox.ingress_address.partition(":")[0]
    assert headers["X-Forwarded-For"] == node.rpartition(".")[0] + ".1"


def test_a_stream_arrives_while_the_server_still_writes(sandbox: cluster.Sandbox, host: str) -> None:
    with _connected(sandbox) as connection:
        connection.request("GET", "/stream", headers={"Host": host})
        assert connection.getresponse().readline() == b"first\n"


def test_an_upgraded_connection_goes_both_ways(sandbox: cluster.Sandbox, host: str) -> None:
    request = f"GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    with _raw(sandbox, request) as connection, connection.makefile("rb") as answer:
        assert b"101" in answer.readline()
        while answer.readline() != b"\r\n":
            pass
        connection.sendall(b"hello")
        assert answer.read(5) == b"HELLO"


def test_a_rolling_update_fails_no_request(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str, host: str
) -> None:
    versions: list[str] = []
    failures: list[str] = []
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(0.01):
            try:
                status, body = _get(sandbox, host)
            except OSError as failed:
                failures.append(repr(failed))
                continue
            if status == 200:
                versions.append(json.loads(body)["version"])
            else:
                failures.append(f"{status} {body}")

    pollers = [threading.Thread(target=poll) for _ in range(2)]
    for poller in pollers:
        poller.start()
    try:
        for version in ("2", "3"):
            update = workloads.deployment("web", sandbox.images["base"], version=version, replicas=2)
            kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(update))
            kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    finally:
        stop.set()
        for poller in pollers:
            poller.join()
    assert (failures, set(versions)) == ([], {"1", "2", "3"})
    assert len(versions) > 100
