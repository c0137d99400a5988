"""One running sandbox for all tests, a fresh namespace for each."""

import contextlib
import functools
import os
import pathlib
import subprocess
import threading
import uuid
from collections.abc import Iterator
from typing import Protocol

import hypothesis
import pytest
import xdist.remote
import xdist.scheduler
import xdist.workermanage

from k8s_ee_sandbox import artifacts, cluster, progress

_WITHOUT_PODS = 2
_PATIENCE = 120.0
_BARE, _PIPELINE = "cluster without pods", "tests/workflows/test_pipeline.py"
_SHARED = {
    "toolkit image": ("responder", "janitor_cronjob", "keeper_cronjob"),
    _BARE: (
        *("capacity", "capacity_nodes", "capacity_queue", "destroy_many"),
        *("janitor", "janitor_rights", "leases", "sandbox_profiles", "slots", "stuck"),
    ),
}
_TOGETHER = {f"tests/cluster/test_{name}.py": what for what, names in _SHARED.items() for name in names}
_LONGEST = (
    *(f"tests/cluster/test_{name}.py" for name in _SHARED[_BARE]),
    "tests/cluster/test_databases.py",
    *(f"tests/cluster/test_{name}.py" for name in _SHARED["toolkit image"]),
    *(f"tests/cluster/test_{name}.py" for name in ("rotating", "backup", "seeds", "cli_lifecycle", "database_proofs")),
    _PIPELINE,
    *(f"tests/cluster/test_{name}.py" for name in ("policy", "waiting")),
)
"""Begun first, the longest before the others, lest all workers wait for one of these in the end."""


def pytest_configure(config: pytest.Config) -> None:
    """The same examples each time, so that a run can be repeated; `make test-long` looks for new ones."""
    repeated = "not long" in config.getoption("markexpr")
    # How long an example takes says how busy the machine is.
    hypothesis.settings.register_profile("k8s-ee", deadline=None, derandomize=repeated)
    hypothesis.settings.load_profile("k8s-ee")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    turns = {file: turn for turn, file in enumerate(_LONGEST)}
    items.sort(key=lambda item: turns.get(item.nodeid.partition("::")[0], len(turns)))


class Scheduler(xdist.scheduler.LoadFileScheduling):
    """The tests of a file go to one worker, and so do those of files that share what takes long to make.

    The last workers never have a cluster with pods: their tests mostly wait, beside those that keep processors busy.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)

    def _assign_work_unit(self, node: xdist.workermanage.WorkerController) -> None:
        is_light = node.gateway.id in self._light
        turn = next((scope for scope in self.workqueue if _needs_pods(scope) != is_light), None)
        if turn is not None:
            self.workqueue.move_to_end(turn, last=False)
        elif is_light:
            node.shutdown()
            return
        super()._assign_work_unit(node)

    @functools.cached_property
    def _light(self) -> frozenset[str]:
        """Of those that the run begins with; who comes in the place of one that crashed takes everything."""
        names = sorted((node.gateway.id for node in self.nodes), key=lambda name: int(name.removeprefix("gw")))
        wanted = min(_WITHOUT_PODS, sum(not _needs_pods(scope) for scope in self.workqueue))
        return frozenset(names[max(1, len(names) - wanted) :])


def _needs_pods(scope: str) -> bool:
    if scope in _SHARED:
        return scope != _BARE
    return scope.startswith("tests/cluster/") or scope == _PIPELINE


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: xdist.remote.Producer) -> Scheduler:
    return Scheduler(config, log)


class Kubectl(Protocol):
    def __call__(self, *args: str, stdin: str = "", timeout: float = _PATIENCE, check: bool = True) -> str: ...


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests counted, as they gave it to `record_property`."""
    for report in (one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {value} {name}")


def kubectl_for(kubeconfig: pathlib.Path) -> Kubectl:
    program = artifacts.ensure("kubectl", progress=progress.Progress())["kubectl"]

    def run(*args: str, stdin: str = "", timeout: float = _PATIENCE, check: bool = True) -> str:
        done = subprocess.run(
            [program, f"--kubeconfig={kubeconfig}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    return run


def first_seen(kubeconfig: pathlib.Path, *args: str, timeout: float = 30) -> str:
    """The first line that `kubectl … --watch` prints. Raises AssertionError if there is none in time."""
    program = artifacts.ensure("kubectl", progress=progress.Progress())["kubectl"]
    command = [str(program), f"--kubeconfig={kubeconfig}", *args, "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        killer = threading.Timer(timeout, watch.kill)
        killer.start()
        assert watch.stdout is not None
        line = watch.stdout.readline()
        killer.cancel()
        watch.kill()
    assert line, f"kubectl {' '.join(args)} saw nothing within {timeout:.0f} s"
    return line


def sandbox_name() -> str:
    """Each of pytest's workers has a cluster of its own: some tests change what all of a cluster shares."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    return os.environ.get("K8S_EE_SANDBOX", "test") + worker


@pytest.fixture(scope="session")
def sandbox() -> cluster.Sandbox:
    """Left running: the next run starts in half a second."""
    return cluster.up(sandbox_name(), "node", progress.Progress())


@pytest.fixture(scope="module")
def policy_sandbox() -> Iterator[cluster.Sandbox]:
    """Another one, where policies are enforced. Taken down when its tests are over: it costs most of all."""
    name = f"{sandbox_name()}-policy"
    yield cluster.up(name, "policy", progress.Progress())
    cluster.down(name, progress.Progress())


@pytest.fixture(scope="session")
def kubectl(sandbox: cluster.Sandbox) -> Kubectl:
    return kubectl_for(sandbox.kubeconfig)


@pytest.fixture(scope="session")
def image_base() -> pathlib.Path:
    return artifacts.ensure("image-base", progress=progress.Progress())["image-base"]


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """Pod Security `restricted` is enforced. Deleted without waiting."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    with contextlib.suppress(AssertionError):
        kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
