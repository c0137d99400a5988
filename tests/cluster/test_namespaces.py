import dataclasses
import threading
from collections.abc import Iterator
from concurrent import futures

import pytest

from k8s_ee import cluster, environment, errors, settings
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(sandbox: sandboxes.Sandbox) -> Iterator[environments.Home]:
    with environments.home(sandbox) as made:
        yield made


def test_it_is_made_with_its_labels_and_found_again_by_pull_request(home: environments.Home) -> None:
    observed = home.now()
    assert observed.namespace == home.wanted.namespace
    assert (observed.repository, observed.run, observed.terminating) == ("acme/shop", 1, False)
    assert observed in cluster.environments(home.api)


def test_a_newer_run_updates_it_and_an_older_one_is_refused(home: environments.Home) -> None:
    newer = dataclasses.replace(home.wanted, run=3)
    ensured = cluster.namespaces.ensure(home.api, environments.namespace(newer), newer, environments.soon())
    assert (ensured.created, ensured.observed.run) == (False, 3)
    older = dataclasses.replace(home.wanted, run=2)
    with pytest.raises(errors.Refused, match="a newer run"):
        cluster.namespaces.ensure(home.api, environments.namespace(older), older, environments.soon())
    assert home.now().run == 3


def test_many_runs_at_once_end_with_the_newest_and_one_namespace(home: environments.Home) -> None:
    runs = [dataclasses.replace(home.wanted, run=number) for number in range(2, 12)]

    def ensure(wanted: environment.Environment) -> str:
        try:
            manifest = environments.namespace(wanted)
            return cluster.namespaces.ensure(home.api, manifest, wanted, environments.soon()).observed.uid
        except errors.K8sEEError:
            return ""

    with futures.ThreadPoolExecutor(10) as pool:
        uids = set(pool.map(ensure, runs)) - {""}
    ensure(runs[-1])
    assert uids <= {home.now().uid}
    assert home.now().run == 11


def test_only_one_of_many_creators_creates(sandbox: sandboxes.Sandbox) -> None:
    with environments.home(sandbox) as home:
        fresh = dataclasses.replace(home.wanted, number=home.wanted.number + 1)
        manifest = environments.namespace(fresh)
        with futures.ThreadPoolExecutor(8) as pool:
            made = list(
                pool.map(lambda _n: cluster.namespaces.ensure(home.api, manifest, fresh, environments.soon()), range(8))
            )
        home.api.delete("Namespace", fresh.namespace, uid=made[0].observed.uid)
    assert [one.created for one in made].count(True) == 1
    assert len({one.observed.uid for one in made}) == 1


def test_a_namespace_of_somebody_else_stays_as_it_is(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    wanted = environments.unique()
    kubectl("create", "namespace", wanted.namespace)
    with pytest.raises(errors.Refused, match="not an environment"):
        cluster.namespaces.ensure(home.api, environments.namespace(wanted), wanted, environments.soon())
    found = home.api.get("Namespace", wanted.namespace)
    kubectl("delete", "namespace", wanted.namespace, "--wait=false")
    assert found is not None
    assert set(found["metadata"]["labels"]) == {"kubernetes.io/metadata.name"}


def test_another_repository_with_the_same_project_is_refused(home: environments.Home) -> None:
    other = dataclasses.replace(home.wanted, repository_id=home.wanted.repository_id + 1)
    with pytest.raises(errors.Refused, match="another repository"):
        cluster.namespaces.ensure(home.api, environments.namespace(other), other, environments.soon())


def test_a_terminating_one_is_waited_for_and_made_anew(home: environments.Home) -> None:
    old = home.now()
    home.api.delete("Namespace", home.name, uid=old.uid)
    with pytest.raises(errors.Refused, match="being deleted"):
        home.api.annotate(home.name, old.uid, {"k8s-ee/x": "y"})
    manifest = environments.namespace(home.wanted)
    ensured = cluster.namespaces.ensure(home.api, manifest, home.wanted, environments.soon())
    assert ensured.created
    assert ensured.observed.uid != old.uid


def test_what_blocks_a_terminating_one_is_named(home: environments.Home) -> None:
    metadata = {"name": "held", "finalizers": ["example.com/never"]}
    home.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    home.api.delete("Namespace", home.name, uid=home.now().uid)
    try:
        with pytest.raises(errors.NotReady) as caught:
            cluster.namespaces.ensure(home.api, environments.namespace(home.wanted), home.wanted, environments.soon(9))
        assert "example.com/never" in caught.value.hint
    finally:
        release(home)


def release(home: environments.Home) -> None:
    home.api.write(
        "PATCH",
        f"/api/v1/namespaces/{home.name}/configmaps/held",
        what="ConfigMap held",
        body={"metadata": {"finalizers": None}},
        content_type="application/merge-patch+json",
    )


def test_what_is_applied_after_it_vanished_fails_with_that_reason(home: environments.Home) -> None:
    home.api.delete("Namespace", home.name, uid=home.now().uid)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}}
    with pytest.raises(errors.NotReady, match="being deleted"):
        home.apply(config_map)


def test_annotations_are_set_and_removed_under_the_uid(home: environments.Home) -> None:
    uid = home.now().uid
    assert home.api.annotate(home.name, uid, {"k8s-ee/head-sha": "b" * 40}).head_sha == "b" * 40
    assert home.api.annotate(home.name, uid, {"k8s-ee/head-sha": None, "k8s-ee/none": None}).head_sha == ""
    with pytest.raises(errors.Refused):
        home.api.annotate(home.name, "00000000-0000-0000-0000-000000000000", {"k8s-ee/x": "y"})


def test_a_dry_run_is_judged_by_the_cluster_and_leaves_nothing(sandbox: sandboxes.Sandbox) -> None:
    dry, wanted = environments.connect(sandbox, dry_run=True), environments.unique()
    assert cluster.namespaces.ensure(dry, environments.namespace(wanted), wanted, environments.soon()).created
    manifests = [environments.server("app", "x"), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}]
    dry.apply(manifests, manager="m", namespace=wanted.namespace)
    assert dry.get("Namespace", wanted.namespace) is None


def test_a_token_without_rights_is_told_what_it_lacks(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    kubectl("-n", home.name, "create", "serviceaccount", "nobody")
    token = kubectl("-n", home.name, "create", "token", "nobody").strip()
    server, authority = (
        kubectl("config", "view", "--raw", "--minify", "-o", f"jsonpath={{.clusters[0].cluster.{key}}}")
        for key in ("server", "certificate-authority-data")
    )
    kubeconfig = (
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}', certificate-authority-data: '{authority}'}}}}]\n"
        f"users: [{{name: u, user: {{token: '{token}'}}}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    nobody = cluster.connect(settings.Connection(kubeconfig=kubeconfig))
    wanted = environments.unique()
    with pytest.raises(errors.Refused, match="may not create Namespace"):
        cluster.namespaces.ensure(nobody, environments.namespace(wanted), wanted, environments.soon())
    stranger = cluster.connect(settings.Connection(kubeconfig=kubeconfig.replace(token, "wrong")))
    with pytest.raises(errors.ClusterUnavailable, match="credentials"):
        stranger.list("Namespace")


def test_one_cluster_object_serves_many_threads(home: environments.Home) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                home.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}})
                assert home.api.get("ConfigMap", f"c{number}", home.name)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
