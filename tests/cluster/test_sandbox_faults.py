"""The embedded cluster survives losing any part, and leaves nothing behind. On a sandbox of its own."""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from k8s_ee_sandbox import cluster, network, progress, state
from scripts import leftovers
from tests import conftest, processes
from tests.cluster import workloads

pytestmark = pytest.mark.cluster

_NAME = "fault"
_NAMESPACES = ("k8s-ee-fault", "k8s-ee-fault-inet")
_SYSCTLS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom", "net/ipv4/ip_forward")


@dataclasses.dataclass(frozen=True)
class Traces:
    """What a sandbox could leave on its host."""

    processes: list[str]
    links: list[str]
    namespaces: list[str]
    mounts: list[str]
    routes: list[str]
    rules: str
    cgroups: list[str]
    sysctls: dict[str, str]


def _traces() -> Traces:
    mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
    routes = _output("ip", "route", "show", "table", "all").splitlines()
    return Traces(
        processes=[path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if _ours(path)],
        links=[path.name for path in pathlib.Path("/sys/class/net").iterdir() if path.name == "ee-fault"],
        namespaces=[name for name in _NAMESPACES if pathlib.Path(f"/run/netns/{name}").exists()],
        mounts=[mount for mount in mounts if "fault" in mount],
        routes=[route for route in routes if "ee-fault" in route],
        rules=re.sub(r"\[\d+:\d+\]|^#.*$", "", _output("iptables-save"), flags=re.MULTILINE),
        cgroups=[path for path in leftovers.control_groups() if "k8s-ee-fault" in path],
        sysctls={name: pathlib.Path("/proc/sys", name).read_text() for name in _SYSCTLS},
    )


def _ours(cmdline: pathlib.Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b"/run/fault/" in cmdline.read_bytes()
    return False


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout


def _kill(*programs: str) -> None:
    """Every process of the node with one of these names."""
    for pid in _output("ip", "netns", "pids", "k8s-ee-fault").split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if pathlib.Path(argv[0]).name in programs or (len(argv) > 1 and argv[1] in programs):
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def before() -> Traces:
    cluster.down(_NAME, progress.Progress())
    found = _traces()
    assert [*found.processes, *found.links, *found.namespaces, *found.mounts, *found.routes, *found.cgroups] == []
    return found


@pytest.fixture
def own(before: Traces) -> cluster.Sandbox:
    return cluster.up(_NAME, "node", progress.Progress())


@pytest.fixture(scope="module", autouse=True)
def _taken_down(before: Traces) -> Iterator[None]:
    yield
    cluster.down(_NAME, progress.Progress())


@pytest.fixture
def web(own: cluster.Sandbox) -> conftest.Kubectl:
    """A server that runs in `default`."""
    kubectl = conftest.kubectl_for(own.kubeconfig)
    manifests = (workloads.deployment("web", own.images["base"]), workloads.service("web"))
    kubectl("apply", "-f", "-", stdin=workloads.together(*manifests, workloads.ingress("web", "web.test")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    return kubectl


def _pods(kubectl: conftest.Kubectl) -> list[tuple[str, int]]:
    found = json.loads(kubectl("get", "pods", "-A", "-o=json"))["items"]
    return sorted((pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found)


def test_starting_what_runs_changes_nothing(own: cluster.Sandbox, web: conftest.Kubectl) -> None:
    pods = _pods(web)
    assert cluster.up(_NAME, "node", progress.Progress()) == own
    assert _pods(web) == pods


def test_after_down_nothing_is_left_and_it_starts_with_an_empty_cluster(web: conftest.Kubectl, before: Traces) -> None:
    assert "web" in web("get", "deployments")
    assert _traces().processes
    cluster.down(_NAME, progress.Progress())
    assert _traces() == before
    assert not state.place(_NAME).run.exists()
    assert cluster.status(_NAME) is None
    again = cluster.up(_NAME, "node", progress.Progress())
    assert "web" not in conftest.kubectl_for(again.kubeconfig)("get", "deployments")


def test_a_killed_api_server_and_etcd_come_back_with_their_data(own: cluster.Sandbox, web: conftest.Kubectl) -> None:
    pods = _pods(web)
    _kill("kube-apiserver", "etcd")
    assert cluster.up(_NAME, "node", progress.Progress()) == own
    assert _pods(web) == pods


def test_a_killed_kubelet_containerd_and_proxy_come_back_and_pods_go_on(
    own: cluster.Sandbox, web: conftest.Kubectl
) -> None:
    pods = _pods(web)
    _kill("kubelet", "containerd", "kube-proxy", "kube-scheduler", "kube-controller-manager", "provisioner")
    cluster.up(_NAME, "node", progress.Progress())
    web("scale", "deployment/web", "--replicas=2")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    assert set(pods) <= set(_pods(web))


def test_a_killed_registry_comes_back_with_its_images(own: cluster.Sandbox) -> None:
    name, _, digest = own.images["base"].partition("/")[2].partition("@")
    login = base64.b64encode(f"{own.registry_user}:{own.registry_password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    question = urllib.request.Request(f"http://{own.registry}/v2/{name}/manifests/{digest}", headers=headers)
    _kill("registry")
    assert _answered(question) == 200


def _answered(question: urllib.request.Request) -> int:
    """The status, once there is one."""
    until = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(question, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < until


def _state() -> state.State:
    found = state.read(state.place(_NAME))
    assert found
    return found


@pytest.mark.parametrize("killed", ["launcher", pytest.param("init", marks=pytest.mark.long)])
def test_a_node_killed_as_a_whole_leaves_no_process_and_starts_again(own: cluster.Sandbox, killed: str) -> None:
    launcher = _state().pid
    init = int(pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()[0])
    os.kill(launcher if killed == "launcher" else init, signal.SIGKILL)
    assert processes.gone(launcher)
    again = cluster.up(_NAME, "node", progress.Progress())
    assert again.registry_password != own.registry_password
    conftest.kubectl_for(again.kubeconfig)("get", "nodes")


def test_a_cluster_without_its_state_file_is_found_and_replaced(own: cluster.Sandbox) -> None:
    state.place(_NAME).state.unlink()
    assert cluster.status(_NAME) is None
    cluster.up(_NAME, "node", progress.Progress())
    assert len(_output("ip", "netns", "pids", "k8s-ee-fault").split()) < 40


def test_addresses_that_the_host_routes_already_are_left_alone(before: Traces) -> None:
    cluster.down(_NAME, progress.Progress())
    taken = network.choose(_NAME)
    route = ("ip", "route", "add", "unreachable", str(taken.pods))
    _output(*route)
    try:
        assert network.choose(_NAME).slot > taken.slot
    finally:
        _output("ip", "route", "delete", "unreachable", str(taken.pods))
