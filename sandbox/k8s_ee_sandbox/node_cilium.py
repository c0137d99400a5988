"""The node's network when policies have to hold: Cilium's agent, in place of plain links and their CNI plugin."""

import json
import pathlib
import shutil
from typing import Any

from k8s_ee_sandbox import node_programs

LOOPBACK = "/usr/lib/cni/loopback"  # of Debian; containerd looks for all plugins in one folder
_UNIFIED = pathlib.Path("/sys/fs/cgroup/unified")  # where both hierarchies are mounted


def write(site: node_programs.Site) -> None:
    """The agent compiles from a copy of its own: it adds to it what it finds out about the kernel."""
    if site.cilium:
        shutil.copytree(site.cilium / "bpf", _library(site) / "bpf")


def definitions(site: node_programs.Site) -> list[dict[str, Any]]:
    """Its kinds. The agent waits for them; the operator, which would make them, does not run here."""
    if not site.cilium:
        return []
    found: list[dict[str, Any]] = json.loads((site.cilium / "crds.json").read_text())
    return found


def programs(site: node_programs.Site) -> list[node_programs.Program]:
    return [_agent(site, site.cilium)] if site.cilium else []


def _agent(site: node_programs.Site, cilium: pathlib.Path) -> node_programs.Program:
    programs = cilium / "bin"
    return node_programs.Program(
        name="cilium-agent",
        argv=[str(programs / "cilium-agent"), *_flags(site)],
        waitFor=[node_programs.API_READY],
        env={
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "K8S_NODE_NAME": site.net.name,
            "CILIUM_K8S_NAMESPACE": "kube-system",
        },
    )


def _flags(site: node_programs.Site) -> list[str]:
    return [
        f"--k8s-kubeconfig-path={site.pki('admin.kubeconfig')}",
        f"--lib-dir={_library(site)}",
        f"--cgroup-root={_UNIFIED if _UNIFIED.exists() else _UNIFIED.parent}",
        # Until it is there the node is not ready: no pod starts before its policies can be enforced.
        "--write-cni-conf-when-ready=/run/cni/net.d/10-cilium.conflist",
        "--ipam=kubernetes",
        "--routing-mode=native",
        f"--ipv4-native-routing-cidr={site.net.pods}",
        "--devices=eth0",
        "--enable-ipv6=false",
        "--enable-ipv4-masquerade=false",  # what stands for the internet has routes back
        "--kube-proxy-replacement=false",
        "--enable-l7-proxy=true",
        "--external-envoy-proxy=true",  # and there is none: host names are filtered, HTTP is not
        "--enable-hubble=true",
        "--hubble-disable-tls=true",
        "--enable-health-checking=false",
        "--enable-endpoint-health-checking=false",
    ]


def _library(site: node_programs.Site) -> pathlib.Path:
    return site.where.run / "cilium"
