"""The fence: the namespace with its labels, and everything that limits it before the first pod can exist."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from k8s_ee import environment
from k8s_ee.config import model
from k8s_ee.plan import components, quota

_NAMESPACE = "kubernetes.io/metadata.name"
_APP_PODS = {"matchLabels": {"app.kubernetes.io/name": "app"}}

# Not the internet: private, carrier-grade, loopback, link-local (cloud metadata), benchmarking, multicast, reserved.
_NOT_INTERNET = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
    # … and where IPv4 addresses are reached inside IPv6 ones (NAT64, 6to4), unique local, link-local, multicast.
    *("::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def namespace(target: environment.Environment, platform: model.Platform) -> components.Manifest:
    """Pod Security as the platform sets it; what "restricted" would refuse is at least reported."""
    security = {
        "pod-security.kubernetes.io/enforce": platform.pod_security,
        "pod-security.kubernetes.io/enforce-version": "latest",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "latest",
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/audit-version": "latest",
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": target.namespace,
            "labels": target.labels() | security,
            "annotations": target.annotations(),
        },
    }


def fence(
    target: environment.Environment, config: model.Config, platform: model.Platform
) -> tuple[components.Manifest, ...]:
    """In the order of application: a quota refuses containers without limits, so their defaults come first."""
    return (
        quota.limit_range(target, config, platform),
        quota.resource_quota(target, config),
        *_policies(target, config, platform),
        _service_account(target, platform),
    )


def _policies(
    target: environment.Environment, config: model.Config, platform: model.Platform
) -> Iterable[components.Manifest]:
    def policy(name: str, **spec: Any) -> components.Manifest:
        directions = [direction.title() for direction in ("ingress", "egress") if direction in spec]
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": components.metadata(target, name, component=components.FENCE),
            "spec": {"podSelector": {}, "policyTypes": directions, **spec},
        }

    yield policy("default-deny", ingress=[], egress=[])
    yield policy("same-namespace", ingress=[{"from": [{"podSelector": {}}]}], egress=[{"to": [{"podSelector": {}}]}])
    yield policy("dns", egress=[_dns()])
    yield policy("internet", egress=[{"to": internet(platform.cluster_cidrs)}])
    outside = platform.external_databases
    if config.external and (outside.cidrs or outside.namespaces):
        peers = [{"ipBlock": {"cidr": cidr}} for cidr in outside.cidrs] + [_pods(name) for name in outside.namespaces]
        yield policy("external-databases", egress=[{"to": peers}])
    if config.ingress.enabled:
        controller = _pods(platform.ingress.namespace, dict(platform.ingress.pod_labels))
        yield policy("ingress-controller", podSelector=_APP_PODS, ingress=[_to_http(controller)])
    if config.metrics.enabled:
        yield policy("metrics", podSelector=_APP_PODS, ingress=[_to_http(_pods(platform.metrics_namespace))])


def internet(cluster_cidrs: Iterable[str]) -> list[dict[str, Any]]:
    """Peers of a policy: every address but those that belong to the cluster, its cloud or a private network."""
    closed = [ipaddress.ip_network(text, strict=False) for text in (*_NOT_INTERNET, *cluster_cidrs)]
    return [
        {"ipBlock": {"cidr": everything, "except": _collapsed(closed, version=version)}}
        for version, everything in ((4, "0.0.0.0/0"), (6, "::/0"))
    ]


def _collapsed(networks: Iterable[Network], *, version: int) -> list[str]:
    return [str(one) for one in ipaddress.collapse_addresses(one for one in networks if one.version == version)]  # type: ignore[type-var]


def _dns() -> dict[str, Any]:
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {"to": [_pods("kube-system", {"k8s-app": "kube-dns"})], "ports": ports}


def _pods(namespace_name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": {_NAMESPACE: namespace_name}}}
    return {**peer, "podSelector": {"matchLabels": labels}} if labels else peer


def _to_http(peer: dict[str, Any]) -> dict[str, Any]:
    """By name: pods of two commits may listen on different ports, and both must be reached during a rollout."""
    return {"from": [peer], "ports": [{"port": "http", "protocol": "TCP"}]}


def _service_account(target: environment.Environment, platform: model.Platform) -> components.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": components.metadata(target, components.SERVICE_ACCOUNT, component=components.FENCE),
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": name} for name in platform.image_pull_secrets],
    }
