from __future__ import annotations

import threading
import time

import pytest

from k8s_ee import cluster, errors, settings
from k8s_ee.cluster import kubeconfig, transport
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
CONFIG_MAPS = "/api/v1/namespaces/shop-pr-7/configmaps"


def config_map(name: str = "settings") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop-pr-7"}, "data": {}}


def test_only_a_404_means_absent(kube: wire.Kube, api: cluster.Cluster) -> None:
    assert api.get("Namespace", "shop-pr-7") is None
    for status in (401, 403, 500, 503):
        kube.fail("GET", NS, status, times=5)
        with pytest.raises(errors.K8sEEError):
            api.get("Namespace", "shop-pr-7")


def test_a_rejected_token_is_said_once_and_at_once(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.tokens = {"another"}
    with pytest.raises(errors.ClusterUnavailable, match="credentials"):
        api.version()
    assert len(kube.seen) == 2


def test_a_forbidden_write_names_verb_and_kind(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail(
        "POST", CONFIG_MAPS, 403, message='configmaps is forbidden: User "ci" cannot create resource "configmaps"'
    )
    with pytest.raises(errors.Refused, match="may not create ConfigMap settings"):
        api.create_only(config_map())


def test_a_policy_that_refuses_is_quoted(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("POST", CONFIG_MAPS, 403, message="ValidatingAdmissionPolicy 'fence' denied request: not yours")
    with pytest.raises(errors.Refused, match="not yours"):
        api.create_only(config_map())


def test_a_refused_connection_is_reported_within_seconds() -> None:
    text = conftest.KUBECONFIG.format(url="http://127.0.0.1:1")
    unreachable = cluster.connect(settings.Connection(kubeconfig=text))
    began = time.monotonic()
    with pytest.raises(errors.ClusterUnavailable, match="connection refused"):
        unreachable.version()
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_trouble_is_retried(kube: wire.Kube, api: cluster.Cluster, status: int) -> None:
    kube.fail("GET", "/version", status, times=2)
    assert api.version() == "1.34.5"
    assert len(kube.seen) == 3


def test_lasting_trouble_is_given_up_after_a_bounded_number_of_requests(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "/version", 503, times=99, message="etcd is down")
    with pytest.raises(errors.ClusterUnavailable, match="etcd is down"):
        api.version()
    assert len(kube.seen) == 5


def test_the_server_says_how_long_to_wait(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "/version", 429, Retry_After="1")
    began = time.monotonic()
    api.version()
    assert 1.0 <= time.monotonic() - began < 8


def test_a_connection_cut_in_the_middle_is_retried(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "/version", 0, times=2)
    assert api.version() == "1.34.5"


def test_a_create_whose_answer_was_lost_finds_its_own_object(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(NS, {"metadata": {"name": "shop-pr-7"}})
    kube.put(CONFIG_MAPS, {**config_map(), "data": {"kept": "yes"}})
    assert api.create_only(config_map())["data"] == {"kept": "yes"}


def test_a_list_is_whole_over_many_pages(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.page = 2
    for number in range(5):
        kube.put(CONFIG_MAPS, config_map(f"c{number}"))
    assert len(api.list("ConfigMap", "shop-pr-7")) == 5


def test_a_list_whose_pages_expired_starts_over(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.page = 2
    for number in range(3):
        kube.put(CONFIG_MAPS, config_map(f"c{number}"))
    kube.fail("GET", CONFIG_MAPS, 410)
    assert len(api.list("ConfigMap", "shop-pr-7")) == 3


def test_an_html_page_of_a_proxy_is_no_traceback(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", "/version", 407, message="<html>who are you</html>")
    with pytest.raises(errors.ClusterUnavailable, match="407"):
        api.version()


def test_a_wrong_value_of_a_secret_is_never_quoted(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("POST", "secrets", 422, message='Secret "s" is invalid: data[PASSWORD]: Invalid value: "hunter2"')
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop-pr-7"}}
    with pytest.raises(errors.InputError) as caught:
        api.create_only(secret)
    assert "hunter2" not in caught.value.message


def test_an_unknown_kind_names_the_known_ones(api: cluster.Cluster) -> None:
    with pytest.raises(errors.InputError) as caught:
        api.apply([{"apiVersion": "v2", "kind": "Deployment", "metadata": {"name": "x"}}], manager="m", namespace="n")
    assert "apps/v1 Deployment" in caught.value.hint


def test_annotating_sets_and_removes_and_returns_what_is_there_then(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, object]
) -> None:
    found = kube.put(NS, manifest)
    uid = found["metadata"]["uid"]
    observed = api.annotate("shop-pr-7", uid, {"k8s-ee/head-sha": "a" * 40, "k8s-ee/branch": None, "k8s-ee/none": None})
    assert observed.head_sha == "a" * 40
    assert "k8s-ee/branch" not in observed.annotations
    assert "k8s-ee/none" not in observed.annotations


def test_a_terminating_or_replaced_namespace_is_not_annotated(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, object]
) -> None:
    found = kube.put(NS, manifest)
    with pytest.raises(errors.Refused, match="replaced"):
        api.annotate("shop-pr-7", "another-uid", {"k8s-ee/x": "y"})
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    kube.put(NS, found)
    with pytest.raises(errors.Refused, match="being deleted"):
        api.annotate("shop-pr-7", found["metadata"]["uid"], {"k8s-ee/x": "y"})


def test_every_write_of_a_dry_run_says_so_and_keeps_nothing(
    kube: wire.Kube, connect: conftest.Connect, manifest: dict[str, object]
) -> None:
    found = kube.put(NS, manifest)
    before = dict(kube.objects)
    dry = connect(dry_run=True)
    dry.create_only(config_map())
    dry.apply([config_map("applied")], manager="m", namespace="shop-pr-7")
    dry.annotate("shop-pr-7", found["metadata"]["uid"], {"k8s-ee/x": "y"})
    dry.delete("Namespace", "shop-pr-7", uid=found["metadata"]["uid"])
    dry.delete_all("Pod", "shop-pr-7")
    assert len(kube.writes) == 5
    assert all(seen.query.get("dryRun") == "All" for seen in kube.writes)
    assert kube.objects == before


def test_a_dry_run_goes_on_in_a_namespace_that_only_exists_on_paper(kube: wire.Kube, connect: conftest.Connect) -> None:
    applied = connect(dry_run=True).apply([config_map()], manager="m", namespace="shop-pr-7")
    assert applied[0]["metadata"]["name"] == "settings"
    assert not kube.objects


def test_what_fails_beforehand_prints_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []
    told: list[threading.ExceptHookArgs] = []

    def broken(fresh: bool) -> str:
        tried.append(fresh)
        raise ValueError("Invalid header value b'Bearer q8xk'")

    monkeypatch.setattr(threading, "excepthook", told.append)
    before = set(threading.enumerate())
    access = kubeconfig.Access(server=url, context=None, authorization=broken)
    cluster.Cluster(transport.Transport(access, user_agent="test")).warm()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert tried
    assert not told


def test_connections_are_opened_beforehand_and_a_dead_server_is_left_to_the_first_question(
    kube: wire.Kube, api: cluster.Cluster
) -> None:
    kube.fail("GET", "/version", 403, times=99)
    api.warm()
    assert api.get("Namespace", "shop-pr-7") is None
