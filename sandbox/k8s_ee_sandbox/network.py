"""Two network namespaces per sandbox: the node, and "the internet" that its default route leads to.

    host  ee-NAME ── eth0  node  inet0 ── eth0  internet
          10.209.N.1  .2         .5         .6

Nothing of it is connected to the host's uplink. Tests add what they need as internet to `lo` of the second namespace.
"""

import contextlib
import dataclasses
import fcntl
import ipaddress
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator, Sequence

from k8s_ee_sandbox import errors

SLOTS = 16
_TIMEOUT = 30
_FOLDER = pathlib.Path("/run/netns")


@dataclasses.dataclass(frozen=True)
class Network:
    """The addresses and names of one sandbox; `slot` tells several apart."""

    name: str
    slot: int

    @property
    def namespace(self) -> str:
        return f"k8s-ee-{self.name}"

    @property
    def internet_namespace(self) -> str:
        return f"k8s-ee-{self.name}-inet"

    @property
    def link(self) -> str:
        return f"ee-{self.name}"

    @property
    def links(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.209.{self.slot}.0/24")

    @property
    def pods(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.210.{self.slot * 16}.0/20")

    @property
    def node_pods(self) -> ipaddress.IPv4Network:
        """The controller-manager gives the first node the first quarter."""
        return next(self.pods.subnets(new_prefix=22))

    @property
    def services(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.211.{self.slot * 16}.0/20")

    @property
    def host(self) -> str:
        return str(self.links[1])

    @property
    def node(self) -> str:
        return str(self.links[2])

    @property
    def node_outside(self) -> str:
        return str(self.links[5])

    @property
    def internet(self) -> str:
        return str(self.links[6])

    @property
    def api_service(self) -> str:
        return str(self.services[1])

    @property
    def dns_service(self) -> str:
        return str(self.services[10])


def choose(name: str) -> Network:
    """The first slot whose ranges the host does not route yet. Raises SandboxError if all are taken."""
    routed = _routed()
    for slot in range(SLOTS):
        network = Network(name=name, slot=slot)
        ours = (network.links, network.pods, network.services)
        if not any(one.overlaps(other) for one in ours for other in routed):
            return network
    raise errors.SandboxError(
        "every address range that a sandbox could use is routed by this host already",
        hint="`k8s-ee sandbox down` those that are not needed, or free 10.209.0.0/16, 10.210.0.0/16 and 10.211.0.0/16.",
    )


def _routed() -> list[ipaddress.IPv4Network]:
    routes = json.loads(_run("ip", "-4", "-json", "route", "show", "table", "all"))
    targets = [route["dst"] for route in routes if route["dst"] != "default"]
    return [ipaddress.IPv4Network(target, strict=False) for target in targets]


def create(network: Network) -> None:
    """Raises SandboxError with what `ip` said."""
    inside, outside = network.namespace, network.internet_namespace
    with _folder():
        _run("ip", "netns", "add", inside)
        _run("ip", "netns", "add", outside)
    _batch(
        f"link add {network.link} type veth peer name eth0 netns {inside}",
        f"address add {network.host}/30 dev {network.link}",
        f"link set {network.link} up",
    )
    _batch(
        "link set lo up",
        f"address add {network.node}/30 dev eth0",
        "link set eth0 up",
        f"link add inet0 type veth peer name eth0 netns {outside}",
        f"address add {network.node_outside}/30 dev inet0",
        "link set inet0 up",
        namespace=inside,
    )
    _batch(
        "link set lo up",
        f"address add {network.internet}/30 dev eth0",
        "link set eth0 up",
        f"route add {network.pods} via {network.node_outside}",
        f"route add {network.services} via {network.node_outside}",
        f"route add {network.links} via {network.node_outside}",
        namespace=outside,
    )
    _batch(f"route add default via {network.internet}", namespace=inside)
    _batch(f"route add {network.pods} via {network.node}", f"route add {network.services} via {network.node}")
    _run("nsenter", f"--net={_FOLDER / inside}", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")


def remove(name: str) -> None:
    """Links and routes go with the namespaces they lead into. Fine if there is nothing."""
    network = Network(name=name, slot=0)
    if pathlib.Path(f"/sys/class/net/{network.link}").exists():
        _run("ip", "link", "delete", network.link)
    with _folder():
        for namespace in (network.namespace, network.internet_namespace):
            if (_FOLDER / namespace).exists():
                _run("ip", "netns", "delete", namespace)
        # The first `ip netns add` mounts their folder on itself, which `Path.is_mount` can't see.
        if _FOLDER.exists() and not any(_FOLDER.iterdir()):
            with contextlib.suppress(errors.SandboxError):
                _run("umount", str(_FOLDER))


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """One at a time: whoever adds the first namespace would find the folder unmounted by who removes the last one."""
    file = os.open(_FOLDER.parent, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _batch(*lines: str, namespace: str = "") -> None:
    inside = ["-netns", namespace] if namespace else []
    _run("ip", *inside, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))


def _run(*argv: str, stdin: str = "") -> str:
    try:
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    except FileNotFoundError:
        raise errors.SandboxError(
            f"{argv[0]} is missing", hint="Install the packages iproute2 and util-linux."
        ) from None
    except subprocess.CalledProcessError as failed:
        raise errors.SandboxError(_failed(argv, stdin, failed.stderr)) from None


def _failed(argv: Sequence[str], stdin: str, said: str) -> str:
    return f"{' '.join(argv)} failed: {said.strip()}\n{stdin}".strip()
