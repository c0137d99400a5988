"""What `make check` holds every manifest against finds what the API server would refuse or ignore."""

from __future__ import annotations

import copy
import pathlib
from typing import Any

import pytest
import yaml

from k8s_ee_sandbox import artifacts, progress
from scripts import kubeconform

JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "once"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "one", "image": "x", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}],
            }
        }
    },
}
PROBE = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}


def problems(manifest: dict[str, Any], folder: pathlib.Path) -> str:
    """Empty if there are none."""
    file = folder / "manifest.yaml"
    file.write_text(yaml.safe_dump(manifest))
    tools = artifacts.ensure(*kubeconform.TOOLS, progress=progress.Progress())
    done = kubeconform.conform([file], tools)
    assert (done.returncode == 0) == ("Valid: 1" in done.stdout)
    return "" if done.returncode == 0 else done.stdout


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    job = copy.deepcopy(JOB)
    place: Any = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return job


CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize("port", ["http", 80])
def test_numbers_and_names_are_both_accepted_where_kubernetes_accepts_both(
    port: object, tmp_path: pathlib.Path
) -> None:
    probe = {**PROBE, "httpGet": {"path": "/", "port": port}}
    assert problems(changed((*CONTAINER, "startupProbe"), probe), tmp_path) == ""


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("spec", "backoffLimits"), 1, "additional properties 'backoffLimits' not allowed"),
        ((*CONTAINER, "startupProbe"), {**PROBE, "periodSeconds": "1"}, "got string, want integer"),
        ((*CONTAINER, "env"), [{"value": "x"}], "missing property 'name'"),
        (("apiVersion",), "batch/v2", "could not find schema for Job"),
    ],
)
def test_what_does_not_conform_is_found(
    path: tuple[str | int, ...], value: object, said: str, tmp_path: pathlib.Path
) -> None:
    assert said in problems(changed(path, value), tmp_path)


def test_every_source_of_manifests_is_among_what_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    tools = artifacts.ensure("helm", "kubectl", progress=progress.Progress())
    for tool in tools.values():
        monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    found = kubeconform.everything(tmp_path)
    assert {"environment-minimal", "environment-full", "platform-identity", "sandbox-dns"} <= found.keys()
    assert {"platform", "janitor-base", "janitor-overlays-dry-run", "janitor-everything"} <= found.keys()
    kinds = {one["kind"] for objects in found.values() for one in objects}
    assert {"Deployment", "StatefulSet", "Job", "Ingress", "NetworkPolicy", "ValidatingAdmissionPolicy"} <= kinds
    assert {"CronJob", "ClusterRole", "PriorityClass"} <= kinds
