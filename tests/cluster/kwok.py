"""Pods that are pretended (https://kwok.sigs.k8s.io): what the API server stores of them is real, nothing runs."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import time
import uuid
from collections.abc import Iterator

from k8s_ee import cluster
from k8s_ee_sandbox import artifacts, progress
from k8s_ee_sandbox import cluster as sandboxes

_STAGES = pathlib.Path(__file__).with_suffix(".yaml")
_READY_SECONDS = 20.0


@contextlib.contextmanager
def node(sandbox: sandboxes.Sandbox, api: cluster.Cluster) -> Iterator[str]:
    """The name of a node that takes as many pods as name it in `spec.nodeName`. Built at its first use."""
    program = artifacts.ensure("kwok", progress=progress.Progress())["kwok"]
    # A new one each time: an earlier kwok's Lease on its node would keep this one waiting.
    name = f"pretended-{uuid.uuid4().hex[:6]}"
    command = [
        *(str(program), f"--kubeconfig={sandbox.kubeconfig}", f"--config={_STAGES}"),
        *(f"--manage-single-node={name}", "--node-lease-duration-seconds=40", "--v=ERROR"),
    ]
    with (sandbox.logs / "kwok.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
            _await_ready(api, name)
            yield name
        finally:
            process.terminate()
            process.wait()


def _await_ready(api: cluster.Cluster, name: str) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        found = api.get("Node", name) or {}
        conditions = found.get("status", {}).get("conditions") or []
        if any((one["type"], one["status"]) == ("Ready", "True") for one in conditions):
            return
        time.sleep(0.1)
    raise AssertionError(f"kwok did not make node {name} ready")
