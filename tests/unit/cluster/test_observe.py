from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import cluster
from k8s_ee.cluster import output
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/n/endpointslices"
PODS = "/api/v1/namespaces/n/pods"


def test_environments_are_one_list_and_strangers_are_not_among_them(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]
) -> None:
    kube.put(NS, manifest)
    kube.put(NS, {"metadata": {"name": "theirs"}})
    broken = {"app.kubernetes.io/managed-by": "k8s-ee", "k8s-ee/type": "ephemeral", "k8s-ee/pr": "seven"}
    kube.put(NS, {"metadata": {"name": "broken", "labels": broken}})
    assert [found.namespace for found in cluster.environments(api)] == ["shop-pr-7"]
    assert len(kube.seen) == 1


def test_a_pull_request_s_environments_are_found_by_repository_id(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]
) -> None:
    kube.put(NS, manifest)
    assert [found.number for found in cluster.find(api, 42, 7)] == [7]
    assert cluster.find(api, 43, 7) == []


def endpoint(uid: str, *, ready: bool | None) -> dict[str, Any]:
    return {"conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "uid": uid}}


def test_only_ready_endpoints_count_and_unknown_pods_have_no_commit(kube: wire.Kube, api: cluster.Cluster) -> None:
    labels = {"kubernetes.io/service-name": "app"}
    for number, uid in enumerate(("new", "old")):
        annotations = {"k8s-ee/head-sha": str(number) * 40}
        kube.put(PODS, {"metadata": {"name": uid, "uid": uid, "annotations": annotations}})
    ends = [endpoint("new", ready=True), endpoint("old", ready=False)]
    kube.put(SLICES, {"metadata": {"name": "a", "labels": labels}, "endpoints": ends})
    assert cluster.serving(api, "n", "app") == {"0" * 40}
    ends.append(endpoint("vanished", ready=True))
    kube.put(SLICES, {"metadata": {"name": "a", "labels": labels}, "endpoints": ends})
    assert cluster.serving(api, "n", "app") == {"0" * 40, ""}


@pytest.mark.parametrize(("text", "shown"), [
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b]0;title\x07text", "text"),
    ("a\rb\x00c", "abc"),
    ("x" * 600, "x" * 499 + "…"),
    ("über", "über"),
])  # fmt: skip
def test_what_containers_write_is_made_harmless(text: str, shown: str) -> None:
    assert output.clean(text, lambda line: line) == shown


def test_a_secret_is_redacted_before_a_line_is_cut() -> None:
    line = "x" * 495 + "hunter2hunter2"
    assert "hunt" not in output.clean(line, lambda text: text.replace("hunter2hunter2", "***"))


def test_a_secret_split_by_a_terminal_escape_is_still_redacted() -> None:
    assert output.clean("hun\x1b[0mter2", lambda text: text.replace("hunter2", "***")) == "***"


def test_logs_come_of_all_containers_and_of_those_before_a_restart(kube: wire.Kube, api: cluster.Cluster) -> None:
    status = {"containerStatuses": [{"name": "main", "restartCount": 2}], "initContainerStatuses": [{"name": "wait"}]}
    labels = {"app.kubernetes.io/component": "app"}
    kube.put(PODS, {"metadata": {"name": "app-1", "labels": labels}, "status": status})
    kube.logs = {("app-1", "main", True): "before\n", ("app-1", "main", False): "now\n"}
    found = cluster.logs(api, "n", "app", redact=lambda text: text)
    assert [(log.container, log.previous, log.lines) for log in found] == [
        ("main", True, ("before",)),
        ("main", False, ("now",)),
    ]
