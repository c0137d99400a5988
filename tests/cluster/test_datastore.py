"""The weekly defragmentation, as it is shipped, in a pod: it reaches an etcd with TLS and gives the empty room back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_ee_sandbox import artifacts, progress
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments, images, toolkit

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SHIPPED = toolkit.ROOT / "k8s" / "datastore" / "defragment.yaml"
HOME = "kube-system"
PORT, PEERS = 23790, 23800
ROLE = "node-role.kubernetes.io/control-plane"
_LARGE, _SMALL = 10 << 20, 1 << 20
_VALUE, _COUNT = 1 << 20, 16


@dataclasses.dataclass(frozen=True)
class Etcd:
    """One of its own, in the node's network, with the files that kubeadm would have made for it."""

    inside: tuple[str, ...]
    ctl: pathlib.Path
    pki: pathlib.Path

    def __call__(self, *command: str, stdin: bytes = b"") -> str:
        """What etcdctl says. Raises CalledProcessError."""
        names = ("--cacert", "ca.crt", "--cert", "healthcheck-client.crt", "--key", "healthcheck-client.key")
        files = [str(self.pki / one) if "." in one else one for one in names]
        asked = [*self.inside, str(self.ctl), f"--endpoints=https://127.0.0.1:{PORT}", *files, *command]
        return subprocess.run(asked, input=stdin, capture_output=True, timeout=60, check=True).stdout.decode()

    def status(self) -> dict[str, Any]:
        (found,) = json.loads(self("endpoint", "status", "--write-out=json"))
        status: dict[str, Any] = found["Status"]
        return status

    def size(self) -> int:
        """Of its file, in bytes."""
        return int(self.status()["dbSize"])

    def grow(self) -> None:
        """Leaves a file that is large and empty."""
        for number in range(_COUNT):
            self("put", f"key-{number}", stdin=secrets.token_bytes(_VALUE))
        self("del", "key-", "--prefix")
        self("compaction", "--physical", str(self.status()["header"]["revision"]))


@pytest.fixture
def etcd(sandbox: sandboxes.Sandbox, tmp_path: pathlib.Path) -> Iterator[Etcd]:
    made = artifacts.ensure("kube", "etcdctl", progress=progress.Progress())
    kube, ctl = made["kube"], made["etcdctl"]
    inside = ("nsenter", f"--net=/run/netns/k8s-ee-{sandbox.name}")
    pki = tmp_path / "pki"
    pki.mkdir()
    names = ("--api", "localhost,127.0.0.1", "--kubelet", "unused,127.0.0.1")
    clients = ("--clients", "healthcheck-client=kube-etcd-healthcheck-client/system:masters")
    subprocess.run([kube, "certs", "--folder", pki, *names, *clients], check=True, timeout=30)
    url, peers = f"https://127.0.0.1:{PORT}", f"http://127.0.0.1:{PEERS}"
    flags = [
        *(f"--data-dir={tmp_path / 'data'}", f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
        *(f"--cert-file={pki / 'apiserver.crt'}", f"--key-file={pki / 'apiserver.key'}"),
        *("--client-cert-auth", f"--trusted-ca-file={pki / 'ca.crt'}"),
        *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"),
        *(f"--initial-cluster=default={peers}", "--unsafe-no-fsync", "--log-level=error"),
    ]
    with subprocess.Popen([*inside, kube, "etcd", *flags]) as server:
        try:
            etcd = Etcd(inside, ctl, pki)
            _await_answer(etcd)
            yield etcd
        finally:
            server.kill()


def _await_answer(etcd: Etcd) -> None:
    """Each try waits a few seconds by itself."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(subprocess.CalledProcessError):
            etcd.size()
            return
    pytest.fail("etcd does not answer")


@pytest.fixture
def cron_job(sandbox: sandboxes.Sandbox, kubectl: conftest.Kubectl, etcd: Etcd) -> Iterator[str]:
    """The name of the one that is shipped, with an image, a port and a folder of this test, on a labelled node."""
    manifest = shipped(pki=etcd.pki)
    pod = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = images.push(
        sandbox, user="0", files={"usr/local/bin/etcdctl": etcd.ctl.read_bytes()}
    )
    secret = environments.pull_secret(sandbox, HOME)
    pod["imagePullSecrets"] = [{"name": secret["metadata"]["name"]}]
    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [secret, manifest]})
    try:
        kubectl("label", "node", "--all", f"{ROLE}=")
        kubectl("apply", "--server-side", "-f", "-", stdin=both)
        yield str(manifest["metadata"]["name"])
    finally:
        kubectl("delete", "-f", "-", "--ignore-not-found", stdin=both)
        kubectl("label", "node", "--all", f"{ROLE}-")


def shipped(*, pki: pathlib.Path) -> dict[str, Any]:
    text = SHIPPED.read_text()
    for theirs, ours in (("127.0.0.1:2379", f"127.0.0.1:{PORT}"), ("/etc/kubernetes/pki/etcd", str(pki))):
        assert text.count(theirs) == 1
        text = text.replace(theirs, ours)
    manifest: dict[str, Any] = yaml.safe_load(text)
    return manifest


def test_it_gives_back_the_room_that_deleted_objects_left(etcd: Etcd, cron_job: str, kubectl: conftest.Kubectl) -> None:
    etcd.grow()
    assert etcd.size() > _LARGE
    job = f"{cron_job}-{secrets.token_hex(4)}"
    kubectl("-n", HOME, "create", "job", job, f"--from=cronjob/{cron_job}")
    try:
        kubectl("-n", HOME, "wait", f"job/{job}", "--for=condition=Complete", "--timeout=110s")
    except AssertionError:
        pytest.fail(kubectl("-n", HOME, "describe", "job,pod", "-l", f"job-name={job}", check=False))
    finally:
        said = kubectl("-n", HOME, "logs", f"job/{job}", check=False)
        kubectl("-n", HOME, "delete", "job", job)
    assert etcd.size() < _SMALL, said


def test_its_image_is_the_version_that_was_run_here() -> None:
    (container,) = shipped(pki=pathlib.Path("/pki"))["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    module = (toolkit.ROOT / "sandbox" / "etcdctl" / "go.mod").read_text()
    (version,) = re.findall(r"^require go.etcd.io/etcd/etcdctl/v3 v([0-9.]+)$", module, re.M)
    assert container["image"].startswith(f"registry.k8s.io/etcd:{version}-")
