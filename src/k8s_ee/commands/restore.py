"""restore: databases of an archive into an environment of the same or another pull request."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from k8s_ee import archive, environment, errors, outcome, plan, scratch, storage
from k8s_ee.cluster import kinds, messages, migrating, pool, resetting
from k8s_ee.commands import backup, contents, inspect, logins, seeds, session

_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def restore(
    ctx: session.Session, *, source: str, engines: Collection[str], replace: bool, project: str = ""
) -> outcome.Outcome:
    """The whole archive is checked before anything is touched. Raises InputError for one that can't be used, Refused
    for databases that are not empty (unless `replace`), too old, of another repository, or that may hold half a seed;
    NotReady for what a database said."""
    observed = backup.only(ctx, project)
    with _fetched(ctx, source) as path:
        with ctx.phase("verify"):
            manifest = archive.verify(path, name=source)
            entries = _wanted(manifest, engines, source=source)
            backup.deployed(ctx, observed, list(entries))
            _same_repository(manifest, observed, source=source)
            seeds.require_whole_in(ctx, observed.namespace, entries)
        ctx.outputs |= {"archive": source, "databases": " ".join(entries)}
        if ctx.options.dry_run:
            ctx.notes += [f"{one.engine}: {one.size:,} bytes from version {one.version}" for one in entries.values()]
            return ctx.result("restore", "planned", outputs=ctx.outputs)
        inspect.hide_credentials(ctx, observed.namespace)
        _may_be_loaded(ctx, observed.namespace, entries, replace=replace)
        _load(ctx, observed.namespace, path, entries, source=source, replace=replace)
    _begin_anew(ctx, observed.namespace)
    return ctx.result("restore", "restored", outputs=ctx.outputs)


@contextlib.contextmanager
def _fetched(ctx: session.Session, source: str) -> Iterator[pathlib.Path]:
    place = storage.parse(source)
    if isinstance(place, pathlib.Path):
        yield place
        return
    with contextlib.ExitStack() as stack:
        with scratch.kept(source), ctx.phase("fetch"):
            path = stack.enter_context(scratch.folder(None)) / "archive"
            with path.open("xb") as file:
                storage.Storage(ctx.settings.s3, deadline=ctx.deadline).get(place, file)
        yield path


def _wanted(manifest: archive.Manifest, engines: Collection[str], *, source: str) -> dict[str, archive.Entry]:
    unknown = [one.engine for one in manifest.entries if one.engine not in plan.ENGINES]
    if unknown:
        raise errors.InputError(
            f"{source} can't be restored: this k8s-ee has no database {', '.join(unknown)}", hint="take a newer one"
        )
    missing = sorted({*engines} - {one.engine for one in manifest.entries})
    if missing or not manifest.entries:
        has = ", ".join(one.engine for one in manifest.entries) or "none"
        raise errors.InputError(
            f"{source} has no {' and no '.join(missing) or 'database'}", hint=f"databases that it has: {has}"
        )
    return {one.engine: one for one in manifest.entries if not engines or one.engine in engines}


def _same_repository(manifest: archive.Manifest, observed: environment.Observed, *, source: str) -> None:
    if manifest.repository_id != observed.repository_id:
        raise errors.Refused(
            f"{source} is of {manifest.repository or 'another repository'}, and the environment is not",
            hint="its dumps can be loaded by hand: docs/databases/backup.md",
        )


def _may_be_loaded(
    ctx: session.Session, namespace: str, entries: Mapping[str, archive.Entry], *, replace: bool
) -> None:
    """Raises Refused for a server that is older than the dump, and for databases that are not empty."""
    checks = [functools.partial(_obstacle, ctx, namespace, one, replace=replace) for one in entries.values()]
    obstacles = [one for one in contents.side_by_side(ctx, checks) if one]
    if obstacles:
        raise errors.Refused(
            f"nothing was restored: {'; '.join(obstacles)}",
            hint="with --replace, what is in a database is deleted first; for another version set `version` in "
            "k8s-ee.yaml of a new environment",
        )


def _obstacle(ctx: session.Session, namespace: str, entry: archive.Entry, *, replace: bool) -> str:
    engine = plan.ENGINES[entry.engine]
    version = contents.version(ctx, namespace, engine)
    if _series(version, engine) < _series(entry.version, engine):
        return f"{entry.engine} is of version {version}, older than the {entry.version} that was backed up"
    if not replace and not contents.is_empty(ctx, namespace, engine):
        return f"{entry.engine} has data already"
    return ""


def _series(version: str, engine: plan.Engine) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version)[: engine.series])


def _load(
    ctx: session.Session,
    namespace: str,
    path: pathlib.Path,
    entries: Mapping[str, archive.Entry],
    *,
    source: str,
    replace: bool,
) -> None:
    load = functools.partial(_load_one, ctx, namespace, path, source=source, replace=replace)
    work = [functools.partial(load, one) for one in entries.values()]
    try:
        with ctx.phase("load"):
            contents.side_by_side(ctx, work)
    except (errors.InputError, errors.NotReady, errors.Unavailable, errors.Interrupted) as error:
        unsure = ", ".join(one for one in entries if _done(one) not in ctx.notes)
        advice = f"what is in {unsure} now is not known; the archive is untouched: run it again with --replace"
        backup.advise(error, advice)
        raise


def _load_one(
    ctx: session.Session, namespace: str, path: pathlib.Path, entry: archive.Entry, *, source: str, replace: bool
) -> None:
    engine = plan.ENGINES[entry.engine]
    with archive.reading(path, entry, name=source) as plain:
        dump = contents.chunks(plain)
        if not contents.pour(ctx, namespace, engine, dump, size=entry.size, replace=replace):
            raise errors.NotReady(f"somebody wrote to {entry.engine} meanwhile: it was not restored")
    ctx.notes.append(_done(entry.engine))
    ctx.say(f"{entry.engine}: {entry.size:,} bytes")


def _done(engine: str) -> str:
    return f"{engine} is restored"


def _begin_anew(ctx: session.Session, namespace: str) -> None:
    """The app as it is deployed, on what was restored. Raises NotReady."""
    app = ctx.cluster.get("Deployment", plan.APP, namespace)
    try:
        _migrate(ctx, namespace, app)
        if app:
            with ctx.phase("restart"):
                _restart(ctx, namespace)
    except (errors.NotReady, errors.Unavailable, errors.Interrupted) as error:
        backup.advise(error, "the databases are restored: deploy a commit that runs on what they hold now")
        raise


def _migrate(ctx: session.Session, namespace: str, app: Mapping[str, Any] | None) -> None:
    """What was restored may be older than the app: no migration has run on it. That of the app's commit runs now, and
    that of another one when it is deployed."""
    over = migrating.completed(ctx.cluster, namespace, plan.APP)
    delete = functools.partial(resetting.delete, ctx.cluster, namespace, deadline=ctx.deadline)
    pool.side_by_side([functools.partial(delete, job, "Job") for job in over])
    of_app = [job for job in over if app and _commit(job) == _commit(app)]
    if not of_app:
        return
    last = max(of_app, key=lambda job: str(job["metadata"]["creationTimestamp"]))
    with ctx.phase("migration"):
        found = logins.read(ctx, namespace)
        names = {engine: logins.named(plan.ENGINES[engine], login) for engine, login in found.items()}
        again = plan.logins.reading(migrating.anew(last), names)
        ctx.cluster.apply((again,), manager=plan.APP_MANAGER, namespace=namespace)
        ctx.await_ready(namespace, [("Job", again["metadata"]["name"])])
    ctx.notes.append("the app's migration ran on it")


def _commit(workload: Mapping[str, Any]) -> str | None:
    annotations: Mapping[str, str] = workload["spec"]["template"]["metadata"].get("annotations") or {}
    return annotations.get(environment.HEAD_SHA)


def _restart(ctx: session.Session, namespace: str) -> None:
    """What it remembers of the databases is not so any more. Waits until it is ready again."""
    marked = {"metadata": {"annotations": {_RESTARTED_AT: ctx.now().isoformat(timespec="seconds")}}}
    ctx.cluster.write(
        "PATCH",
        kinds.kind("Deployment").path(plan.APP, namespace=namespace),
        what="the app's Deployment",
        body={"spec": {"template": marked}},
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER},
    )
    ctx.await_ready(namespace, [("Deployment", plan.APP)])
    ctx.notes.append("the app is restarted")
