"""What runs on the node: the command line of every part, and what each waits for."""

import dataclasses
import pathlib

from k8s_ee_sandbox import network, node_config, pki, state

PROVISIONER = "k8s-ee/directory"
_API = "tcp:127.0.0.1:6443"
API_READY = "https://127.0.0.1:6443/readyz"  # clients that come earlier are refused, and try again too late
_ETCD = "127.0.0.1:2379"
_CONTAINERD = "unix:/run/containerd/containerd.sock"


@dataclasses.dataclass(frozen=True)
class Program:
    """`waitFor` as in supervise.go: `tcp:HOST:PORT`, `unix:PATH`, `file:PATH`, `https://URL`."""

    name: str
    argv: list[str]
    waitFor: list[str] = dataclasses.field(default_factory=list)  # noqa: N815 -- a key of the plan
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    once: bool = False


@dataclasses.dataclass(frozen=True)
class Site:
    """Where the node's parts find everything."""

    where: state.Place
    net: network.Network
    kube: pathlib.Path
    containerd: pathlib.Path | None = None  # only where pods run
    cilium: pathlib.Path | None = None  # only where policies are enforced

    def pki(self, file: str) -> str:
        return str(self.where.pki / file)

    def program(self, name: str, *flags: str, wait_for: tuple[str, ...] = ()) -> Program:
        return Program(name=name, argv=[str(self.kube), name, *flags], waitFor=list(wait_for))


def control_plane(site: Site) -> list[Program]:
    return [_etcd(site), _api_server(site), _controller_manager(site)]


def workers(site: Site, *, images_ready: pathlib.Path) -> list[Program]:
    return [
        _scheduler(site),
        _containerd(site),
        _kubelet(site, images_ready=images_ready),
        site.program("kube-proxy", f"--config={site.where.conf / 'kube-proxy.json'}", wait_for=(API_READY,)),
        _provisioner(site),
        _registry(site),
    ]


def _etcd(site: Site) -> Program:
    return site.program(
        "etcd",
        f"--data-dir={site.where.run / 'etcd'}",
        f"--listen-client-urls=http://{_ETCD}",
        f"--advertise-client-urls=http://{_ETCD}",
        "--unsafe-no-fsync",  # every start begins empty
        "--log-level=warn",
    )


def _api_server(site: Site) -> Program:
    return site.program(
        "kube-apiserver",
        f"--etcd-servers=http://{_ETCD}",
        f"--advertise-address={site.net.node}",
        f"--service-cluster-ip-range={site.net.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={site.pki('ca.crt')}",
        f"--tls-cert-file={site.pki('apiserver.crt')}",
        f"--tls-private-key-file={site.pki('apiserver.key')}",
        f"--cert-dir={site.where.run / 'api-certs'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{pki.DOMAIN}",
        f"--service-account-key-file={site.pki('service-account.pub')}",
        f"--service-account-signing-key-file={site.pki('service-account.key')}",
        f"--kubelet-certificate-authority={site.pki('ca.crt')}",
        f"--kubelet-client-certificate={site.pki('apiserver-kubelet.crt')}",
        f"--kubelet-client-key={site.pki('apiserver-kubelet.key')}",
        "--kubelet-preferred-address-types=InternalIP",  # or exec and logs look the node's name up
        wait_for=(f"tcp:{_ETCD}",),
    )


def _controller_manager(site: Site) -> Program:
    kubeconfig = site.pki("kube-controller-manager.kubeconfig")
    return site.program(
        "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--root-ca-file={site.pki('ca.crt')}",  # or no pod trusts the API server
        f"--service-account-private-key-file={site.pki('service-account.key')}",
        f"--cluster-signing-cert-file={site.pki('ca.crt')}",
        f"--cluster-signing-key-file={site.pki('ca.key')}",
        "--use-service-account-credentials=true",
        f"--cluster-cidr={site.net.pods}",
        "--allocate-node-cidrs=true",
        f"--node-cidr-mask-size={site.net.node_pods.prefixlen}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--cert-dir={site.where.run / 'controller-manager-certs'}",
        wait_for=(API_READY,),
    )


def _scheduler(site: Site) -> Program:
    kubeconfig = site.pki("kube-scheduler.kubeconfig")
    return site.program(
        "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--cert-dir={site.where.run / 'scheduler-certs'}",
        wait_for=(API_READY,),
    )


def _containerd(site: Site) -> Program:
    assert site.containerd is not None  # noqa: S101 -- the profile asks for it
    program, config = site.containerd / "containerd", site.where.conf / "containerd.toml"
    return Program(name="containerd", argv=[str(program), "--config", str(config), "--log-level", "warn"])


def _kubelet(site: Site, *, images_ready: pathlib.Path) -> Program:
    return site.program(
        "kubelet",
        f"--config={site.where.conf / 'kubelet.json'}",
        f"--kubeconfig={site.pki('kubelet.kubeconfig')}",
        f"--hostname-override={site.net.name}",
        f"--node-ip={site.net.node}",
        "--root-dir=/var/lib/kubelet",
        wait_for=(_API, _CONTAINERD, f"file:{images_ready}"),
    )


def _provisioner(site: Site) -> Program:
    # Not a pod: it has to delete what pods wrote as any user.
    return site.program(
        "provisioner",
        f"--name={PROVISIONER}",
        f"--kubeconfig={site.pki('provisioner.kubeconfig')}",
        f"--root={site.where.run / 'volumes'}",
        f"--node={site.net.name}",
        wait_for=(API_READY,),
    )


def _registry(site: Site) -> Program:
    return site.program(
        "registry",
        f"--listen={site.net.node}:{node_config.REGISTRY_PORT}",
        f"--folder={site.where.registry}",
        f"--credentials={site.pki('registry')}",
    )
