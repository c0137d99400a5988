"""`k8s-ee sandbox` on a cluster that runs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from k8s_ee_sandbox import __main__ as command
from k8s_ee_sandbox import cluster

pytestmark = pytest.mark.cluster


def test_up_again_installs_the_platform_and_says_what_a_deploy_needs(
    sandbox: cluster.Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["up", "--name", sandbox.name, "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    environ = {
        **os.environ,
        "K8S_EE_KUBECONFIG": found["ci_kubeconfig"],
        "K8S_EE_OWNER_ID": str(found["owner_id"]),
    }
    installed = pathlib.Path(sys.executable).with_name("k8s-ee")
    listed = subprocess.run(
        [installed, "list", "--output", "json"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert listed.returncode == 0, listed.stderr


def test_status_says_where_things_are(sandbox: cluster.Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["status", "--name", sandbox.name]) == 0
    said = capsys.readouterr().out
    assert f"export KUBECONFIG={sandbox.kubeconfig}" in said
    assert sandbox.registry in said
    assert sandbox.registry_password not in said


def test_status_says_when_the_api_server_does_not_answer(
    sandbox: cluster.Sandbox,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same node, known by an address where nobody listens."""
    monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path))
    copy = tmp_path / "run" / sandbox.name
    shutil.copytree(sandbox.kubeconfig.parent / "pki", copy / "pki")
    shutil.copy(sandbox.kubeconfig.with_name("state.json"), copy)
    (copy / "kubeconfig").write_text(sandbox.kubeconfig.read_text().replace(sandbox.api_url, "https://127.0.0.1:1"))
    assert command.main(["status", "--name", sandbox.name]) == 5
    assert "its API server does not answer" in capsys.readouterr().err


def test_a_reader_that_stops_reading_is_no_error(sandbox: cluster.Sandbox) -> None:
    installed = pathlib.Path(sys.executable).with_name("k8s-ee")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [installed, "sandbox", "status", "--name", sandbox.name],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
