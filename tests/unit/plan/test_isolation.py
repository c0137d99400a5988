"""The fence: what is let in and out, and in which order it is put up."""

from __future__ import annotations

import ipaddress
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from k8s_ee import plan
from k8s_ee.config import model
from tests.unit.plan import facts


def policies(config: model.Config = facts.FULL) -> dict[str, Any]:
    fence = plan.fence(facts.TARGET, config, facts.PLATFORM)
    return {one["metadata"]["name"]: one["spec"] for one in fence if one["kind"] == "NetworkPolicy"}


def test_limits_come_before_the_quota_and_both_before_the_policies() -> None:
    kinds = [one["kind"] for one in plan.fence(facts.TARGET, facts.FULL, facts.PLATFORM)]
    assert kinds == ["LimitRange", "ResourceQuota", *["NetworkPolicy"] * 6, "ServiceAccount"]


def test_every_pod_is_denied_both_ways_by_default() -> None:
    assert policies()["default-deny"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }


def test_pods_of_the_namespace_reach_each_other() -> None:
    spec = policies()["same-namespace"]
    assert spec["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert spec["egress"] == [{"to": [{"podSelector": {}}]}]


def test_names_are_looked_up_at_the_cluster_dns_only() -> None:
    (rule,) = policies()["dns"]["egress"]
    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {(53, "UDP"), (53, "TCP")}
    (peer,) = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert peer["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}


def test_only_the_pods_of_the_ingress_controller_reach_the_apps_port_by_its_name() -> None:
    spec = policies()["ingress-controller"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "app"}
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert rule["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "ingress-nginx"}},
        }
    ]


def test_without_ingress_and_metrics_nobody_from_outside_is_let_in() -> None:
    closed = policies(facts.config(ingress=model.Ingress(enabled=False)))
    assert "ingress-controller" not in closed
    assert "metrics" not in closed


def test_metrics_are_scraped_from_the_namespace_the_platform_names() -> None:
    (rule,) = policies()["metrics"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def allowed(address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    (rule,) = policies()["internet"]["egress"]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    return any(
        wanted in ipaddress.ip_network(block["cidr"])
        and not any(wanted in ipaddress.ip_network(closed) for closed in block["except"])
        for block in blocks
    )


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.121.4", "223.255.255.255", "2606:4700:4700::1111"])
def test_the_internet_is_reached(address: str) -> None:
    assert allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "0.0.0.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
        *("203.0.113.9", "2001:db8::1"),  # the cluster's own
        *("::1", "fe80::1", "fc00::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:0a00:0001::1"),
    ],
)
def test_private_cluster_and_metadata_addresses_are_not(address: str) -> None:
    assert not allowed(address)


@hypothesis.given(st.ip_addresses(v=4))
def test_no_private_address_is_ever_reached(address: ipaddress.IPv4Address) -> None:
    if address.is_private or address.is_link_local or address.is_multicast or address.is_loopback:
        special = ("192.0.2.0/24", "198.51.100.0/24")  # for documentation only: nobody is there
        assert not allowed(str(address)) or any(address in ipaddress.ip_network(one) for one in special)


def test_every_exception_lies_inside_its_block_as_the_api_server_wants_it() -> None:
    (rule,) = policies()["internet"]["egress"]
    for block in (peer["ipBlock"] for peer in rule["to"]):
        whole = ipaddress.ip_network(block["cidr"])
        for closed in block["except"]:
            inside = ipaddress.ip_network(closed)
            assert inside.version == whole.version
            assert inside.prefixlen > whole.prefixlen


@pytest.mark.parametrize("level", ["restricted", "baseline"])
def test_the_namespace_enforces_what_the_platform_says_and_reports_the_rest(level: Any) -> None:
    namespace = plan.namespace(facts.TARGET, model.Platform(domain="x.example", pod_security=level))
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == level
    assert labels["pod-security.kubernetes.io/warn"] == labels["pod-security.kubernetes.io/audit"] == "restricted"
    assert labels.items() >= facts.TARGET.labels().items()
    assert namespace["metadata"]["annotations"] == facts.TARGET.annotations()


def test_pods_get_no_token_and_the_platforms_pull_secrets() -> None:
    account = plan.fence(facts.TARGET, facts.FULL, facts.PLATFORM)[-1]
    assert account["metadata"]["name"] == "preview"
    assert account["automountServiceAccountToken"] is False
    assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_every_part_of_the_fence_says_whose_it_is() -> None:
    for one in plan.fence(facts.TARGET, facts.FULL, facts.PLATFORM):
        assert one["metadata"]["namespace"] == "shop-pr-42"
        assert one["metadata"]["labels"] == {
            "app.kubernetes.io/managed-by": "k8s-ee",
            "app.kubernetes.io/component": "fence",
            "app.kubernetes.io/name": one["metadata"]["name"],
            "k8s-ee/project": "shop",
            "k8s-ee/pr": "42",
        }
