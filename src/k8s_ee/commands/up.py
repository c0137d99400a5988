"""up: namespace, databases and app in one process, each as early as it can be."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from k8s_ee import helm, outcome, plan
from k8s_ee.cluster import pool
from k8s_ee.commands import admission, app, databases, logins, namespace, reporting, room, seeds, session

Manifest = dict[str, Any]


def up(ctx: session.Session, *, image: str) -> outcome.Outcome:
    """Raises what the single steps raise; whatever happened, the next run goes on from there."""
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("up", refusal)
    started = time.monotonic()
    ctx.target()  # From here on a failure is told of in the environment's comment.
    image = app.named(ctx, image)
    seeds.check(ctx)
    helm.executable()  # before anything is written
    queued = room.enter(ctx, "up")
    if queued:
        return queued
    started += ctx.waited
    with pool.beside(functools.partial(_render, ctx, image)) as rendered:
        namespace.fence(ctx)
    stores, release = rendered()
    if ctx.fresh:  # What was read meanwhile was of the environment that had to go before.
        release = plan.logins.reading(release, {one.name: one.secret for one in plan.ENGINES.values()})
    if ctx.options.dry_run:
        databases.apply(ctx, stores)
        databases.fill(ctx)
        app.apply(ctx, list(release))
        databases.retire(ctx)
        return ctx.result("up", "planned", data={"plan": plan.summary(ctx.target(), ctx.config, ctx.platform)})
    with ctx.phase("databases"):
        # Pods wait for the databases by themselves, in an init container, but not for a seed. Started together with
        # them, their images and volumes are prepared in the meantime.
        steps: list[Callable[[], object]] = [
            functools.partial(databases.apply, ctx, stores),
            functools.partial(reporting.begin, ctx, "up", phase="databases"),
        ]
        if ctx.config.databases and not _deployed_before(ctx) and not seeds.to_come(ctx):
            steps.append(functools.partial(app.begin, ctx, release))
        pool.side_by_side(steps)
        databases.wait(ctx)
    databases.fill(ctx)
    app.migrate(ctx, release)
    app.roll_out(ctx, release)
    return app.finish(ctx, release, command="up", started=started)


def _render(ctx: session.Session, image: str) -> tuple[dict[str, tuple[Manifest, ...]], tuple[Manifest, ...]]:
    """The databases, by engine, and the app."""
    with pool.beside(functools.partial(databases.render, ctx)) as stores:
        release = app.render(ctx, image=image, passwords=logins.of_config(ctx))
    return stores(), release


def _deployed_before(ctx: session.Session) -> bool:
    return ctx.observed is not None and bool(ctx.observed.head_sha)
