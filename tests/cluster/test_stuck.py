"""What holds up an end is named; the rest is done; the end comes when the blocker goes. Nothing is ever forced."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import cluster, environment, lifecycle
from k8s_ee.cluster import unstick
from tests.cluster import bare, environments, workloads

pytestmark = pytest.mark.cluster

FINALIZER = "widgets.example.com/served"
WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
"""


@pytest.fixture
def place(bare_cluster: bare.Bare) -> bare.Bare:
    bare_cluster.kubectl("apply", "-f", "-", stdin=WIDGETS)
    bare_cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s")
    return bare_cluster


@pytest.fixture
def held(place: bare.Bare) -> Iterator[environment.Observed]:
    """An environment with a custom resource whose finalizer nobody serves, and a ConfigMap that nobody holds."""
    observed = place.made()
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "finalizers": [FINALIZER]}}
    put(place, observed, widget)
    place.kubectl("-n", observed.namespace, "create", "configmap", "free")
    yield place.now(observed)
    free(place, observed, "widget/w")


def put(place: bare.Bare, observed: environment.Observed, manifest: dict[str, Any]) -> None:
    place.kubectl("-n", observed.namespace, "apply", "-f", "-", stdin=json.dumps(manifest))


def free(place: bare.Bare, observed: environment.Observed, name: str) -> None:
    patch = '{"metadata":{"finalizers":null}}'
    place.kubectl("-n", observed.namespace, "patch", name, "--type=merge", "-p", patch, check=False)


def destroy(place: bare.Bare, observed: environment.Observed, *, seconds: float) -> cluster.Receipt:
    deadline = environments.soon(seconds)
    return cluster.destroy.destroy(place.api, observed, deadline=deadline, progress=environments.quiet)


def unstuck(place: bare.Bare, observed: environment.Observed, *orphans: lifecycle.OrphanedFinalizer) -> unstick.Report:
    return unstick.unstick(place.api, observed, orphans, environments.quiet)


def test_a_custom_resource_that_nobody_serves_is_named_and_the_rest_is_done(
    place: bare.Bare, held: environment.Observed
) -> None:
    receipt = destroy(place, held, seconds=8)
    assert not receipt.deleted
    assert f"widgets.example.com/w is held by finalizer {FINALIZER}" in receipt.left
    assert f"widgets.example.com/w is held by finalizer {FINALIZER}" in destroy(place, held, seconds=-1).left
    assert place.api.get("ConfigMap", "free", held.namespace) is None
    free(place, held, "widget/w")
    assert destroy(place, held, seconds=30).deleted


def test_only_what_is_listed_and_whose_controller_is_gone_is_taken_off(
    place: bare.Bare, held: environment.Observed
) -> None:
    destroy(place, held, seconds=8)
    alive = {"kind": "Deployment", **workloads.deployment("widgets", "none")}
    place.kubectl("-n", "default", "apply", "-f", "-", stdin=json.dumps(alive))
    assert unstuck(place, held).removed == ()
    assert (
        unstuck(place, held, lifecycle.OrphanedFinalizer("another.example.com/x", deployment="default/gone")).removed
        == ()
    )
    assert unstuck(place, held, lifecycle.OrphanedFinalizer(FINALIZER, deployment="default/widgets")).removed == ()
    assert unstuck(place, held, lifecycle.OrphanedFinalizer(FINALIZER, api_service="v1.apps")).removed == ()
    assert unstuck(place, held, lifecycle.OrphanedFinalizer(FINALIZER)).removed == ()
    place.kubectl("-n", "default", "delete", "deployment", "widgets")
    report = unstuck(place, held, lifecycle.OrphanedFinalizer(FINALIZER, deployment="default/widgets"))
    assert report.removed == (
        f"{FINALIZER} of widgets.example.com/w: its controller, Deployment default/widgets, does not exist",
    )
    assert destroy(place, held, seconds=30).deleted


def test_nothing_is_taken_off_in_an_environment_that_is_not_on_its_way_out(
    place: bare.Bare, held: environment.Observed
) -> None:
    assert unstuck(place, held, lifecycle.OrphanedFinalizer(FINALIZER, deployment="default/gone")).removed == ()
    assert FINALIZER in place.kubectl("-n", held.namespace, "get", "widget/w", "-o", "yaml")


