"""deploy-db: every enabled database, side by side, until it answers an authenticated query."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from k8s_ee import errors, helm, outcome, plan
from k8s_ee.cluster import namespaces, pool
from k8s_ee.commands import admission, external, logins, seeds, session, volumes
from k8s_ee.config import model

Manifest = dict[str, Any]


def deploy_db(ctx: session.Session) -> outcome.Outcome:
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("deploy-db", refusal)
    require_namespace(ctx)
    seeds.check(ctx)
    started = time.monotonic()
    with ctx.phase("databases"):
        credentials = apply(ctx, render(ctx))
        wait(ctx)
    fill(ctx)
    outputs = {
        "ready": _readiness(ctx, {database.engine for database in ctx.config.deployed}),
        "seconds": f"{time.monotonic() - started:.1f}",
        "credentials": json.dumps(credentials),
    }
    return ctx.result("deploy-db", "planned" if ctx.options.dry_run else "deploying", outputs=outputs)


def require_namespace(ctx: session.Session) -> None:
    """Raises InputError when create-namespace has not run, Refused when it is not this environment's,
    or when a newer run has deployed to it."""
    target = ctx.target()
    found = ctx.cluster.get("Namespace", target.namespace)
    observed = namespaces.owned(found, target) if found else None
    if observed is None or observed.terminating:
        state = "is being deleted" if observed else "does not exist"
        raise errors.InputError(f"namespace {target.namespace} {state}", hint="run create-namespace first")
    ctx.observed = observed


def render(ctx: session.Session) -> dict[str, tuple[Manifest, ...]]:
    """Of every database that is deployed, by engine."""
    wanted = ctx.config.deployed
    rendered = pool.side_by_side([functools.partial(_render_one, ctx, one) for one in wanted])
    return {database.engine: manifests for database, manifests in zip(wanted, rendered, strict=True)}


def apply(ctx: session.Session, rendered: Mapping[str, tuple[Manifest, ...]]) -> list[str]:
    """Credentials and workloads of every database that is deployed. Returns the Secrets that an app reads.

    Raises ConfigError for what data that is there does not allow, Refused for data whose password is gone.
    """
    steps = [functools.partial(_apply_one, ctx, one, rendered[one.engine]) for one in ctx.config.deployed]
    return pool.side_by_side(steps)


def retire(ctx: session.Session) -> None:
    """Removes the workload (never data) of every other database, once nothing that serves uses it any more."""
    if not ctx.fresh:
        deployed = {one.engine for one in ctx.config.deployed}
        retired = [engine for name, engine in plan.ENGINES.items() if name not in deployed]
        pool.side_by_side([functools.partial(_retire, ctx, engine) for engine in retired])


def wait(ctx: session.Session) -> None:
    """Until each answers, and the Secrets of those that are not deployed are there. Raises NotReady, ConfigError."""
    external.wait(ctx)
    _wait(ctx, ctx.config.deployed)


def make(ctx: session.Session, wanted: Sequence[model.Database]) -> None:
    """Some of them and no others, until they answer. Raises what `apply` and `wait` raise."""
    pool.side_by_side([functools.partial(_make, ctx, one) for one in wanted])
    _wait(ctx, wanted)


def _make(ctx: session.Session, one: model.Database) -> None:
    _apply_one(ctx, one, _render_one(ctx, one))


def _wait(ctx: session.Session, wanted: Sequence[model.Database]) -> None:
    if not wanted:
        return
    longest = max(one.startup_seconds for one in wanted)
    try:
        workloads = [("StatefulSet", one.engine) for one in wanted]
        ctx.await_ready(ctx.target().namespace, workloads, seconds=longest + 30, anew=not ctx.fresh)
    except errors.NotReady:
        ctx.outputs["ready"] = _readiness(ctx, _answering(ctx))
        raise


def fill(ctx: session.Session) -> None:
    """With their seeds, once they are ready. Raises what `seeds.apply` raises."""
    if ctx.options.dry_run:
        seeds.foresee(ctx)
    else:
        seeds.apply(ctx)


def _readiness(ctx: session.Session, answering: Collection[str]) -> str:
    """JSON: of each database that is deployed, whether it answers."""
    wanted = [database.engine for database in ctx.config.deployed]
    return json.dumps({engine: engine in answering and not ctx.options.dry_run for engine in wanted})


def _answering(ctx: session.Session) -> set[str]:
    found = ctx.cluster.list("StatefulSet", ctx.target().namespace)
    return {one["metadata"]["name"] for one in found if one.get("status", {}).get("readyReplicas")}


def _render_one(ctx: session.Session, database: model.Database) -> tuple[Manifest, ...]:
    login = plan.ENGINES[database.engine].login
    component = plan.database(ctx.target(), database, ctx.platform, secret=login)
    return helm.render(component, namespace=ctx.target().namespace, kube_version=ctx.cluster.version())


def _apply_one(ctx: session.Session, database: model.Database, manifests: tuple[Manifest, ...]) -> str:
    engine, namespace = plan.ENGINES[database.engine], ctx.target().namespace
    claim, running, login, first = _present(ctx, engine)
    plan.check_data(ctx.config, database, ctx.target(), ctx.platform, claim=claim, running=running)
    grows = volumes.grow(ctx, database, claim)
    login = logins.provide(ctx, engine, login, first, has_data=claim is not None)
    manager = plan.manager(engine.name)
    applying: list[Callable[[], object]] = [
        functools.partial(logins.give, ctx, engine, login),
        functools.partial(ctx.cluster.apply, manifests, manager=manager, namespace=namespace),
    ]
    pool.side_by_side(applying)
    volumes.deploy_again(ctx, engine, claim)
    if not ctx.fresh:
        ctx.cluster.prune(namespace, engine.name, manager, keep=names(manifests))
    if grows:
        volumes.wait(ctx, database)
    logins.resume(ctx, engine, login)
    return logins.named(engine, login)


def _present(ctx: session.Session, engine: plan.Engine) -> list[Manifest | None]:
    """Claim, StatefulSet, login and the app's first Secret; where nothing can be yet, nobody is asked."""
    asked = [("PersistentVolumeClaim", engine.claim), ("StatefulSet", engine.name)]
    asked += [("Secret", engine.login), ("Secret", engine.secret)]
    if ctx.fresh:
        return [None] * len(asked)
    namespace = ctx.target().namespace
    return pool.side_by_side([functools.partial(ctx.cluster.get, kind, name, namespace) for kind, name in asked])


def _retire(ctx: session.Session, engine: plan.Engine) -> None:
    namespace = ctx.target().namespace
    claim = ctx.cluster.get("PersistentVolumeClaim", engine.claim, namespace)
    if claim:
        volumes.retire(ctx, engine, claim)
    ctx.cluster.prune(namespace, engine.name, plan.manager(engine.name), keep=set())
    if claim:
        ctx.notes.append(f"{engine.name} is not deployed any more: its volume and password are kept")


def names(manifests: tuple[Manifest, ...]) -> set[tuple[str, str]]:
    return {(one["kind"], one["metadata"]["name"]) for one in manifests}
