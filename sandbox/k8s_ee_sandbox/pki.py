"""Certificates of one sandbox, and the kubeconfigs that use them."""

import base64
import json
import pathlib
import subprocess

from k8s_ee_sandbox import errors, network, state

_TIMEOUT = 30
DOMAIN = "cluster.local"

# file → user/group
_CLIENTS = {
    "admin": "k8s-ee-sandbox-admin/system:masters",
    "apiserver-kubelet": "kube-apiserver-kubelet-client",
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "provisioner": "k8s-ee-sandbox-provisioner",
}


def create(where: state.Place, net: network.Network, *, kube: pathlib.Path) -> None:
    """Raises SandboxError if the certificates can't be made."""
    clients = {**_CLIENTS, "kubelet": f"system:node:{net.name}/system:nodes"}
    try:
        subprocess.run(
            [
                *(kube, "certs", "--folder", where.pki),
                *("--api", ",".join(_api_names(net)), "--kubelet", f"{net.name},{net.node}"),
                *("--clients", ",".join(f"{file}={subject}" for file, subject in clients.items())),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
    except subprocess.CalledProcessError as failed:
        raise errors.SandboxError(f"certificates could not be made: {failed.stderr.strip()}") from None
    for client in clients:
        _write_kubeconfig(where, client, server="https://127.0.0.1:6443", to=where.pki / f"{client}.kubeconfig")
    _write_kubeconfig(where, "admin", server=f"https://{net.node}:6443", to=where.kubeconfig)


def write_registry_login(where: state.Place, *, user: str, password: str) -> None:
    login = where.pki / "registry"
    login.touch(mode=0o600)
    login.write_text(f"{user}:{password}\n")


def _api_names(net: network.Network) -> list[str]:
    service = "kubernetes.default.svc"
    names = ["kubernetes", "kubernetes.default", service, f"{service}.{DOMAIN}", "localhost"]
    return [*names, "127.0.0.1", net.node, net.api_service]


def _write_kubeconfig(where: state.Place, client: str, *, server: str, to: pathlib.Path) -> None:
    def inline(file: str) -> str:
        return base64.b64encode((where.pki / file).read_bytes()).decode()

    name = where.name
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": inline("ca.crt")}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": inline(f"{client}.crt"),
                    "client-key-data": inline(f"{client}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    to.touch(mode=0o600)
    to.write_text(json.dumps(content, indent=2) + "\n")  # JSON is YAML
