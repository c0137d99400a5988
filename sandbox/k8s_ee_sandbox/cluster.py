"""Bring a cluster up, take it down, say how it is."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import secrets
import shutil
import sys
from typing import Any

from k8s_ee_sandbox import (
    artifacts,
    artifacts_images,
    cache,
    cluster_api,
    cluster_images,
    cluster_profiles,
    cluster_ready,
    errors,
    manifests,
    network,
    node,
    node_cgroups,
    node_cilium,
    node_config,
    node_programs,
    packages,
    pki,
    state,
)
from k8s_ee_sandbox import progress as progress_lines

PLATFORM_NAMESPACE = "k8s-ee-system"
INGRESS_NAMESPACE = "ingress"
INGRESS_CLASS = "sandbox"
_REGISTRY_USER = "sandbox"


@dataclasses.dataclass(frozen=True)
class Sandbox:
    """A running cluster. Without pods (profile api) `registry` and `ingress_address` are empty."""

    name: str
    profile: str
    kubeconfig: pathlib.Path
    api_url: str
    registry: str  # IP:port
    registry_user: str
    registry_password: str = dataclasses.field(repr=False)
    ingress_address: str  # IP:port
    domain: str
    platform_namespace: str
    images: dict[str, str]  # name → registry/name@sha256:…
    logs: pathlib.Path
    internet_namespace: str  # network namespace that the node's default route leads to

    def to_json(self) -> dict[str, Any]:
        return {
            key: str(value) if isinstance(value, pathlib.Path) else value
            for key, value in dataclasses.asdict(self).items()
        }


def up(name: str, profile: str, progress: progress_lines.Progress, *, images: tuple[str, ...] | None = None) -> Sandbox:
    """Returns when everything serves; at once if it already does. Raises SandboxError.

    `images` leaves out what of the profile's is not needed: each takes a minute or more to build.
    """
    wanted = cluster_profiles.find(profile, images=images)
    where = state.place(name)
    _check_host()
    with cache.locked(f"sandbox-{name}"):
        running = state.read(where)
        if running and running.complete and state.alive(running):
            with contextlib.suppress(node.NodeEndedError):  # just now: start it again
                return _still_up(where, running, wanted)
        os.umask(0o022)  # What runs in it is not root, and reads what is made here; secrets are made for root alone.
        packages.ensure(*wanted.missing_packages(), progress=progress)
        parts = artifacts.ensure(*wanted.parts, progress=progress)
        with progress.step(f"cluster {name}: profile {profile}"):
            return _start(where, wanted, parts=parts)


def down(name: str, progress: progress_lines.Progress) -> None:
    """Leaves nothing but the image store in the cache. Fine if there is nothing. Raises SandboxError."""
    where = state.place(name)
    _check_host()
    with cache.locked(f"sandbox-{name}"), progress.step(f"cluster {name}: taking it down"):
        _clear(where)


def status(name: str) -> Sandbox | None:
    """None unless it runs."""
    where = state.place(name)
    running = state.read(where)
    return _sandbox(where, running) if running and running.complete and state.alive(running) else None


def _check_host() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise errors.SandboxError(
            "the embedded cluster needs Linux and root", hint="Or use an existing cluster with --context."
        )


def _still_up(where: state.Place, running: state.State, wanted: cluster_profiles.Profile) -> Sandbox:
    if difference := _difference(running, wanted):
        raise errors.SandboxError(
            f"sandbox {running.name} runs {difference}",
            hint="Take it down first, or give the other one another --name.",
        )
    net = network.Network(name=running.name, slot=running.slot)
    cluster_ready.Ready(where, net, running=running, profile=wanted).wait()
    return _sandbox(where, running)


def _difference(running: state.State, wanted: cluster_profiles.Profile) -> str:
    """In words; empty when it will do."""
    if running.profile != wanted.name:
        return f"with profile {running.profile}, not {wanted.name}"
    missing = sorted(set(wanted.images) - set(running.images))
    return f"without the images {', '.join(missing)}" if missing else ""


def _sandbox(where: state.Place, running: state.State) -> Sandbox:
    net = network.Network(name=running.name, slot=running.slot)
    pods = cluster_profiles.find(running.profile).runs_pods
    return Sandbox(
        name=running.name,
        profile=running.profile,
        kubeconfig=where.kubeconfig,
        api_url=f"https://{net.node}:6443",
        registry=f"{net.node}:{node_config.REGISTRY_PORT}" if pods else "",
        registry_user=running.registry_user,
        registry_password=running.registry_password,
        ingress_address=f"{net.node}:80" if pods else "",
        domain=f"{running.name}.preview.test",
        platform_namespace=PLATFORM_NAMESPACE,
        images=running.images,
        logs=where.logs,
        internet_namespace=net.internet_namespace,
    )


def _clear(where: state.Place) -> None:
    """Also after a crash at any point: what is looked for are names, not memories."""
    node.check_not_elsewhere(where)
    running = state.read(where)
    if running:
        node.stop(running)
    node.stop_strays(where.name)
    network.remove(where.name)
    node_cgroups.remove(where.name)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(where.run)


def _start(where: state.Place, profile: cluster_profiles.Profile, *, parts: dict[str, pathlib.Path]) -> Sandbox:
    _clear(where)
    _make_folders(where)
    with cache.locked("sandbox-addresses"):
        net = network.choose(where.name)
        network.create(net)
    site = node_programs.Site(
        where=where, net=net, kube=parts["kube"], containerd=parts.get("containerd"), cilium=parts.get("cilium")
    )
    running = _launch(site, profile)
    try:
        running = dataclasses.replace(running, complete=True, images=_fill(site, profile, running, parts=parts))
    except BaseException:
        node.stop(running)  # half a cluster is of no use, and its logs stay
        raise
    state.write(where, running)
    return _sandbox(where, running)


def _make_folders(where: state.Place) -> None:
    inside = [where.run / folder for folder in ("kubelet", "volumes", "logs", "logs/pods", "pki")]
    for folder in (where.run, *inside, where.containerd, where.registry):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache.set_apart(where.run / "volumes")


def _launch(site: node_programs.Site, profile: cluster_profiles.Profile) -> state.State:
    where, net = site.where, site.net
    password = secrets.token_urlsafe(24)
    node_cgroups.create(where.name)
    pki.create(where, net, kube=site.kube)
    pki.write_registry_login(where, user=_REGISTRY_USER, password=password)
    node_config.write(where, net, containerd=site.containerd, cilium=site.cilium)
    node_cilium.write(site)
    node.forget_containers(site)
    programs = profile.programs(site, where.run / "images-ready")
    mounts = [*node.mounts(where), *profile.mounts]
    pid = node.start(site, node.Plan(mounts=mounts, processes=programs, logs=str(where.logs)))
    running = state.State(
        name=where.name,
        profile=profile.name,
        slot=net.slot,
        pid=pid,
        started=state.started(pid) or "",
        registry_user=_REGISTRY_USER,
        registry_password=password,
    )
    state.write(where, running)
    return running


def _fill(
    site: node_programs.Site,
    profile: cluster_profiles.Profile,
    running: state.State,
    *,
    parts: dict[str, pathlib.Path],
) -> dict[str, str]:
    """The images in the registry: name → reference."""
    ready = cluster_ready.Ready(site.where, site.net, running=running, profile=profile)
    images = cluster_images.Images(site.where, site.net, running=running, parts=parts)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        loading = pool.submit(images.load) if profile.runs_pods else None
        ready.wait_for_api()
        _apply(ready.client, profile, site=site)
        if loading:
            loading.result()
    ready.wait()
    return images.publish(profile.images) if profile.runs_pods else {}


def _apply(client: cluster_api.Client, profile: cluster_profiles.Profile, *, site: node_programs.Site) -> None:
    for definition in node_cilium.definitions(site):
        client.apply(definition)
    net = site.net
    values = {
        "dns_address": net.dns_service,
        "dns_domain": pki.DOMAIN,
        "ingress_class": INGRESS_CLASS,
        "ingress_namespace": INGRESS_NAMESPACE,
        "kube_image": artifacts_images.tag("kube"),
        "node_address": net.node,
        "platform_namespace": PLATFORM_NAMESPACE,
        "provisioner": node_programs.PROVISIONER,
    }
    for name in profile.manifests:
        for manifest in manifests.read(name, values):
            client.apply(manifest)
            if manifest["kind"] == "Service" and manifest["spec"].get("type") == "LoadBalancer":
                # There is no cloud that would do it.
                client.patch_status(manifest, {"loadBalancer": {"ingress": [{"ip": net.node}]}})
