"""Kubeconfigs that are none, and proxies that can't be used."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import yaml

from k8s_ee import errors
from k8s_ee.cluster import transport
from tests.unit.cluster import test_kubeconfig as kubeconfigs


@pytest.mark.parametrize(("text", "message"), [
    ("\n", "not a kubeconfig"),
    ("{\n", "not YAML"),
    ("clusters: []\n", "no current context"),
    ("clusters: []\ncontexts: [{name: a, context: {cluster: b}}]\ncurrent-context: a\n", "no cluster 'b'"),
    ("clusters: [{name: b, cluster: {server: ftp://x}}]\ncontexts: [{name: a, context: {cluster: b}}]\n"
     "current-context: a\n", "not an http"),
])  # fmt: skip
def test_a_kubeconfig_that_can_not_work_says_why(text: str, message: str) -> None:
    with pytest.raises(errors.ClusterUnavailable, match=message):
        kubeconfigs.connect(text)


@pytest.mark.parametrize(("change", "message"), [
    ({"users": ["foo"]}, "users"),
    ({"users": "foo"}, "users"),
    ({"users": [{"name": "here", "user": "foo"}]}, "users"),
    ({"users": [{"name": ["here"], "user": {}}]}, "users"),
    ({"contexts": [{"name": "here", "context": {"cluster": ["here"]}}]}, "no cluster"),
    ({"current-context": ["here"]}, "no context"),
    ({"users": [{"name": "here", "user": {"exec": "foo"}}]}, "exec"),
    ({"users": [{"name": "here", "user": {"username": "team", "password": 24680}}]}, "password is not text"),
    ({"cluster": {"certificate-authority-data": 12345}}, "certificate-authority-data is not text"),
    ({"cluster": {"certificate-authority-data": "é"}}, "certificate-authority can't be read"),
    ({"cluster": {"certificate-authority": 12345}}, "certificate-authority is not text"),
    ({"cluster": {"tls-server-name": 12345}}, "tls-server-name is not text"),
    ({"cluster": {"server": "https://[::1"}}, "not an http"),
    ({"cluster": {"server": "https://"}}, "not an http"),
    ({"cluster": {"proxy-url": 12345}}, "proxy-url is not text"),
    ({"cluster": {"proxy-url": "socks5://team:24680@proxy:1080"}}, "proxy-url"),
    ({"cluster": {"proxy-url": "http://team:24680@pro xy:1080"}}, "proxy-url"),
])  # fmt: skip
def test_a_kubeconfig_of_another_shape_is_none_and_says_where(
    change: dict[str, Any], message: str, tmp_path: pathlib.Path
) -> None:
    document = yaml.safe_load(
        kubeconfigs.written(tmp_path / "config", "https://127.0.0.1:1", {"token": "plain"}).read_text()
    )
    document["clusters"][0]["cluster"] |= change.pop("cluster", {})
    with pytest.raises(errors.ClusterUnavailable, match=message) as caught:
        kubeconfigs.connect(json.dumps(document | change))
    assert caught.value.hint
    assert "24680" not in caught.value.message + caught.value.hint


def test_a_date_that_is_none_makes_it_no_yaml() -> None:
    with pytest.raises(errors.ClusterUnavailable, match="not YAML"):
        kubeconfigs.connect("clusters: []\nsince: 1234-56-78\n")


@pytest.mark.parametrize(
    ("server", "proxied"),
    [
        ("https://10.1.2.3:6443", False),
        ("https://127.0.0.1:6443", False),
        ("https://localhost:6443", False),
        ("https://[::1]:6443", False),
        ("https://api.corp.test", False),
        ("https://11.1.2.3:6443", True),
        ("https://cluster.test", True),
    ],
)
def test_networks_and_this_machine_need_no_proxy_as_for_kubectl(
    server: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, .corp.test")
    assert bool(transport._proxy_of(server)) == proxied


@pytest.mark.parametrize(
    ("proxy", "message"), [("127.0.0.1:1", "connection refused"), ("socks5://127.0.0.1:1", "HTTPS_PROXY")]
)
def test_a_proxy_of_the_environment_is_read_as_kubectl_does(
    proxy: str, message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(errors.ClusterUnavailable, match=message):
        kubeconfigs.connect(
            kubeconfigs.written(tmp_path / "config", "https://cluster.test", {"token": "plain"})
        ).version()
