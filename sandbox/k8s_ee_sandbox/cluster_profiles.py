"""How much of a cluster runs. Another profile is one more entry here."""

import contextlib
import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Iterator

from k8s_ee_sandbox import errors, node, node_cilium, node_config, node_programs

# Program → Debian package. By program: runc may come from Docker's packages, which exclude Debian's.
_HOST_PROGRAMS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}
_POD_PROGRAMS = {
    "runc": "runc",
    f"{node_config.CNI_PLUGINS}/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
}

_POLICY_PROGRAMS = {"clang-19": "clang-19", node_cilium.LOOPBACK: "containernetworking-plugins"}

# What pods of environments run.
_IMAGES = ("base", "postgresql", "mariadb", "valkey", "mongodb", "minio")


@dataclasses.dataclass(frozen=True)
class Profile:
    """`programs` gets the site and the file that appears once the images are there; `images` are in its registry."""

    name: str
    programs: Callable[[node_programs.Site, pathlib.Path], list[node_programs.Program]]
    runs_pods: bool
    artifacts: tuple[str, ...]
    host_programs: dict[str, str]  # program → Debian package
    manifests: tuple[str, ...]
    deployments: tuple[tuple[str, str], ...] = ()  # namespace and name of what has to be available
    mounts: tuple[node.Mount, ...] = ()
    images: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All artefacts that it is made of."""
        return (*self.artifacts, *(f"image-{name}" for name in self.images))

    def missing_packages(self) -> list[str]:
        return sorted({package for program, package in self.host_programs.items() if not shutil.which(program)})


def _control_plane(site: node_programs.Site, _: pathlib.Path) -> list[node_programs.Program]:
    return node_programs.control_plane(site)


def _whole_node(site: node_programs.Site, images_ready: pathlib.Path) -> list[node_programs.Program]:
    return [*node_programs.control_plane(site), *node_programs.workers(site, images_ready=images_ready)]


def _node_with_policies(site: node_programs.Site, images_ready: pathlib.Path) -> list[node_programs.Program]:
    return [*_whole_node(site, images_ready), *node_cilium.programs(site)]


_NODE = Profile(
    name="node",
    programs=_whole_node,
    runs_pods=True,
    artifacts=("kube", "containerd", "image-kube", "image-pause", "crane"),
    host_programs={**_HOST_PROGRAMS, **_POD_PROGRAMS},
    manifests=("base", "storage", "dns", "ingress"),
    deployments=(("kube-system", "coredns"), ("ingress", "ingress")),
    images=_IMAGES,
)

_PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="api",
            programs=_control_plane,
            runs_pods=False,
            artifacts=("kube",),
            host_programs=_HOST_PROGRAMS,
            manifests=("base",),
        ),
        _NODE,
        dataclasses.replace(
            _NODE,
            name="policy",
            programs=_node_with_policies,
            artifacts=(*_NODE.artifacts, "cilium"),
            host_programs={**_NODE.host_programs, **_POLICY_PROGRAMS},
            mounts=(node.Mount("bpf", "bpf", "/sys/fs/bpf"),),
        ),
    )
}


def names() -> list[str]:
    return sorted(_PROFILES)


def find(name: str, *, images: tuple[str, ...] | None = None) -> Profile:
    """With these images alone, where some are given. Raises SandboxError for a name that is none."""
    if name not in _PROFILES:
        raise errors.SandboxError(f"no profile is called {name!r}", hint=f"There are: {', '.join(names())}.")
    found = _PROFILES[name]
    return found if images is None else dataclasses.replace(found, images=images)


@contextlib.contextmanager
def replaced(profile: Profile) -> Iterator[None]:
    """Within it this process starts clusters of that name in another way: for measurements."""
    before = find(profile.name)
    _PROFILES[profile.name] = profile
    try:
        yield
    finally:
        _PROFILES[profile.name] = before
