"""The node's process: started in namespaces of its own, so that nothing of it is left when it is killed."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

from k8s_ee_sandbox import errors, logged, network, node_programs, state

_ENDS_WITHIN = 10.0
# The kubelet and Cilium's agent set these, and the kernel has each only once.
_SHADOWS = (
    "/proc/sys/kernel/keys/root_maxbytes",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/timer_migration",
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
)
_HIDDEN = ("/run", "/var/lib", "/var/log")  # a tmpfs each: what the parts write there is the node's, not the host's


class NodeEndedError(errors.SandboxError):
    """The node's first process is gone, and with it all others."""


@dataclasses.dataclass(frozen=True)
class Mount:
    type: str
    source: str
    target: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """As node.go reads it."""

    mounts: list[Mount]
    processes: list[node_programs.Program]
    logs: str
    shadows: list[str] = dataclasses.field(default_factory=lambda: list(_SHADOWS))


def mounts(where: state.Place) -> list[Mount]:
    """Raises SandboxError if the cache lies where the node can't see it."""
    for folder in _HIDDEN:
        if where.run.is_relative_to(folder):
            raise errors.SandboxError(
                f"the cache can't lie below {folder}: the node has its own", hint="Set K8S_EE_CACHE to another folder."
            )
    return [
        Mount("proc", "proc", "/proc"),
        *(Mount("tmpfs", "tmpfs", folder) for folder in _HIDDEN),
        Mount("bind", str(where.run / "kubelet"), "/var/lib/kubelet"),
        Mount("bind", str(where.conf / "cni"), "/run/cni/net.d"),
    ]


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MUCH_MEMORY = 15 * 2**30


def start(site: node_programs.Site, plan: Plan) -> int:
    """The process number of the node, which goes on when this process ends."""
    file = site.where.node
    file.write_text(json.dumps(dataclasses.asdict(plan), indent=2) + "\n")
    with (site.where.logs / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [
                # Not `ip netns exec`: it mounts a fresh /sys, without control groups.
                *("nsenter", f"--net=/run/netns/{site.net.namespace}"),
                *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                *(site.kube, "node", file),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": _PATH, "HOME": "/run", "GOGC": _garbage()},
            start_new_session=True,
        )
    process.returncode = 0  # it is meant to outlive us: no warning about that
    return process.pid


def _garbage() -> str:
    """How much of it Go lets lie, in percent of the heap.

    A control plane of a few pods has a small heap, which would be swept all the time. With much memory it is swept
    still less: then an API server grows to about a GiB, and the control plane needs a sixth less processor time.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return "1000" if memory >= _MUCH_MEMORY else "400"


def forget_containers(site: node_programs.Site) -> None:
    """Drop what earlier runs left in the image store besides images. Raises SandboxError."""
    try:
        subprocess.run(
            [site.kube, "forget-containers", site.where.containerd],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except subprocess.CalledProcessError as failed:
        raise errors.SandboxError(
            f"the image store can't be used: {failed.stderr.strip()}", hint=f"Delete {site.where.containerd}."
        ) from None


def root(pid: int) -> pathlib.Path:
    """The node's view of the file system. Raises SandboxError if the node has ended, with its last words."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in children.read_text().split():
            return pathlib.Path(f"/proc/{child}/root")
    raise NodeEndedError("the node has ended")


def ended(where: state.Place) -> NodeEndedError:
    return NodeEndedError(f"the node has ended; its last words:\n{logged.tail(where.logs / 'node.log')}")


def check_not_elsewhere(where: state.Place) -> None:
    """Raises SandboxError for one that runs from another cache: its links and processes are called as ours would be."""
    below = where.node.relative_to(where.run.parents[1])
    for pid in _inside(network.Network(name=where.name, slot=0).namespace):
        for file in filter(lambda one: one.match(f"*/{below}"), _arguments(pid)):
            if file.resolve() != where.node.resolve():
                raise errors.SandboxError(
                    f"a sandbox {where.name} runs from another cache on this machine: {file.parents[3]}",
                    hint="Give this one another --name, or set K8S_EE_CACHE to that folder.",
                )


def stop(running: state.State) -> None:
    """Everything in the node's process namespace goes with it. Raises SandboxError if it does not."""
    if state.alive(running):
        _kill(running.pid)
    stop_strays(running.name)


def stop_strays(name: str) -> None:
    """Kill what still runs in the network namespace of that name. Raises SandboxError if it does not end."""
    until = time.monotonic() + _ENDS_WITHIN
    while left := _inside(network.Network(name=name, slot=0).namespace):
        for pid in left:
            _kill(pid)
        if time.monotonic() > until:
            raise errors.SandboxError(f"processes of sandbox {name} do not end: {left}")
        time.sleep(0.01)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _arguments(pid: int) -> list[pathlib.Path]:
    """Of its command line; none if it has just ended."""
    try:
        return [pathlib.Path(one) for one in pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _inside(namespace: str) -> list[int]:
    if not pathlib.Path(f"/run/netns/{namespace}").exists():
        return []
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, timeout=30, check=False)
    return [int(pid) for pid in found.stdout.split()]
