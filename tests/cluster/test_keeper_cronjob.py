"""The keeper as it is shipped, in a pod of its own: what sleeps is backed up to a volume, destroyed, and comes back."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Iterator

import pytest

from k8s_ee_sandbox import cluster as sandboxes
from tests.cluster import cli, stores, workloads
from tests.cluster.test_janitor_cronjob import HOME, Janitor, installed

# The image is built first.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CLAIM = "k8s-ee-backup"
ENGINES = ("postgresql", "redis")


@pytest.fixture
def janitor(runner: cli.Installed, toolkit_image: str, tmp_path: pathlib.Path) -> Iterator[Janitor]:
    """With the keeper beside it, and the volume that a platform engineer makes for it."""
    kubectl = runner.kubectl
    claim = {**workloads.claim(CLAIM), "metadata": {"name": CLAIM}}
    with installed(runner, toolkit_image, tmp_path, ("backup", "backup-volume")) as made:
        suspend = '{"spec":{"suspend":true}}'  # The test says when.
        kubectl("-n", HOME, "patch", "cronjob", "k8s-ee-keeper", "--type=merge", "-p", suspend)
        kubectl("-n", HOME, "apply", "-f", "-", stdin=json.dumps(claim))
        try:
            yield made
        finally:
            kubectl("-n", HOME, "delete", "pvc", CLAIM, "--wait=false")


def fetched(janitor: Janitor, sandbox: sandboxes.Sandbox, path: str, into: pathlib.Path) -> pathlib.Path:
    """An archive of the volume, by a pod that reads it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "reader"},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "sandbox-registry"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "reader",
                    "image": sandbox.images["base"],
                    "command": ["base64", path],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "backups", "mountPath": "/backups"}],
                }
            ],
            "volumes": [{"name": "backups", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
    janitor.kubectl("-n", HOME, "apply", "-f", "-", stdin=json.dumps(pod))
    janitor.kubectl("-n", HOME, "wait", "pod/reader", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    into.write_bytes(base64.b64decode(janitor.kubectl("-n", HOME, "logs", "reader")))
    janitor.kubectl("-n", HOME, "delete", "pod", "reader", "--wait=false")
    return into


def test_what_sleeps_is_backed_up_destroyed_and_restored_elsewhere(
    janitor: Janitor, runner: cli.Installed, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "consumer").mkdir()
    server, image = janitor.github, runner.sandbox.images["base"]
    keys = {**cli.small(), "databases": {one: {"storage": "256Mi"} for one in ENGINES}, "backup": "onDestroy"}
    with cli.preview(runner, tmp_path / "consumer", project="keep") as preview:
        preview.configure(keys)
        event = preview.pushed(server, sha := cli.commit())
        preview.up(sha=sha, image=image, **event)
        for engine in ENGINES:
            stores.write(preview, engine)
        before = {engine: stores.dumped(preview, engine) for engine in ENGINES}
        slept = preview.start("sleep", sha=sha, **event).end()
        assert slept.code == 0, slept.said
        preview.close(server)

        def swept() -> dict[str, str]:
            return {one["namespace"]: one["done"] for one in janitor.sweep()["data"]["environments"]}

        assert swept() == {preview.namespace: "backing up"}
        assert "is backed up, then destroyed" in preview.comment(server)
        (row,) = janitor.run("keeper")["data"]["environments"]
        assert (row["done"], row["attempt"]) == ("backed up", 1), row
        assert row["detail"].startswith(f"/backups/{row['repository']}/{preview.namespace}-")
        scaled = preview.kubectl("get", "statefulsets", "-o", "jsonpath={.items[*].spec.replicas}")
        assert set(scaled.split()) == {"0"}, "it sleeps as before"
        assert swept() == {preview.namespace: "deleted"}
        assert "NotFound" in preview.kubectl("get", "namespace", preview.namespace, check=False)
        assert row["detail"] in preview.comment(server).replace("\\", "")

        archive = fetched(janitor, runner.sandbox, row["detail"], tmp_path / "archive.tar")
        event = preview.pushed(server, sha := cli.commit())  # reopened
        preview.up(sha=sha, image=image, **event)
        back = preview.run("restore", str(archive), sha=sha)
        assert back.code == 0, back.said
        assert {engine: stores.dumped(preview, engine) for engine in ENGINES} == before
