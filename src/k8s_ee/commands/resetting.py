"""reset-db: databases begin anew, with bootstrap, seed and migration. The data goes, the password and the others stay.

The app is stopped first and comes back last, so nothing of it ever meets a database that is half of something. Cut off
anywhere, the same command goes on, and so does a deploy.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence

from k8s_ee import environment, errors, helm, outcome, plan
from k8s_ee.cluster import pool, resetting, sleeping
from k8s_ee.commands import admission, app, databases, external, logins, room, seeds, session, volumes
from k8s_ee.commands import namespace as namespaces
from k8s_ee.config import model


def reset_db(ctx: session.Session, *, engines: Sequence[str]) -> outcome.Outcome:
    """Raises InputError for a database that is not deployed, Refused for an external one and while another may hold
    half a seed, NotReady for whatever does not end or start, and for a seed what `dumps.opened` raises."""
    wanted = [_chosen(ctx, name) for name in dict.fromkeys(engines)]
    image = _adopt(ctx)
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("reset-db", refusal)
    databases.require_namespace(ctx)
    seeds.check(ctx, wanted)
    seeds.require_whole(ctx, but=wanted)
    if image:
        app.check_image(ctx, image)
    if ctx.options.dry_run:
        ctx.notes += [_foreseen(ctx, one) for one in wanted]
        return ctx.result("reset-db", "planned", outputs={"databases": " ".join(one.engine for one in wanted)})
    helm.executable()  # before anything is deleted
    seeds.check_readable(ctx, wanted)
    started = time.monotonic()
    logins.of_config(ctx)
    _begin_anew(ctx, wanted)
    return _bring_back(ctx, image, started) if image else _without_app(ctx)


def _chosen(ctx: session.Session, name: str) -> model.Database:
    found = next((one for one in ctx.config.databases if one.engine == name), None)
    if found is None:
        there = ", ".join(one.engine for one in ctx.config.deployed) or "none"
        raise errors.InputError(f"{name} is not in {ctx.config.path}", hint=f"databases there: {there}")
    if found.external:
        raise errors.Refused(
            f"{name} is external: what is in it is not this environment's to delete", hint="ask the team that owns it"
        )
    return found


def _adopt(ctx: session.Session) -> str:
    """The image that the app has now; its commit and branch are taken over, too. Empty before its first rollout."""
    project = ctx.config.project
    found = next((one for one in ctx.observed_environments() if one.project == project), None)
    if found is None:
        raise errors.InputError(f"{project} has no environment for this pull request", hint="k8s-ee up makes one")
    running = ctx.cluster.get("Deployment", plan.APP, found.namespace)
    if running is None:
        return ""
    template = running["spec"]["template"]
    commit = (template["metadata"].get("annotations") or {}).get(environment.HEAD_SHA, "")
    facts, branch = ctx.settings, found.annotations.get(environment.BRANCH, "")
    ctx.settings = dataclasses.replace(facts, head_sha=commit or facts.head_sha, branch=branch or facts.branch)
    return str(template["spec"]["containers"][0]["image"])


def _foreseen(ctx: session.Session, one: model.Database) -> str:
    claim = volumes.of(ctx, plan.ENGINES[one.engine])
    size = f" ({claim['spec']['resources']['requests']['storage']})" if claim else ""
    begins = " with its seed" if one.seed else " with its bootstrap" if one.bootstrap else ""
    return (
        f"the app would stop, {one.engine} and its volume{size} would be deleted with everything in it, and it would "
        f"begin anew{begins}, with the password it has"
    )


def _begin_anew(ctx: session.Session, wanted: Sequence[model.Database]) -> None:
    assert ctx.observed is not None  # noqa: S101 - require_namespace saw it
    namespace = ctx.observed.namespace
    if sleeping.is_stopped(ctx.observed):
        room.wake(ctx, ctx.observed)
        sleeping.wake_databases(ctx.cluster, ctx.observed)
    namespaces.fence(ctx)
    with ctx.phase("stop"):
        resetting.stop_app(ctx.cluster, namespace, plan.APP, deadline=ctx.deadline)
        pool.side_by_side([functools.partial(_remove, ctx, plan.ENGINES[one.engine]) for one in wanted])
    with ctx.phase("databases"):
        databases.make(ctx, wanted)
    seeds.apply(ctx, wanted)


def _remove(ctx: session.Session, engine: plan.Engine) -> None:
    left = resetting.remove(
        ctx.cluster, ctx.target().namespace, engine.name, pod=engine.pod, claim=engine.claim, deadline=ctx.deadline
    )
    gone = (f"{engine.name} was reset: its volume is gone, with what was in it",)
    ctx.notes += [f"{engine.name} was reset; its old volume stays: {one}" for one in left] or gone


def _bring_back(ctx: session.Session, image: str, started: float) -> outcome.Outcome:
    external.wait(ctx)
    release = app.render(ctx, image=image, passwords=logins.of_config(ctx))
    app.migrate(ctx, release)
    app.roll_out(ctx, release)
    return app.finish(ctx, release, command="reset-db", started=started)


def _without_app(ctx: session.Session) -> outcome.Outcome:
    ctx.notes.append("no app was deployed yet: nothing else was to be done")
    return ctx.result("reset-db", "deploying")