def test_a_claim_that_a_pod_still_uses_is_named_and_its_protection_stays(place: bare.Bare) -> None:
    observed = place.made()
    put(place, observed, workloads.claim("data"))
    protected = "--for=jsonpath={.metadata.finalizers[0]}=kubernetes.io/pvc-protection"
    place.kubectl("-n", observed.namespace, "wait", protected, "pvc/data", "--timeout=20s")
    user = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user", "finalizers": ["example.com/held"]},
        "spec": {
            "nodeName": "nowhere",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "main",
                    "image": "none",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    put(place, observed, user)
    receipt = destroy(place, place.now(observed), seconds=8)
    assert not receipt.deleted
    named = [line for line in receipt.left if "is held by finalizer" in line]
    assert any(line.startswith("persistentvolumeclaims/data ") for line in named)
    assert any(line.startswith("pods/user ") for line in named)
    native = lifecycle.OrphanedFinalizer("kubernetes.io/pvc-protection", deployment="default/gone")
    assert unstuck(place, observed, native).removed == ()
    free(place, observed, "pod/user")
    place.kubectl("-n", observed.namespace, "delete", "pod/user", "--grace-period=0", "--force", check=False)
    assert destroy(place, observed, seconds=30).deleted


def test_a_release_of_helm_made_by_hand_goes_with_the_rest(place: bare.Bare) -> None:
    observed = place.made()
    metadata = {"name": "sh.helm.release.v1.tools.v1", "labels": {"owner": "helm", "status": "pending-upgrade"}}
    record = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}
    put(place, observed, {**record, "stringData": {"release": "none"}})
    put(place, observed, {**workloads.service("tools")})
    receipt = destroy(place, place.now(observed), seconds=30)
    assert (receipt.deleted, receipt.left) == (True, ())


def test_a_dead_aggregated_api_is_named_and_the_end_comes_when_it_goes(place: bare.Bare) -> None:
    observed = place.made()
    place.kubectl("-n", observed.namespace, "create", "configmap", "free")
    place.kubectl("apply", "-f", "-", stdin=workloads.DEAD_API)
    name = "v1beta1.dead.example.com"
    try:
        place.kubectl("wait", "--for=condition=Available=false", f"apiservice/{name}", "--timeout=30s")
        receipt = destroy(place, place.now(observed), seconds=10)
        assert not receipt.deleted
        assert any(f"APIService {name}" in line for line in receipt.left)
        assert place.api.get("ConfigMap", "free", observed.namespace) is None
    finally:
        place.kubectl("delete", "apiservice", name)
    assert destroy(place, observed, seconds=40).deleted


def test_one_that_is_held_does_not_hold_up_the_others(place: bare.Bare, held: environment.Observed) -> None:
    some = [place.made() for _ in range(5)]
    known = cluster.destroy.survey(place.api)
    begun = [cluster.destroy.begin(place.api, place.now(one), environments.quiet, known=known) for one in (*some, held)]
    gone: list[str] = []
    receipts = cluster.destroy.finish(place.api, begun, deadline=environments.soon(12), progress=gone.append)
    assert [receipt.deleted for receipt in receipts] == [True] * 5 + [False]
    assert len(gone) == 5
    assert any(FINALIZER in line for line in receipts[-1].left)


def test_who_took_its_labels_from_a_namespace_does_not_make_it_look_gone(
    place: bare.Bare, held: environment.Observed
) -> None:
    other = place.made()
    begun = [cluster.destroy.begin(place.api, place.now(one), environments.quiet) for one in (other, held)]
    place.kubectl("label", "namespace", held.namespace, f"{environment.TYPE}-", f"note={uuid.uuid4().hex[:8]}")
    began = time.monotonic()
    deadline = environments.soon(12)
    receipts = cluster.destroy.finish(place.api, begun, deadline=deadline, progress=environments.quiet)
    assert [receipt.deleted for receipt in receipts] == [True, False]
    assert time.monotonic() - began >= 11
