"""What changes on the node when policies have to hold."""

import json
import pathlib
import tomllib

import pytest

from k8s_ee_sandbox import cluster_api, cluster_profiles, network, node_cilium, node_config, state
from k8s_ee_sandbox import node_programs as programs

_NET = network.Network(name="dev", slot=1)


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> programs.Site:
    monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path))
    where = state.place("dev")
    where.run.mkdir(parents=True)
    made = tmp_path / "cilium"
    (made / "bpf").mkdir(parents=True)
    (made / "bpf" / "bpf_lxc.c").touch()
    (made / "crds.json").write_text(json.dumps([{"kind": "CustomResourceDefinition"}]))
    node_config.write(where, _NET, containerd=made, cilium=made)
    return programs.Site(where=where, net=_NET, kube=pathlib.Path("/kube"), containerd=made, cilium=made)


def test_only_the_agent_configures_the_network_of_pods(site: programs.Site) -> None:
    containerd = tomllib.loads((site.where.conf / "containerd.toml").read_text())
    cni = containerd["plugins"]["io.containerd.grpc.v1.cri"]["cni"]
    assert cni["bin_dir"] == f"{site.cilium}/bin"
    assert list((site.where.conf / "cni").iterdir()) == []
    (agent,) = node_cilium.programs(site)
    (written,) = (flag for flag in agent.argv if flag.startswith("--write-cni-conf-when-ready="))
    assert written.partition("=")[2].startswith(f"{cni['conf_dir']}/")


def test_the_agent_finds_the_compiler_beside_itself_and_its_sources_where_it_may_write(site: programs.Site) -> None:
    node_cilium.write(site)
    (agent,) = node_cilium.programs(site)
    assert agent.env["PATH"].split(":")[0] == f"{site.cilium}/bin"
    (library,) = (flag.partition("=")[2] for flag in agent.argv if flag.startswith("--lib-dir="))
    assert pathlib.Path(library).is_relative_to(site.where.run)
    assert (pathlib.Path(library) / "bpf" / "bpf_lxc.c").exists()


def test_profile_policy_is_profile_node_and_one_program_more(site: programs.Site) -> None:
    node, policy = (cluster_profiles.find(name) for name in ("node", "policy"))
    ready = pathlib.Path("/ready")
    assert policy.programs(site, ready) == [*node.programs(site, ready), *node_cilium.programs(site)]
    assert policy.manifests == node.manifests
    assert set(policy.artifacts) - set(node.artifacts) == {"cilium"}


def test_the_kinds_are_applied_for_the_whole_cluster(site: programs.Site) -> None:
    (definition,) = node_cilium.definitions(site)
    definition |= {"apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "ciliumnodes.cilium.io"}}
    path = cluster_api.path_of(definition)
    assert path == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ciliumnodes.cilium.io"
