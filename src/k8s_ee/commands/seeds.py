"""seed: a dump that is loaded once into the empty database, after it is ready and before anything of the app starts.

How far that is stands on the volume (plan/seeding.py), so that the next run goes on from wherever this one was killed.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import secrets
from collections.abc import Collection, Iterable, Sequence

from k8s_ee import errors, plan
from k8s_ee.cluster import pool, resetting
from k8s_ee.commands import contents, dumps, session, volumes
from k8s_ee.config import model
from k8s_ee.plan import seeding

_WHY = {"new": "is new, and the database has been in use before", "changed": "is not the one that was loaded"}


def to_come(ctx: session.Session) -> bool:
    """Whether a database is loaded, or emptied of half a seed, before an app may use it."""
    if any(one.seed for one in ctx.config.deployed):
        return True
    if ctx.fresh:
        return False
    deployed = [plan.ENGINES[one.engine] for one in ctx.config.deployed]
    claims = pool.side_by_side([functools.partial(volumes.of, ctx, engine) for engine in deployed])
    return any(seeding.noted(claim).startswith(seeding.LOADING) for claim in claims)


def check(ctx: session.Session, some: Sequence[model.Database] | None = None) -> None:
    """Before anything is written. Raises ConfigError for a file that is not there, or can't be a dump."""
    for one in ctx.config.deployed if some is None else some:
        if one.seed and one.seed.file:
            dumps.check(ctx.config, one, _checkout(ctx))


def check_readable(ctx: session.Session, some: Sequence[model.Database]) -> None:
    """Before what they would follow is deleted; one in an image is read by a pod. Raises what `dumps.opened` raises."""
    for one in some:
        if one.seed and not one.seed.image:
            with dumps.opened(ctx, one, _checkout(ctx)):
                pass


def apply(ctx: session.Session, some: Sequence[model.Database] | None = None) -> None:
    """Of every database that is deployed, or of `some`; each must be ready.

    Raises NotReady, at its line, when one can't be loaded, and what `dumps.opened` raises.
    """
    asked = ctx.config.deployed if some is None else some
    with ctx.phase("seed") if any(one.seed for one in asked) else contextlib.nullcontext():
        contents.side_by_side(ctx, [functools.partial(_apply, ctx, one) for one in asked])


def foresee(ctx: session.Session) -> None:
    """In a dry run: notes what `apply` would do."""
    for one in ctx.config.deployed:
        claim = volumes.of(ctx, plan.ENGINES[one.engine])
        step = seeding.step(seeding.noted(claim), dumps.digest(ctx.config, one, _checkout(ctx)))
        if one.seed and step in {"load", "mend"}:
            ctx.notes.append(f"`databases.{one.engine}.seed` is loaded into the empty database")
        _tell(ctx, one, step)


def require_whole(ctx: session.Session, *, but: Collection[model.Database] = ()) -> None:
    """Raises Refused when a database may hold half a seed, `but` for these."""
    require_whole_in(ctx, ctx.target().namespace, [one.engine for one in ctx.config.deployed if one not in but])


def require_whole_in(ctx: session.Session, namespace: str, engines: Iterable[str]) -> None:
    """The same of these; the next deploy empties one that does."""
    for name in engines:
        claim = ctx.cluster.get("PersistentVolumeClaim", plan.ENGINES[name].claim, namespace)
        if seeding.noted(claim).startswith(seeding.LOADING):
            message = f"the seed of {name} was not loaded to its end"
            raise errors.Refused(message, hint="run deploy-db first: it begins anew")


def _checkout(ctx: session.Session) -> pathlib.Path:
    return ctx.settings.workspace or pathlib.Path.cwd()


def _apply(ctx: session.Session, one: model.Database) -> None:
    engine, digest = plan.ENGINES[one.engine], dumps.digest(ctx.config, one, _checkout(ctx))
    claim = volumes.of(ctx, engine)
    volumes.note_version(ctx, one, claim)
    before = seeding.noted(claim)
    step = seeding.step(before, digest)
    _tell(ctx, one, step)
    if step == "settle":
        _note(ctx, engine, before, seeding.NONE)
    elif step == "mend" and not digest:
        _empty(ctx, engine)
        _note(ctx, engine, before, seeding.NONE)
        anew = f"; its bootstrap runs only in a new one: k8s-ee reset-db {engine.name}" if one.bootstrap else ""
        ctx.notes.append(f"{engine.name} was emptied of a seed that was not loaded to its end{anew}")
    elif step in {"load", "mend"}:
        try:
            _load(ctx, one, before, digest)
        except errors.NotReady as error:
            raise _failed(ctx, one, error) from None


def _tell(ctx: session.Session, one: model.Database, step: seeding.Step) -> None:
    if step in _WHY:
        ctx.notes.append(
            f"`databases.{one.engine}.seed` {_WHY[step]}: it was not loaded; "
            f"`k8s-ee reset-db {one.engine}` deletes what is there and loads it"
        )


def _load(ctx: session.Session, one: model.Database, before: str, digest: str) -> None:
    engine, loading = plan.ENGINES[one.engine], f"{seeding.LOADING}{digest} {secrets.token_hex(4)}"
    # Nothing is noted when the run before was killed after its app had begun. As half a seed, that would be emptied.
    if not before and not contents.is_empty(ctx, ctx.target().namespace, engine):
        _tell(ctx, one, "new")
        _note(ctx, engine, before, seeding.NONE)
        return
    with dumps.opened(ctx, one, _checkout(ctx)) as file:
        _note(ctx, engine, before, loading)
        if before:
            _empty(ctx, engine)
        loaded = contents.load(ctx, ctx.target().namespace, engine, file)
    if not loaded:  # Somebody was faster.
        _tell(ctx, one, "new")
    _note(ctx, engine, loading, seeding.LOADED + digest if loaded else seeding.NONE)


def _failed(ctx: session.Session, one: model.Database, error: errors.NotReady) -> errors.NotReady:
    said = dumps.wrong(ctx.config, one, error.message, error.hint).problems
    hint = f"{error.hint}; the app was not touched; mended, the seed is loaded by the next deploy"
    where = f"{said[0].path}:{said[0].line}"
    return errors.NotReady(f"{where}: {error.message}", hint=hint, evidence=error.evidence, problems=said)


def _empty(ctx: session.Session, engine: plan.Engine) -> None:
    """Of what a run that was cut off left. Its load may go on in the container: with the pod it ends."""
    namespace = ctx.target().namespace
    pod = ctx.cluster.get("Pod", engine.pod, namespace)
    resetting.delete(ctx.cluster, namespace, pod, "Pod", deadline=ctx.deadline)
    ctx.await_ready(namespace, [("StatefulSet", engine.name)])
    contents.wipe(ctx, namespace, engine)


def _note(ctx: session.Session, engine: plan.Engine, before: str, after: str) -> None:
    """Raises Refused when somebody else noted something since."""
    while True:
        claim = volumes.of(ctx, engine)
        there = seeding.noted(claim)
        if there == after:
            return
        if claim is None or there != before:
            raise errors.Refused(
                f"another run seeds {engine.name} at the same time", hint="look at its end, then run this one again"
            )
        if volumes.annotate(ctx, engine, {seeding.NOTE: after}, version=claim["metadata"]["resourceVersion"]):
            return
