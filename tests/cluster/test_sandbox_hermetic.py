"""What pods send to the outside ends in a namespace of ours, and nowhere else."""

import contextlib
import ipaddress
import json
import socket
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from k8s_ee_sandbox import cluster, network, state
from tests import conftest
from tests.cluster import workloads

pytestmark = pytest.mark.cluster

_OUTSIDE = "198.51.100.7"  # RFC 5737: for documentation
_ETH_P_IP = 0x0800
_ANSWER = "import http.server, sys; http.server.HTTPServer((sys.argv[1], 8000), http.server.SimpleHTTPRequestHandler)"


@pytest.fixture
def outside(sandbox: cluster.Sandbox) -> Iterator[str]:
    """An address on the internet, with a server."""
    inside = ["nsenter", f"--net=/run/netns/{sandbox.internet_namespace}"]
    subprocess.run([*inside, "ip", "address", "add", f"{_OUTSIDE}/32", "dev", "lo"], check=True, timeout=10)
    script = f"{_ANSWER}.serve_forever()"
    try:
        with subprocess.Popen([*inside, "python3", "-c", script, _OUTSIDE], stderr=subprocess.DEVNULL) as server:
            yield _OUTSIDE
            server.kill()
    finally:
        subprocess.run([*inside, "ip", "address", "delete", f"{_OUTSIDE}/32", "dev", "lo"], check=True, timeout=10)


def _uplink() -> str:
    routes = json.loads(subprocess.check_output(["ip", "-4", "-json", "route", "get", "192.0.2.254"], timeout=10))
    return str(routes[0]["dev"])


def _senders(packets: socket.socket) -> set[ipaddress.IPv4Address]:
    """Of all that was seen so far."""
    found = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = packets.recv(65535, socket.MSG_DONTWAIT)
            found.add(ipaddress.IPv4Address(frame[26:30]))
    return found


def test_an_address_outside_is_reached_without_touching_the_uplink(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str, outside: str
) -> None:
    running = state.read(state.place(sandbox.name))
    assert running
    net = network.Network(name=sandbox.name, slot=running.slot)
    script = (
        "import time, urllib.request\n"
        "for _ in range(50):\n"
        "    try:\n"
        f"        print(urllib.request.urlopen('http://{outside}:8000/', timeout=5).status)\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.1)\n"
    )
    pod = workloads.pod("client", workloads.pod_spec(sandbox.images["base"], script))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP)) as packets:
        packets.bind((_uplink(), _ETH_P_IP))
        kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
        kubectl("-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=60s")
        senders = _senders(packets)
    assert kubectl("-n", namespace, "logs", "client").strip() == "200"
    assert not [sender for sender in senders if sender in net.pods or sender in net.links]


def test_the_metadata_address_of_clouds_leads_nowhere(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str
) -> None:
    script = (
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('169.254.169.254', 80), timeout=2)\n"
        "except OSError as failed:\n"
        "    print('no answer')\n"
    )
    pod = workloads.pod(f"client-{uuid.uuid4().hex[:4]}", workloads.pod_spec(sandbox.images["base"], script))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
    name = pod["metadata"]["name"]
    kubectl("-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
    assert kubectl("-n", namespace, "logs", name).strip() == "no answer"
