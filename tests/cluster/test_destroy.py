"""Gone means a 404 was seen, volumes included; what is not gone is named; what changed is left alone."""

import time
from collections.abc import Iterator

import pytest

from k8s_ee import cluster, environment
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments, workloads

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(sandbox: sandboxes.Sandbox) -> Iterator[environments.Home]:
    with environments.home(sandbox) as made:
        yield made


def test_everything_goes_in_seconds_with_its_volumes_and_again_is_a_no_op(
    home: environments.Home, kubectl: conftest.Kubectl
) -> None:
    home.ready(environments.server("app", home.image), environments.database("db", home.image))
    home.apply(workloads.service("app"), workloads.ingress("app", f"{home.name}.preview.test"))
    volume = kubectl("-n", home.name, "get", "pvc", "data-db-0", "-o", "jsonpath={.spec.volumeName}")
    observed = home.now()
    began = time.monotonic()
    receipt = home.destroy(observed)
    assert time.monotonic() - began < 15
    assert (receipt.deleted, receipt.left, receipt.volumes) == (True, (), (volume,))
    assert "NotFound" in kubectl("get", "namespace", home.name, check=False)
    assert volume not in kubectl("get", "persistentvolumes", "-o", "name")
    again = home.destroy(observed)
    assert (again.deleted, again.left) == (True, ())


def test_one_that_changed_since_it_was_judged_is_left_alone(home: environments.Home) -> None:
    home.ready(environments.server("app", home.image))
    judged = home.now()
    home.api.annotate(home.name, judged.uid, {"k8s-ee/preserve-until": "2030-01-01T00:00:00+00:00"})
    with pytest.raises(cluster.Changed):
        home.destroy(judged)
    assert not home.now().terminating
    home.wait([("Deployment", "app")], seconds=5)


def test_a_later_namespace_of_the_same_name_is_not_touched(home: environments.Home) -> None:
    old = home.now()
    home.destroy(old)
    cluster.namespaces.ensure(home.api, environments.namespace(home.wanted), home.wanted, environments.soon())
    new = home.now()
    home.ready(environments.database("db", home.image))
    receipt = home.destroy(old)
    assert (receipt.deleted, receipt.left) == (True, ())
    assert home.now().uid == new.uid
    assert home.api.get("StatefulSet", "db", home.name)


def test_one_whose_destruction_was_interrupted_is_finished_by_the_next(home: environments.Home) -> None:
    observed = home.now()
    stamp = {environment.CLEANUP_REQUESTED_AT: "2026-01-01T00:00:00+00:00"}
    marked = home.api.annotate(home.name, observed.uid, stamp)
    home.api.delete_all("Deployment", home.name)
    assert home.destroy(marked).deleted
    assert home.api.get("Namespace", home.name) is None


def test_a_terminating_one_is_awaited_and_proven(home: environments.Home) -> None:
    observed = home.now()
    home.api.delete("Namespace", home.name, uid=observed.uid)
    assert home.destroy(home.now()).deleted


def test_a_deploy_after_an_interrupted_destruction_wins(home: environments.Home) -> None:
    uid = home.now().uid
    home.api.annotate(home.name, uid, {environment.CLEANUP_REQUESTED_AT: "2026-01-01T00:00:00+00:00"})
    cluster.namespaces.ensure(home.api, environments.namespace(home.wanted), home.wanted, environments.soon())
    assert environment.CLEANUP_REQUESTED_AT not in home.now().annotations


def test_a_finalizer_that_blocks_is_named_and_not_forced(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    metadata = {"name": "held", "finalizers": ["example.com/never"]}
    home.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    observed = home.now()
    receipt = home.destroy(observed, seconds=9)
    try:
        assert not receipt.deleted
        assert receipt.left[0] == f"Namespace {home.name}"
        assert any("example.com/never" in line for line in receipt.left)
        assert home.api.get("ConfigMap", "held", home.name) is not None
    finally:
        patch = '{"metadata":{"finalizers":null}}'
        kubectl("-n", home.name, "patch", "configmap", "held", "--type=merge", "-p", patch)
    assert home.destroy(observed).deleted


def test_a_dead_aggregated_api_is_named(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=workloads.DEAD_API)
    try:
        kubectl("wait", "--for=condition=Available=false", "apiservice/v1beta1.dead.example.com", "--timeout=30s")
        receipt = home.destroy(home.now(), seconds=10)
        assert not receipt.deleted
        assert any("APIService v1beta1.dead.example.com" in line for line in receipt.left)
    finally:
        kubectl("delete", "apiservice", "v1beta1.dead.example.com")


def test_a_volume_that_is_retained_is_named(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    home.ready(environments.database("db", home.image))
    volume = kubectl("-n", home.name, "get", "pvc", "data-db-0", "-o", "jsonpath={.spec.volumeName}")
    kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    receipt = home.destroy(home.now(), seconds=11)
    kubectl("delete", "pv", volume, "--wait=false")
    assert receipt.deleted
    assert receipt.left == (f"PersistentVolume {volume} (Released, reclaim policy Retain)",)


def test_a_dry_run_destroys_nothing(home: environments.Home, sandbox: sandboxes.Sandbox) -> None:
    home.ready(environments.server("app", home.image))
    dry = environments.connect(sandbox, dry_run=True)
    receipt = cluster.destroy.destroy(dry, home.now(), deadline=environments.soon(), progress=environments.quiet)
    assert not receipt.deleted
    assert environment.CLEANUP_REQUESTED_AT not in home.now().annotations
    home.wait([("Deployment", "app")], seconds=5)
