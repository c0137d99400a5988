"""backup: every database of an environment in one archive, by its own tools in its own container."""

from __future__ import annotations

import contextlib
import datetime
import functools
import pathlib
from collections.abc import Collection, Iterator, Mapping

import k8s_ee
from k8s_ee import archive, environment, errors, outcome, plan, scratch, storage
from k8s_ee.cluster import pool, sleeping
from k8s_ee.commands import contents, inspect, keeping, seeds, session

_AGAIN = "an archive is whole or not there, and the databases are as they were: run the same command again"


def backup(ctx: session.Session, *, engines: Collection[str], to: str, project: str = "") -> outcome.Outcome:
    """The Outcome names the archive. Raises Refused for an environment that sleeps and for half a seed, InputError for
    one without these databases and for a destination that is there already, NotReady with what a database said."""
    observed = only(ctx, project)
    there = deployed(ctx, observed, engines)
    seeds.require_whole_in(ctx, observed.namespace, there)
    place = storage.parse(to, default=name(observed, ctx.now()))
    check_free(ctx, place)
    ctx.outputs |= {"archive": str(place), "databases": " ".join(there)}
    if ctx.options.dry_run:
        return ctx.result("backup", "planned", outputs=ctx.outputs)
    inspect.hide_credentials(ctx, observed.namespace)
    try:
        made = write(ctx, observed, there, place, commit=keeping.serving(ctx, observed))
    except (errors.InputError, errors.NotReady, errors.Unavailable, errors.Interrupted) as error:
        advise(error, _AGAIN)
        raise
    ctx.notes += [_line(one) for one in made.entries]
    return ctx.result("backup", "backed-up", outputs=ctx.outputs)


def advise(error: errors.K8sEEError, advice: str) -> None:
    """Beside its own hint; that of an interruption is about deploys."""
    own = "" if isinstance(error, errors.Interrupted) else error.hint
    error.hint = f"{own}; {advice}" if own else advice


def only(ctx: session.Session, project: str) -> environment.Observed:
    """Raises InputError when the pull request has several, Refused for one that sleeps or is being destroyed."""
    found = keeping.chosen(ctx, project)
    if len(found) > 1:
        named = ", ".join(one.project for one in found)
        raise errors.InputError(f"the pull request has several environments: {named}", hint="choose one by --project")
    (observed,) = found
    if observed.terminating:
        raise errors.Refused(f"environment {observed.namespace} is being destroyed: nothing was done")
    if sleeping.is_stopped(observed):
        raise errors.Refused(
            f"environment {observed.namespace} sleeps, and so do its databases",
            hint=f"wake it first: k8s-ee wake --pr {observed.number} --repository-id {observed.repository_id}",
        )
    return observed


def deployed(ctx: session.Session, observed: environment.Observed, wanted: Collection[str]) -> dict[str, str]:
    """The image of each of the `wanted` databases that is deployed; nothing wanted is all. Raises InputError."""
    there = images(ctx, observed)
    if not wanted:
        require_workloads(ctx, observed, there)
    missing = sorted({*wanted} - {*there})
    if missing or not there:
        has = ", ".join(there) or "none"
        raise errors.InputError(
            f"environment {observed.namespace} has no {' and no '.join(missing) or 'database'}",
            hint=f"databases that are deployed there: {has}",
        )
    return {engine: image for engine, image in there.items() if not wanted or engine in wanted}


def images(ctx: session.Session, observed: environment.Observed) -> dict[str, str]:
    """Of every database that is deployed there."""
    found = ctx.cluster.list("StatefulSet", observed.namespace, {environment.MANAGED_BY: environment.MANAGER})
    known = {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found}
    return {engine: known[engine] for engine in plan.ENGINES if engine in known}


