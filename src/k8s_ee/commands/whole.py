"""What `up` does once it may: the namespace, the databases and the app, begun as early as each can be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from k8s_ee import helm, outcome, plan
from k8s_ee.cluster import pool
from k8s_ee.commands import app, databases, logins, namespace, reporting, room, seeds, session

Release = tuple[dict[str, Any], ...]


def deploy(
    ctx: session.Session, stores: Callable[[], dict[str, Release]], *, image: str, started: float
) -> outcome.Outcome:
    """`stores` waits for the databases, rendered. Raises what the single steps raise."""
    image = app.named(ctx, image)
    seeds.check(ctx)
    helm.executable()  # before anything is written
    queued = room.enter(ctx, "up")
    if queued:
        return queued
    started += ctx.waited
    with pool.beside(functools.partial(_render, ctx, image, stores)) as rendered:
        namespace.fence(ctx)
        if ctx.options.dry_run:
            return _planned(ctx, stores(), rendered())
        with ctx.phase("databases"):
            begin = functools.partial(_begin, ctx, stores(), rendered)
            pool.side_by_side([begin, functools.partial(reporting.begin, ctx, "up", phase="databases")])
            databases.wait(ctx)
    release = _known(ctx, rendered())
    databases.fill(ctx)
    app.migrate(ctx, release)
    app.roll_out(ctx, release)
    return app.finish(ctx, release, command="up", started=started)


def _render(ctx: session.Session, image: str, stores: Callable[[], dict[str, Release]]) -> Release:
    """The app, once the databases are rendered: they are waited for, and it waits for them."""
    passwords = logins.of_config(ctx)
    stores()
    return app.render(ctx, image=image, passwords=passwords)


def _known(ctx: session.Session, release: Release) -> Release:
    """What was read while it was rendered was, in a fresh one, of the environment that had to go before."""
    names = {one.name: one.secret for one in plan.ENGINES.values()}
    return plan.logins.reading(release, names) if ctx.fresh else release


def _planned(ctx: session.Session, stores: dict[str, Release], release: Release) -> outcome.Outcome:
    databases.apply(ctx, stores)
    databases.fill(ctx)
    app.apply(ctx, list(_known(ctx, release)))
    databases.retire(ctx)
    return ctx.result("up", "planned", data={"plan": plan.summary(ctx.target(), ctx.config, ctx.platform)})


def _begin(ctx: session.Session, stores: dict[str, Release], rendered: Callable[[], Release]) -> None:
    """The databases, and the first app of an environment right behind them.

    Its pod waits for them by itself, in an init container, but not for a seed. Started together with them, its image is
    there when they are.
    """
    first = not _deployed_before(ctx)
    if not first:
        rendered()  # An app that can't be rendered changes nothing of what serves.
    databases.apply(ctx, stores)
    release = _known(ctx, rendered())
    if first and ctx.config.databases and not seeds.to_come(ctx):
        app.begin(ctx, release)


def _deployed_before(ctx: session.Session) -> bool:
    return ctx.observed is not None and bool(ctx.observed.head_sha)
