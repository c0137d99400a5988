import contextlib
import pathlib
import subprocess
from collections.abc import Generator, Iterator

import pytest

from k8s_ee import cluster, settings
from k8s_ee_sandbox import cluster as sandboxes
from tests.cluster import bare, cli, grounds, toolkit
from tests.conftest import Kubectl, kubectl_for, sandbox_name

_LAST_LINES = 25


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What failed on a cluster is looked for there, and the cluster is gone when somebody reads of it."""
    report = yield
    if report.failed and (running := sandboxes.status(sandbox_name())):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            kubectl = kubectl_for(running.kubeconfig)
            report.sections.append(("pods", kubectl("get", "pods", "-A", "-o", "wide", timeout=10)))
        for name in ("kubelet", "containerd"):
            lines = (running.logs / f"{name}.log").read_text(errors="replace").splitlines()
            told = [line[:400] for line in lines if line.startswith("E") or "level=error" in line]
            told = [line for line in told if "not found" not in line]  # whoever looks after what has just gone
            report.sections.append((f"last errors of {name}", "\n".join(told[-_LAST_LINES:])))
    return report


@pytest.fixture(scope="session")
def runner(sandbox: sandboxes.Sandbox, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> cli.Installed:
    """Without an image."""
    return cli.install(sandbox, tmp_path_factory.mktemp("installed"), kubectl)


@pytest.fixture(scope="session")
def deployer(runner: cli.Installed) -> cluster.Cluster:
    """With the token that a workflow has, instead of the administrator's certificate."""
    return cluster.connect(settings.Connection(kubeconfig=str(runner.kubeconfig)))


@pytest.fixture(scope="session")
def installed(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> cli.Installed:
    """With the guestbook's image: building it takes longer than most tests."""
    return cli.with_image(runner, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def toolkit_image(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """This project's own. What uses it is on one worker (tests/conftest.py): building it takes a minute."""
    return toolkit.build(runner, tmp_path_factory.mktemp("toolkit"))


@pytest.fixture
def preview(runner: cli.Installed, tmp_path: pathlib.Path) -> Iterator[cli.Preview]:
    """One pull request with no environment yet, no k8s-ee.yaml and no image."""
    with cli.preview(runner, tmp_path) as made:
        yield made


@pytest.fixture
def guestbook(installed: cli.Installed, tmp_path: pathlib.Path) -> Iterator[cli.Preview]:
    """One of the example, with no environment yet."""
    with cli.preview(installed, tmp_path) as made:
        made.configure(cli.example(installed.sandbox))
        yield made


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[bare.Bare]:
    """Without pods; up in seconds."""
    with bare.up() as made:
        yield made


@pytest.fixture
def ground(bare_cluster: bare.Bare, tmp_path: pathlib.Path) -> Iterator[grounds.Ground]:
    made = grounds.Ground(bare_cluster, tmp_path, {"environments": 2})
    if bare_cluster.api.get("Namespace", grounds.HOME) is None:
        bare_cluster.kubectl("create", "namespace", grounds.HOME)
    grounds.forget(bare_cluster)
    yield made
    grounds.forget(bare_cluster)
