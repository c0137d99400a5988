"""A database outlives every redeploy: whatever a release renames or drops, and whatever was changed by hand between."""

import contextlib
import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

from k8s_ee_sandbox import artifacts, progress
from tests.cluster import cli, releases

pytestmark = pytest.mark.cluster

CLAIM = "data-postgresql-0"
SECRET = "postgresql-credentials-v1"
KINDS = "configmaps,services,deployments,statefulsets,ingresses,secrets,persistentvolumeclaims,networkpolicies"
OTHER_HOST = '[{"op": "replace", "path": "/spec/rules/0/host", "value": "x.y"}]'
EXTRA_ENV = '[{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "X", "value": "y"}]}]'


def _remove_config(preview: cli.Preview) -> None:
    preview.kubectl("delete", "configmap", "-l", "app.kubernetes.io/component=app")


HAND_EDITS: dict[str, Callable[[cli.Preview], object]] = {
    "scaled to nothing": lambda it: it.kubectl("scale", "deployment", "app", "--replicas=0"),
    "database scaled to nothing": lambda it: it.kubectl("scale", "statefulset", "postgresql", "--replicas=0"),
    "Service deleted": lambda it: it.kubectl("delete", "service", "app"),
    "Deployment deleted": lambda it: it.kubectl("delete", "deployment", "app"),
    "environment edited": lambda it: it.kubectl("patch", "deployment", "app", "--type=json", "-p", EXTRA_ENV),
    "ConfigMap removed": _remove_config,
    "StatefulSet orphaned": lambda it: it.kubectl("delete", "statefulset", "postgresql", "--cascade=orphan"),
    "stray label": lambda it: it.kubectl("label", "pvc,service,deployment", "--all", "stray=label", "--overwrite"),
    "database's Service deleted": lambda it: it.kubectl("delete", "service", "postgresql"),
    "Ingress host changed": lambda it: it.kubectl(
        "patch",
        "ingress",
        "app",
        "--type=json",
        "-p",
        '[{"op": "replace", "path": "/spec/rules/0/host", "value": "x.y"}]',
    ),
}


@contextlib.contextmanager
def watched(kubeconfig: pathlib.Path, namespace: str, log: pathlib.Path) -> Iterator[None]:
    """Every state of every claim goes into `log`: its name, uid and deletionTimestamp."""
    program = artifacts.ensure("kubectl", progress=progress.Progress())["kubectl"]
    columns = "custom-columns=NAME:.metadata.name,UID:.metadata.uid,DELETED:.metadata.deletionTimestamp"
    command = [str(program), f"--kubeconfig={kubeconfig}", "-n", namespace, "get", "pvc", "--watch", "--no-headers"]
    with log.open("w") as file, subprocess.Popen([*command, "-o", columns], stdout=file) as process:
        try:
            yield
        finally:
            process.kill()


def objects(preview: cli.Preview) -> list[str]:
    """kind/name of everything that a deploy makes, without hashes."""
    names = preview.kubectl("get", KINDS, "-o", "name").split()
    return sorted(releases.stable(name) for name in names if "kube-root-ca.crt" not in name)


def _secret(preview: cli.Preview) -> str:
    return preview.kubectl("get", "secret", SECRET, "-o", "jsonpath={.metadata.uid} {.data}")


def _uid(preview: cli.Preview) -> str:
    return preview.kubectl("get", "pvc", CLAIM, "-o", "jsonpath={.metadata.uid}")


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_the_data_outlives_renamed_and_removed_objects_and_hand_edits(
    guestbook: cli.Preview, tmp_path: pathlib.Path, rounds: int
) -> None:
    newer = [{}, *(releases.make(tmp_path, edit) for edit in releases.EDITS)]
    guestbook.up()
    message, first, uid, secret = guestbook.write_row(), objects(guestbook), _uid(guestbook), _secret(guestbook)
    log, hand, seen = tmp_path / "claims", list(HAND_EDITS), []
    with watched(guestbook.installed.sandbox.kubeconfig, guestbook.namespace, log):
        for number in range(1, rounds + 1):
            edits = [hand[(2 * number) % len(hand)], hand[(2 * number + 1) % len(hand)]]
            for edit in edits:
                HAND_EDITS[edit](guestbook)
            sha = cli.commit()
            done = guestbook.start("up", sha=sha, **newer[number % len(newer)]).end()
            assert done.code == 0, (number, edits, done.said)
            assert guestbook.serving() == sha, (number, edits)
            assert guestbook.rows() == [message], (number, edits)
            assert (_uid(guestbook), _secret(guestbook)) == (uid, secret), (number, edits)
            seen.append(objects(guestbook))
        guestbook.up()
    assert objects(guestbook) == first
    assert len({tuple(names) for names in seen}) == 3, "each release has its own objects, and only those"
    assert {tuple(line.split()) for line in log.read_text().splitlines()} == {(CLAIM, uid, "<none>")}


def test_what_somebody_else_put_there_stays(preview: cli.Preview) -> None:
    """Also what looks like ours by its labels, but was not applied by us."""
    preview.configure(cli.small())
    image = preview.installed.sandbox.images["base"]
    preview.up(image=image)
    labels = "app.kubernetes.io/managed-by=k8s-ee,app.kubernetes.io/component=app"
    for kind, name in (("configmap", "by-hand"), ("configmap", "looks-like-ours")):
        preview.kubectl("create", kind, name)
    preview.kubectl("label", "configmap", "looks-like-ours", *labels.split(","))
    preview.up(image=image)
    names = json.loads(preview.kubectl("get", "configmaps", "-o", "json"))["items"]
    assert {"by-hand", "looks-like-ours"} <= {item["metadata"]["name"] for item in names}


def test_a_push_that_asks_for_less_is_rolled_out_beside_the_one_that_had_more(preview: cli.Preview) -> None:
    """Its quota is the smaller one, but only when nothing of the larger one runs any more."""
    image = preview.installed.sandbox.images["base"]
    preview.configure({**cli.small(replicas=2), "resources": {"limits": {"memory": "512Mi"}}})
    preview.up(image=image)
    preview.configure({**cli.small(), "resources": {"limits": {"memory": "64Mi"}}})
    preview.up(image=image)
    assert preview.kubectl("get", "quota", "environment", "-o", "jsonpath={.spec.hard.limits\\.memory}") == "192Mi"
