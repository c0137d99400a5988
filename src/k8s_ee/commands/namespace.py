"""create-namespace: the namespace and its fence, complete before any pod can exist."""

from __future__ import annotations

import functools
from typing import Any

from k8s_ee import environment, errors, outcome, plan
from k8s_ee.cluster import namespaces, pool
from k8s_ee.commands import admission, databases, reporting, room, session

FENCE = plan.manager(plan.FENCE)


Manifest = dict[str, Any]


def create_namespace(ctx: session.Session) -> outcome.Outcome:
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("create-namespace", refusal)
    queued = room.enter(ctx, "create-namespace")
    if queued:
        return queued
    ensured = fence(ctx)
    reporting.begin(ctx, "create-namespace", phase="namespace")
    outputs = {
        "namespace": ctx.target().namespace,
        "created": str(ensured.created).lower(),
        "uid": ensured.observed.uid,
        "url": ctx.target().url,
    }
    state: outcome.State = "planned" if ctx.options.dry_run else "deploying"
    data = {"plan": plan.summary(ctx.target(), ctx.config, ctx.platform)}
    return ctx.result("create-namespace", state, outputs=outputs, data=data)


def fence(ctx: session.Session) -> namespaces.Ensured:
    """Namespace, then everything that limits it, side by side; raises what `cluster` raises.

    Each answer of the API server is the object as stored, so what is returned was verified, not hoped for.
    """
    target, platform = ctx.target(), ctx.platform
    manifest = plan.namespace(target, platform)
    with ctx.phase("namespace"):
        with pool.beside(functools.partial(_read_platform, ctx)) as pull_secrets:
            ensured = _ensure(ctx, manifest)
        copies = pull_secrets()
        if ctx.options.dry_run and ensured.created:
            return ensured  # nothing was created, so there is nothing to put the rest into
        manifests = plan.fence(target, ctx.config, platform)
        if not ensured.created:
            manifests = tuple(_with_room_for_what_runs(ctx, one) for one in manifests)
        put = functools.partial(ctx.cluster.apply, manager=FENCE, namespace=target.namespace)
        pool.side_by_side([functools.partial(put, manifests), functools.partial(put, copies)])
    return ensured


def _ensure(ctx: session.Session, manifest: Manifest) -> namespaces.Ensured:
    try:
        ensured = namespaces.ensure(ctx.cluster, manifest, ctx.target(), ctx.deadline)
    except BaseException:
        room.leave(ctx)
        raise
    ctx.observed, ctx.fresh = ensured.observed, ensured.created
    room.settle(ctx)
    return ensured


def _read_platform(ctx: session.Session) -> list[Manifest]:
    """Copies of its pull secrets. Raises Unavailable without an ingress controller, InputError for a missing Secret."""
    with pool.beside(functools.partial(_ingress_controller_is_there, ctx)) as controller:
        names = ctx.platform.image_pull_secrets
        copies = pool.side_by_side([functools.partial(_pull_secret, ctx, name) for name in names])
    controller()
    return copies


def _with_room_for_what_runs(ctx: session.Session, manifest: Manifest) -> Manifest:
    if manifest["kind"] != "ResourceQuota":
        return manifest
    wanted, present = _quotas(ctx, manifest)
    running = [one["metadata"]["name"] for one in ctx.cluster.list("StatefulSet", ctx.target().namespace)]
    return plan.widened(plan.beside(wanted, ctx.config, running), present)


def _quotas(ctx: session.Session, manifest: Manifest) -> tuple[Manifest, Manifest]:
    """What it is to be, with the volumes that are kept, and what it is."""
    namespace = ctx.target().namespace
    claims = ctx.cluster.list("PersistentVolumeClaim", namespace)
    present = ctx.cluster.get("ResourceQuota", manifest["metadata"]["name"], namespace)
    return plan.holding(manifest, ctx.config, claims), present or {}


def settle(ctx: session.Session) -> None:
    """After a rollout nothing of an earlier config runs any more: the quota is what this one needs, and what only the
    earlier one was allowed is closed. Before that, the version that serves may need it."""
    manifests, namespace = plan.fence(ctx.target(), ctx.config, ctx.platform), ctx.target().namespace
    (quota,) = (one for one in manifests if one["kind"] == "ResourceQuota")
    wanted, present = _quotas(ctx, quota)
    if plan.widened(wanted, present) != wanted:
        ctx.cluster.apply((wanted,), manager=FENCE, namespace=namespace)
    ctx.cluster.prune(namespace, plan.FENCE, FENCE, databases.names(manifests))


def _ingress_controller_is_there(ctx: session.Session) -> None:
    """A policy that admits nobody looks like a broken app; say so before anything is deployed."""
    if not ctx.config.ingress.enabled:
        return
    wanted = ctx.platform.ingress
    pods = ctx.cluster.list("Pod", namespace=wanted.namespace, labels=dict(wanted.pod_labels))
    if not any(pod.get("status", {}).get("phase") == "Running" for pod in pods):
        labels = ",".join(f"{key}={value}" for key, value in wanted.pod_labels.items())
        raise errors.Unavailable(
            f"no running ingress controller: no pod in namespace {wanted.namespace} has the labels {labels}",
            hint="platform settings: ingress.namespace and ingress.podLabels must match the controller's pods",
        )


def _pull_secret(ctx: session.Session, name: str) -> Manifest:
    """As it is to be in the environment."""
    home = ctx.platform.pull_secrets_namespace
    source = ctx.cluster.get("Secret", name, home)
    if source is None:
        raise errors.InputError(
            f"platform settings name the pull secret {name}, which namespace {home} does not have",
            hint=f"kubectl -n {home} create secret docker-registry {name} …",
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": source["type"],
        "metadata": {"name": name, "labels": {environment.MANAGED_BY: environment.MANAGER}},
        "data": source["data"],
    }
