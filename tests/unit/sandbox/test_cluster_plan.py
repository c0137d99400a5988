"""The launcher and the Go programs agree, though no compiler checks it."""

import dataclasses
import json
import pathlib
import re
import stat
import tomllib
from typing import Any

import pytest
import yaml

from k8s_ee_sandbox import (
    artifacts_images,
    cluster_api,
    cluster_profiles,
    errors,
    manifests,
    network,
    node,
    node_config,
    node_programs,
    sources,
    state,
)

_CONTAINERD = pathlib.Path("/containerd")
_NET = network.Network(name="dev", slot=1)


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> node_programs.Site:
    monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path))
    where = state.place("dev")
    where.run.mkdir(parents=True)
    node_config.write(where, _NET, containerd=_CONTAINERD)
    return node_programs.Site(where=where, net=_NET, kube=pathlib.Path("/kube"), containerd=_CONTAINERD)


def _go(name: str) -> str:
    return (sources.path("kube") / name).read_text()


def _tags(struct: str, source: str) -> set[str]:
    body = re.search(rf"type {struct} struct {{(.*?)\n}}", source, re.DOTALL)
    assert body
    return set(re.findall(r'json:"(\w+)"', body[1]))


def _fields(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_the_plan_has_the_keys_that_the_node_reads() -> None:
    assert _fields(node.Plan) == _tags("nodePlan", _go("node.go"))
    assert _fields(node.Mount) == _tags("mount", _go("node.go"))
    assert _fields(node_programs.Program) == _tags("program", _go("supervise.go"))


@pytest.mark.parametrize("profile", cluster_profiles.names())
def test_every_program_of_every_profile_is_in_the_binary(site: node_programs.Site, profile: str) -> None:
    known = set(re.findall(r'^\t"([a-z-]+)": ', _go("main.go"), re.MULTILINE))
    programs = cluster_profiles.find(profile).programs(site, pathlib.Path("/ready"))
    assert {program.argv[1] for program in programs if program.argv[0] == "/kube"} <= known


def test_the_binary_has_exactly_the_dns_plugins_that_the_corefile_uses() -> None:
    (config,) = (one for one in _manifests() if one["kind"] == "ConfigMap")
    used = re.findall(r"^    (\w+)", config["data"]["Corefile"], re.MULTILINE)
    assert set(used) == set(re.findall(r'coredns/plugin/(\w+)"', _go("dns.go")))


def test_the_api_server_runs_with_node_and_rbac_authorization(site: node_programs.Site) -> None:
    (server,) = (one for one in node_programs.control_plane(site) if one.name == "kube-apiserver")
    assert "--authorization-mode=Node,RBAC" in server.argv
    assert "--kubelet-preferred-address-types=InternalIP" in server.argv


def test_an_unknown_profile_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(errors.SandboxError, match="There are: api, node"):
        cluster_profiles.find("docker")


def test_a_profile_without_an_image_does_not_build_it() -> None:
    some = cluster_profiles.find("node", images=("base",))
    assert [part for part in some.parts if part not in some.artifacts] == ["image-base"]
    assert {"image-base", "image-mariadb"} < set(cluster_profiles.find("node").parts)


def test_a_full_disk_neither_evicts_pods_nor_deletes_images(site: node_programs.Site) -> None:
    kubelet = json.loads((site.where.conf / "kubelet.json").read_text())
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["evictionHard"]["imagefs.available"] == kubelet["evictionHard"]["nodefs.available"] == "0%"


def test_containerd_knows_the_registry_but_no_login(site: node_programs.Site) -> None:
    config = tomllib.loads((site.where.conf / "containerd.toml").read_text())
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == artifacts_images.tag("pause")
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["runtimes"]["runc"]["runtime_path"] == "/containerd/containerd-shim-runc-v2"
    (hosts,) = pathlib.Path(cri["registry"]["config_path"]).glob("*/hosts.toml")
    assert hosts.parent.name == "10.209.1.2:5000"
    assert "authorization" not in hosts.read_text()


def test_the_login_for_our_own_pulls_is_root_s_alone(site: node_programs.Site) -> None:
    folder = node_config.write_registry_login(site.where, _NET, authorization="Basic x")
    (hosts,) = folder.glob("*/hosts.toml")
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o600
    tomllib.loads(hosts.read_text())


def test_a_cache_that_the_node_would_hide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_EE_CACHE", "/var/lib/cache")
    with pytest.raises(errors.SandboxError, match="can't lie below /var/lib"):
        node.mounts(state.place("dev"))


def _manifests() -> list[dict[str, Any]]:
    names = re.findall(r"\$\{(\w+)\}", "".join(path.read_text() for path in sources.path("manifests").glob("*.yaml")))
    values = dict.fromkeys(names, "x")
    return [one for path in sources.path("manifests").glob("*.yaml") for one in manifests.read(path.stem, values)]


def test_every_manifest_file_is_used_by_a_profile() -> None:
    used = {name for profile in cluster_profiles.names() for name in cluster_profiles.find(profile).manifests}
    assert used == {path.stem for path in sources.path("manifests").glob("*.yaml")}


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="platform_namespace"):
        manifests.read("base", {})


def test_platform_pods_are_what_pod_security_restricted_admits() -> None:
    deployments = [one["spec"]["template"]["spec"] for one in _manifests() if one["kind"] == "Deployment"]
    assert len(deployments) == 2
    for pod in deployments:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ("{apiVersion: v1, kind: Namespace, metadata: {name: a}}", "/api/v1/namespaces/a"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}", "/api/v1/namespaces/b/services/a"),
        (
            "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}}",
            "/apis/networking.k8s.io/v1/ingressclasses/a",
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b}}",
            "/apis/apps/v1/namespaces/b/deployments/a",
        ),
    ],
)
def test_an_object_has_its_place_in_the_api(manifest: str, path: str) -> None:
    assert cluster_api.path_of(yaml.safe_load(manifest)) == path
