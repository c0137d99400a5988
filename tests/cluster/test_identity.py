"""The rights that k8s/platform gives a deploy are enough for a whole life of an environment, and for nothing else."""

from collections.abc import Iterator

import pytest

from k8s_ee import cluster, environment, errors
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments, workloads

pytestmark = pytest.mark.cluster
IDENTITY = "system:serviceaccount:k8s-ee-system:k8s-ee-ci"


@pytest.fixture
def home(sandbox: sandboxes.Sandbox, deployer: cluster.Cluster) -> Iterator[environments.Home]:
    with environments.home(sandbox) as made:
        yield environments.Home(deployer, made.wanted, made.image)


def test_they_suffice_from_namespace_to_proof_of_its_end(home: environments.Home) -> None:
    manifest = environments.namespace(home.wanted)
    cluster.namespaces.ensure(home.api, manifest, home.wanted, environments.soon())
    home.apply(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": []}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "9"}}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "p"},
            "spec": {"podSelector": {"matchLabels": {"no": "pod"}}},
        },
    )
    home.api.create_only(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "postgresql-credentials-v1", "namespace": home.name},
        }
    )
    home.ready(
        environments.server("app", home.image),
        environments.database("db", home.image),
        environments.job("migrate", home.image, "print('ok')"),
    )
    home.apply(workloads.service("app"), workloads.ingress("app", f"{home.name}.preview.test"))
    cluster.waiting.served(home.api, home.name, "app", environments.SHA, deadline=environments.soon())
    assert cluster.serving(home.api, home.name, "app") == {environments.SHA}
    assert home.api.prune(home.name, "app", environments.MANAGER, {("Deployment", "app")}) == ()
    home.api.annotate(home.name, home.now().uid, {environment.HEAD_SHA: environments.SHA})
    receipt = home.destroy(home.now())
    assert receipt.deleted
    assert receipt.left == ()
    assert len(receipt.volumes) == 1


def test_they_suffice_to_tell_why_something_fails_and_to_make_again_what_can_not_be_changed(
    home: environments.Home,
) -> None:
    with pytest.raises(errors.NotReady) as caught:
        home.ready(environments.job("migrate", home.image, "print('no such table'); raise SystemExit(4)"))
    assert caught.value.evidence == ("no such table",)
    home.ready(environments.job("migrate", home.image, "print('ok')"))
    home.ready(environments.database("db", home.image))
    renamed = environments.database("db", home.image)
    renamed["spec"]["serviceName"] = "another"
    home.ready(renamed)


def test_namespaces_that_are_no_environment_stay_out_of_reach(
    home: environments.Home, kubectl: conftest.Kubectl, namespace: str
) -> None:
    stranger = home.api.get("Namespace", namespace)
    assert stranger is not None
    with pytest.raises(errors.Refused):
        home.api.delete("Namespace", namespace, uid=stranger["metadata"]["uid"])
    with pytest.raises(errors.Refused):
        home.api.apply([environments.server("app", home.image)], manager="m", namespace=namespace)
    with pytest.raises(errors.Refused):
        home.api.list("Secret", "kube-system")


def test_of_secrets_that_are_not_its_own_it_reads_only_the_logins_to_registries(kubectl: conftest.Kubectl) -> None:
    def may_read(name: str, namespace: str) -> bool:
        asked = ("auth", "can-i", "get", f"secret/{name}", "--namespace", namespace, "--as", IDENTITY)
        return kubectl(*asked, check=False).strip() == "yes"

    private = ("k8s-ee-janitor-app", "k8s-ee-backup", "anything")
    assert not any(may_read(name, namespace) for name in private for namespace in ("k8s-ee-system", "kube-system"))
    assert may_read("anything", "k8s-ee-pull-secrets")
