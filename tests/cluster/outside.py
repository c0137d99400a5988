"""What a test needs as the outside world: servers on addresses of a namespace that is called the internet."""

import contextlib
import ipaddress
import json
import socket
import subprocess
from collections.abc import Iterator

from k8s_ee_sandbox import cluster, network, state

PORT = 8000
_ETH_P_IP = 0x0800
_SERVER = """
import http.server, sys, threading
for address in sys.argv[2:]:
    server = http.server.ThreadingHTTPServer((address, int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
print("serving", flush=True)
"""


@contextlib.contextmanager
def servers(sandbox: cluster.Sandbox, *addresses: str) -> Iterator[None]:
    """Each address answers on PORT, and is gone afterwards."""
    inside = ["nsenter", f"--net=/run/netns/{sandbox.internet_namespace}"]
    with contextlib.ExitStack() as stack:
        for address in addresses:
            link = ["ip", "address", "{}", f"{address}/32", "dev", "lo"]
            _run([*inside, *link[:2], "add", *link[3:]])
            stack.callback(_run, [*inside, *link[:2], "delete", *link[3:]])
        command = [*inside, "python3", "-c", _SERVER, str(PORT), *addresses]
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=10)


class Uplink:
    """Watches the host's own way out for packets that come from a sandbox."""

    def __init__(self, sandbox: cluster.Sandbox) -> None:
        running = state.read(state.place(sandbox.name))
        assert running
        net = network.Network(name=sandbox.name, slot=running.slot)
        self._ours = (net.pods, net.links, net.services)
        self._seen: list[str] = []
        self.total = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        # With a protocol, the socket would collect from every link until it is bound to this one.
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
            packets.bind((_uplink(), _ETH_P_IP))
            yield
            self._collect(packets)

    def ours(self) -> list[str]:
        """Senders and receivers of packets that have nothing to do there."""
        return self._seen

    def _collect(self, packets: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = packets.recv(65535, socket.MSG_DONTWAIT)
                self.total += 1
                ends = [ipaddress.IPv4Address(frame[at : at + 4]) for at in (26, 30)]
                self._seen += [str(end) for end in ends if any(end in one for one in self._ours)]


def _uplink() -> str:
    routes = json.loads(subprocess.check_output(["ip", "-4", "-json", "route", "get", "192.0.2.254"], timeout=10))
    return str(routes[0]["dev"])
