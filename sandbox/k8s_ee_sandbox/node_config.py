"""Configuration files of the parts that are not told everything on their command line."""

import json
import pathlib
from typing import Any

from k8s_ee_sandbox import artifacts_images, network, node_cgroups, pki, state

REGISTRY_PORT = 5000
CNI_PLUGINS = "/usr/lib/cni"  # of Debian and Ubuntu
_MAX_PODS = 250


def write(
    where: state.Place,
    net: network.Network,
    *,
    containerd: pathlib.Path | None = None,
    cilium: pathlib.Path | None = None,
) -> None:
    """`containerd` and `cilium` are folders of their programs. Cilium's agent configures the network of pods itself."""
    where.conf.mkdir()
    _write_json(where.conf / "kubelet.json", _kubelet(where, net))
    _write_json(where.conf / "kube-proxy.json", _kube_proxy(where, net))
    (where.conf / "cni").mkdir()
    if not cilium:
        _write_json(where.conf / "cni" / "10-k8s-ee.conflist", _cni(net))
    plugins = str(cilium / "bin") if cilium else CNI_PLUGINS
    if containerd:
        (where.conf / "containerd.toml").write_text(_containerd(where, programs=containerd, cni_plugins=plugins))
    (where.conf / "resolv.conf").write_text(f"nameserver {net.internet}\n")
    _write_registry_host(where.conf / "registries", net)


def _write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _write_registry_host(folder: pathlib.Path, net: network.Network, *, authorization: str = "") -> None:
    address = f"{net.node}:{REGISTRY_PORT}"
    lines = [f'server = "http://{address}"', f'[host."http://{address}"]', 'capabilities = ["pull", "resolve"]']
    if authorization:
        lines += [f'[host."http://{address}".header]', f'authorization = "{authorization}"']
    file = folder / address / "hosts.toml"
    file.parent.mkdir(parents=True)
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")


def write_registry_login(where: state.Place, net: network.Network, *, authorization: str) -> pathlib.Path:
    """For our own pulls: containerd itself gets no login, so that pods need their pull secrets."""
    folder = where.conf / "registries-with-login"
    _write_registry_host(folder, net, authorization=authorization)
    return folder


def _kubelet(where: state.Place, net: network.Network) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(where.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(where.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(where.pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node_cgroups.path(net.name),
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [net.dns_service],
        "clusterDomain": pki.DOMAIN,
        "resolvConf": str(where.conf / "resolv.conf"),
        "podLogsDir": str(where.logs / "pods"),
        "volumePluginDir": "/run/kubelet-volume-plugins",
        "maxPods": _MAX_PODS,
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        # A full disk of the host must neither evict pods nor delete the images that no registry has.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
    }


def _kube_proxy(where: state.Place, net: network.Network) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(net.pods),
        "hostnameOverride": net.name,
        "clientConnection": {"kubeconfig": str(where.pki / "kube-proxy.kubeconfig"), "qps": 50, "burst": 100},
        "iptables": {"minSyncPeriod": "100ms"},
        # The kernel has these once, for all namespaces: they are the host's.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _cni(net: network.Network) -> dict[str, Any]:
    # Each pod on a routed link of its own: a bridge would need br_netfilter for Services between its pods.
    plugin = {
        "type": "ptp",
        "mtu": 1400,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni/addresses",
            "ranges": [[{"subnet": str(net.node_pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "k8s-ee", "plugins": [plugin]}


def _containerd(where: state.Place, *, programs: pathlib.Path, cni_plugins: str) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc can't lower the score, and no pod would start.
    return f"""\
version = 2
root = "{where.containerd}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{artifacts_images.tag("pause")}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "/run/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{programs / "containerd-shim-runc-v2"}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{where.conf / "registries"}"
"""