def require_workloads(ctx: session.Session, observed: environment.Observed, there: Collection[str]) -> None:
    """Raises NotReady for a database that only seems not to be deployed: its volume is in use, its workload missing."""
    others = [engine for name, engine in plan.ENGINES.items() if name not in there]
    asked = [
        functools.partial(ctx.cluster.get, "PersistentVolumeClaim", one.claim, observed.namespace) for one in others
    ]
    for engine, claim in zip(others, pool.side_by_side(asked), strict=True):
        if claim and not plan.is_retired(claim):
            raise errors.NotReady(
                f"{engine.name} has its volume, but no workload: a deploy was cut off, or somebody deleted it",
                hint="k8s-ee deploy-db brings it back; then run the same command again",
            )


def check_free(ctx: session.Session, place: storage.Place) -> None:
    """Raises InputError when there is something already, or nowhere to put it."""
    if isinstance(place, storage.Bucket):
        taken = storage.Storage(ctx.settings.s3, deadline=ctx.deadline).holds(place)
    else:
        with _writable(str(place)):
            taken, has_home = place.exists(), place.parent.is_dir()
        if not has_home:
            raise errors.InputError(f"there is no folder {place.parent}", hint="make it first, or give another --to")
    if taken:
        raise archive.taken(str(place))


def write(
    ctx: session.Session,
    observed: environment.Observed,
    images: Mapping[str, str],
    place: storage.Place,
    *,
    commit: str,
) -> archive.Manifest:
    """Nothing is at the place before all of it is."""
    near = None if isinstance(place, storage.Bucket) else place.parent
    if near and scratch.remove_left(near):
        ctx.say(f"removed what a backup that was killed had left in {near}")
    room = _writable(str(place)) if near else scratch.kept(str(place))
    with room, scratch.folder(near) as folder:
        with ctx.phase("dump"):
            entries = _dumped(ctx, observed.namespace, images, folder)
        manifest = _manifest(ctx, observed, entries, commit=commit)
        whole = folder / "archive"
        with ctx.phase("store"):
            archive.write(whole, manifest, folder)
            if isinstance(place, storage.Bucket):
                check_free(ctx, place)  # somebody else may have been faster than the dump
                storage.Storage(ctx.settings.s3, deadline=ctx.deadline).put(whole, place)
            else:
                archive.place(whole, place)
    return manifest


def _dumped(
    ctx: session.Session, namespace: str, images: Mapping[str, str], folder: pathlib.Path
) -> tuple[archive.Entry, ...]:
    work = [
        functools.partial(_dump, ctx, namespace, plan.ENGINES[engine], image=image, folder=folder)
        for engine, image in images.items()
    ]
    return tuple(contents.side_by_side(ctx, work))


def _dump(
    ctx: session.Session, namespace: str, engine: plan.Engine, *, image: str, folder: pathlib.Path
) -> archive.Entry:
    version = contents.version(ctx, namespace, engine)
    with contextlib.closing(archive.Dump(folder, engine.name)) as dump:
        contents.dump(ctx, namespace, engine, dump.write)
    ctx.say(f"{engine.name} {version}: {dump.size:,} bytes")
    return dump.entry(version=version, image=image)


def _manifest(
    ctx: session.Session, observed: environment.Observed, entries: tuple[archive.Entry, ...], *, commit: str
) -> archive.Manifest:
    return archive.Manifest(
        project=observed.project,
        repository=observed.repository,
        repository_id=observed.repository_id,
        number=observed.number,
        commit=commit,
        at=ctx.now().isoformat(timespec="seconds"),
        made_by=k8s_ee.__version__,
        entries=entries,
    )


def name(observed: environment.Observed, now: datetime.datetime) -> str:
    return f"{observed.namespace}-{now:%Y%m%dT%H%M%SZ}.k8s-ee.tar"


def _line(entry: archive.Entry) -> str:
    return f"{entry.engine} {entry.version}: {entry.size:,} bytes, {entry.file_size:,} compressed"


@contextlib.contextmanager
def _writable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{name} can't be written: {error.strerror or error}"
        raise errors.InputError(message, hint="is there room, and may it be written? else give another place") from None
