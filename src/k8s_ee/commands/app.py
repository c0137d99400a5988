"""deploy-app: migrate, roll out, and be reachable at this commit; else leave the version that serves alone."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from k8s_ee import environment, errors, helm, outcome, plan, probe
from k8s_ee.cluster import migrating, objects, pool, routing, sleeping, waiting
from k8s_ee.commands import admission, build, cleanup, databases, external, logins, reporting, room, seeds, session
from k8s_ee.commands import namespace as namespaces
from k8s_ee.config import fit

Manifest = dict[str, Any]

IMAGE = re.compile(rf"{build.REPOSITORY.pattern}(:{build.TAG.pattern})?@{build.DIGEST.pattern}", re.ASCII)


def deploy_app(ctx: session.Session, *, image: str) -> outcome.Outcome:
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("deploy-app", refusal)
    databases.require_namespace(ctx)
    image = named(ctx, image)
    if ctx.observed and sleeping.is_stopped(ctx.observed):
        room.wake(ctx, ctx.observed)
        sleeping.wake_databases(ctx.cluster, ctx.observed)
    started = time.monotonic()
    passwords = logins.of_config(ctx)
    reporting.begin(ctx, "deploy-app", phase="app")
    for engine, login in passwords.items():
        logins.resume(ctx, plan.ENGINES[engine], login)
    release = render(ctx, image=image, passwords=passwords)
    if ctx.options.dry_run:
        apply(ctx, list(release))
        databases.retire(ctx)
        return ctx.result("deploy-app", "planned", outputs={"url": ctx.target().url})
    external.wait(ctx)
    seeds.require_whole(ctx)
    migrate(ctx, release)
    roll_out(ctx, release)
    return finish(ctx, release, command="deploy-app", started=started)


def named(ctx: session.Session, image: str) -> str:
    """By REGISTRY/NAME and digest; of a digest alone it is what `build` pushed. Raises what `check_image` raises.

    A digest is never mistaken for a secret, as a name may be that has a user's in it: then GitHub hands on only that.
    """
    if not image:
        raise errors.InputError(
            "no image was handed on",
            hint="it is REGISTRY/NAME@sha256:… as the build prints it. GitHub drops a job's output that has the "
            "value of a secret in it, as that of a registry user whose name is part of the image's: keep the user name "
            "in a variable (vars) instead of a secret, or hand on the build's `digest` as the image",
        )
    repository = build.own_repository(ctx) if build.DIGEST.fullmatch(image) else ""
    image = f"{repository}@{image}" if repository else image
    check_image(ctx, image)
    return image


def check_image(ctx: session.Session, image: str) -> None:
    """Raises InputError for anything but a digest, Refused for a registry the platform does not list."""
    if not IMAGE.fullmatch(image):
        raise errors.InputError(
            f"image {image!r} is not a reference by digest", hint="REGISTRY/NAME@sha256:… as the build prints it"
        )
    if not fit.from_registry(image, ctx.platform):
        allowed = ", ".join(ctx.platform.registries) or "none"
        raise errors.Refused(
            f"images may not come from {image.split('@', maxsplit=1)[0]}",
            hint=f"platform settings allow: {allowed} (registries)",
        )


def render(ctx: session.Session, *, image: str, passwords: Mapping[str, Manifest]) -> tuple[Manifest, ...]:
    """`passwords`: logins of databases, as `logins.read` gives them."""
    deployed = [plan.ENGINES[one.engine] for one in ctx.config.deployed]
    secrets = {one.name: logins.named(one, passwords.get(one.name)) for one in deployed}
    component = plan.app(ctx.target(), ctx.config, ctx.platform, image=image, database_secrets=secrets)
    return helm.render(component, namespace=ctx.target().namespace, kube_version=ctx.cluster.version())


def begin(ctx: session.Session, release: tuple[Manifest, ...]) -> None:
    """Starts what may be started before the databases are ready: the migration if there is one, else the app itself."""
    jobs = _jobs(release)
    if jobs:
        _make_room(ctx, jobs)
        ctx.migrating = jobs
    kinds = {"Job", "ConfigMap"} if jobs else {one["kind"] for one in release} - {"Ingress"}
    apply(ctx, [one for one in release if one["kind"] in kinds])


def migrate(ctx: session.Session, release: tuple[Manifest, ...]) -> None:
    """Runs the migration Job of this commit to its end; the version that serves is not touched until it succeeded."""
    if _jobs(release):
        with ctx.phase("migration"):
            while not _migrated(ctx, release):
                ctx.say("a password was changed meanwhile: the migration begins anew")
    elif not ctx.fresh:
        _make_room(ctx, [])


def _migrated(ctx: session.Session, release: tuple[Manifest, ...]) -> bool:
    """False when it failed, and had a password that does not hold any more."""
    given = logins.settled(ctx)
    wanted = plan.logins.reading(release, given)
    jobs = _jobs(wanted)
    if ctx.migrating != jobs:  # One that this very deploy began, and that failed by now, fails again.
        begin(ctx, wanted)
    try:
        # How long it may take is written on the Job, and of one that can't even start the cluster knows it.
        ctx.await_ready(ctx.target().namespace, [("Job", one["metadata"]["name"]) for one in jobs])
    except errors.NotReady:
        if logins.names(ctx, given) == given or time.monotonic() >= ctx.deadline:
            raise
        return False
    return True


def _make_room(ctx: session.Session, jobs: list[Manifest]) -> None:
    """What another deploy began to migrate ends before this one begins."""
    migrating.make_room(
        ctx.cluster,
        ctx.target().namespace,
        plan.APP,
        {one["metadata"]["name"] for one in jobs},
        deadline=ctx.deadline,
        progress=ctx.say,
    )


def roll_out(ctx: session.Session, release: tuple[Manifest, ...]) -> None:
    """Everything but the Ingress, until only this commit serves; then the Ingress."""
    namespace, target = ctx.target().namespace, ctx.target()
    with ctx.phase("rollout"):
        databases.require_namespace(ctx)  # A newer run may have come while this one migrated.
        given = logins.settled(ctx)
        try:
            _apply_app(ctx, [one for one in release if one["kind"] not in {"Job", "Ingress"}], given)
            seconds = ctx.config.rollout_seconds + 60
            ctx.await_ready(namespace, [("Deployment", plan.APP)], seconds=seconds, anew=not ctx.fresh)
            waiting.served(ctx.cluster, namespace, plan.APP, target.head_sha, deadline=ctx.deadline)
        except errors.NotReady:
            _put_back(ctx)
            raise
    with ctx.phase("ingress"):
        apply(ctx, [one for one in release if one["kind"] == "Ingress"])


def _forget_the_previous(ctx: session.Session, release: tuple[Manifest, ...]) -> None:
    prune = functools.partial(ctx.cluster.prune, ctx.target().namespace, plan.APP, plan.APP_MANAGER)
    ends: list[Callable[[], object]] = [
        functools.partial(databases.retire, ctx),
        functools.partial(namespaces.settle, ctx),
        functools.partial(prune, databases.names(release)),
    ]
    pool.side_by_side(ends)


def finish(ctx: session.Session, release: tuple[Manifest, ...], *, command: str, started: float) -> outcome.Outcome:
    """Asks the link, writes on the namespace what was proven, and then takes away what only the commit before needed.

    Raises NotReady if the link does not answer: the commit before can still be put back.
    """
    target = ctx.target()
    verified_from = "cluster"
    with pool.beside(functools.partial(databases.require_namespace, ctx)) as still_ours:
        if ctx.config.ingress.enabled:
            address = ctx.platform.ingress.address
            verified_from = reachable(ctx, target, path=ctx.config.app.health_path, address=address)
    still_ours()
    assert ctx.observed is not None  # noqa: S101 - that is what it looked at
    ctx.cluster.annotate(
        target.namespace,
        ctx.observed.uid,
        {
            environment.HEAD_SHA: target.head_sha,
            **dict.fromkeys((environment.DEPLOYED_AT, environment.ACTIVE_AT), ctx.now().isoformat(timespec="seconds")),
            **dict.fromkeys((environment.ASLEEP_SINCE, environment.REPLICAS)),
        },
    )
    if not ctx.fresh:
        _forget_the_previous(ctx, release)
    outputs = {
        "url": target.url,
        "ready": "true",
        "seconds": f"{time.monotonic() - started:.1f}",
        "sha": target.head_sha,
        "namespace": target.namespace,
    }
    return _unless_obsolete(ctx) or ctx.result(
        command, "ready", outputs=outputs, serving_sha=target.head_sha, verified_from=verified_from
    )


def _unless_obsolete(ctx: session.Session) -> outcome.Outcome | None:
    """A run that finds its pull request closed in the end cleans up after itself: the close may have come too early."""
    decision = admission.obsolete(ctx)
    if decision is None:
        return None
    if decision.kind == "closed":
        ctx.notes.append("the pull request was closed while it was being deployed")
        ended = cleanup.cleanup(ctx, project=ctx.config.project, closed=True)
        return None if ended.state == "skipped" else ended
    ctx.notes.append(decision.reason)
    return None


def reachable(ctx: session.Session, target: environment.Environment, *, path: str, address: str) -> str:
    """From where the link was seen to answer 2xx. Raises NotReady when it answers something else."""
    with ctx.phase("link"):
        answer = probe.until_ready(
            target, path=path, address=address, deadline=min(ctx.deadline, time.monotonic() + 60)
        )
    if answer.ready:
        return "runner"
    if not answer.reached:
        ctx.notes.append(f"the link could not be tried from here: {answer.reason}")
        return "cluster"
    found = f"answered {answer.status}" if answer.status else answer.reason
    raise errors.NotReady(f"{target.url}{path} {found}", hint=_why_not(answer, target))


def _why_not(answer: probe.Answer, target: environment.Environment) -> str:
    """Of a link whose pods are ready."""
    if 300 <= answer.status < 400:
        return (
            "app.healthPath must answer 2xx itself: name what it leads to; or set `scheme` of the platform's settings"
        )
    if answer.untrusted:
        return f"the ingress controller has no certificate for *.{target.domain} that is trusted here"
    return "the pods are ready, so look at the ingress controller: its class, its log, its network policy"


def _put_back(ctx: session.Session) -> None:
    """Applies the pod template of the commit that was last proven ready, so that the next pod to start works.

    It is taken from its ReplicaSet: the Deployment may hold the template of a run that was cut off.
    """
    observed, namespace = ctx.observed, ctx.target().namespace
    good = observed.head_sha if observed else ""
    current = ctx.cluster.get("Deployment", plan.APP, namespace)
    if observed is None or not good or current is None:
        return
    # The one that failed may be of the same commit, built or configured anew.
    template = objects.template_of(ctx.cluster.list("ReplicaSet", namespace), good, but=objects.revision(current))
    if template is None:
        return
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": plan.APP, "labels": current["metadata"].get("labels", {})},
        "spec": {**current["spec"], "template": template},
    }
    _apply_app(ctx, [deployment], logins.names(ctx))
    now = "still serves"
    if sleeping.is_stopped(observed):
        sleeping.wake_databases(ctx.cluster, observed)  # also those that only this commit uses
        routing.reopen(ctx.cluster, namespace)
        now = "starts again"
    ctx.notes.append(f"commit {good[:7]} {now}; {ctx.target().head_sha[:7]} was taken back")


def _jobs(release: tuple[Manifest, ...]) -> list[Manifest]:
    return [one for one in release if one["kind"] == "Job"]


def apply(ctx: session.Session, manifests: list[Manifest]) -> None:
    ctx.cluster.apply(tuple(manifests), manager=plan.APP_MANAGER, namespace=ctx.target().namespace)


def _apply_app(ctx: session.Session, manifests: list[Manifest], given: Mapping[str, str]) -> None:
    """With the passwords that hold by now, which may not be those that it was rendered with."""
    apply(ctx, plan.logins.reading(manifests, given))
    logins.follow(ctx, given)
