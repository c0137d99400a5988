"""cleanup: destroys the environments of one pull request and proves it. Needs nothing of the pull request's files."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

from k8s_ee import cluster, environment, errors, outcome
from k8s_ee.cluster import sleeping
from k8s_ee.commands import admission, contents, ending, keeping, room, session

_ATTEMPTS = 5


def cleanup(
    ctx: session.Session,
    *,
    project: str = "",
    backup_to: str = "",
    without_backup: bool = False,
    closed: bool = False,
) -> outcome.Outcome:
    """One with `backup: onDestroy` is left to the platform, which backs it up first: the state is "backing-up" then.
    What is preserved stays when nobody asks for its end but the closing of its pull request (`closed`, or the event).

    `backup_to` backs up here and now, `without_backup` not at all. Raises NotReady when something is left, naming it
    and who holds it, Refused when it was reopened, and what a backup raises: then its environment was not destroyed.
    """
    if backup_to and without_backup:
        raise errors.InputError("--backup-to and --without-backup contradict each other", hint="choose one of them")
    ctx.outputs |= {"namespace": "", "deleted": "[]", "left-over": "[]"}
    refusal = admission.may_destroy(ctx)
    if refusal:
        return ctx.skipped("cleanup", refusal)
    there = ctx.observed_environments()
    found = [one for one in there if not project or one.project == project]
    closed = closed or ctx.settings.closed or ctx.settings.action == "closed"
    kept = [one for one in found if closed and _is_preserved(ctx, one)]
    if kept and len(kept) == len(found):
        return ctx.skipped("cleanup", "; ".join(map(_kept, kept)))
    ctx.notes += map(_kept, kept)
    found = [one for one in found if one not in kept]
    ctx.outputs["namespace"] = " ".join(one.namespace for one in found)
    if not found:
        ctx.notes.append(_nothing(project, there))
    way = ending.Way(backup_to=backup_to, without_backup=without_backup, keeps_preserved=closed)
    if ctx.options.dry_run:
        ctx.notes += [note for one in found if (note := ending.plan(way, one))]
        return _result(ctx, "planned", found, kept=kept, receipts=[], project=project)
    return _end(ctx, found, way, kept=kept, project=project)


def _end(
    ctx: session.Session,
    found: list[environment.Observed],
    way: ending.Way,
    *,
    kept: list[environment.Observed],
    project: str,
) -> outcome.Outcome:
    with ctx.phase("destroy"):
        ends = contents.side_by_side(ctx, [functools.partial(_destroy, ctx, one, way) for one in found])
    receipts = [one for one in ends if isinstance(one, cluster.Receipt)]
    waiting = [one for one in ends if isinstance(one, environment.Observed)]
    room.give_back(ctx, receipts)
    left = tuple(item for one in receipts for item in one.left)
    deleted = [one.namespace for one in receipts if one.deleted]
    ctx.outputs |= {"deleted": json.dumps(deleted), "left-over": json.dumps(left)}
    if left:
        raise errors.NotReady(
            f"not everything is gone: {'; '.join(left)}",
            hint="run the same command again once the named blocker is gone; nothing is ever forced",
            evidence=left,
        )
    if waiting:
        return _waiting(ctx, waiting)
    return _result(ctx, "destroyed", found, kept=kept, receipts=receipts, project=project)


def _nothing(project: str, there: Sequence[environment.Observed]) -> str:
    """A project may be misspelt; the others are named then, so that nobody takes them for gone."""
    if not there:
        return "nothing to clean up: this pull request has no environment"
    others = ", ".join(sorted(one.project for one in there))
    return f"nothing to clean up: project {project} has no environment here, but there is one of {others}"


def _is_preserved(ctx: session.Session, observed: environment.Observed) -> bool:
    """Also where it can't be read until when: the janitor ends what nobody preserves any more."""
    until = observed.preserved_until
    return environment.PRESERVED_UNTIL in observed.annotations and (until is None or until > ctx.now())


def _kept(observed: environment.Observed) -> str:
    until = observed.annotations[environment.PRESERVED_UNTIL]
    return f"{observed.namespace} is preserved until {until}: it stays until then, though its pull request is closed"


def _destroy(ctx: session.Session, observed: environment.Observed, way: ending.Way) -> ending.End:
    """Decides anew when somebody wrote to the environment in between: a deploy that ends just now does."""
    for _attempt in range(_ATTEMPTS):
        try:
            return ending.end(ctx, observed, way)
        except (cluster.Changed, sleeping.Woken):
            refusal = admission.may_destroy(ctx)
            if refusal:
                raise errors.Refused(refusal) from None
            observed = next((one for one in ctx.observed_environments() if one.uid == observed.uid), observed)
            if way.keeps_preserved and _is_preserved(ctx, observed):
                raise errors.Refused(_kept(observed)) from None
    return ending.end(ctx, observed, way)


def _waiting(ctx: session.Session, waiting: list[environment.Observed]) -> outcome.Outcome:
    rows = [keeping.row(one, until=one.backup_wanted_at) for one in waiting]
    ctx.notes += [f"{one.namespace} is destroyed by the platform once its databases are backed up" for one in waiting]
    ctx.notes.append("`k8s-ee cleanup --without-backup` destroys at once, with all data")
    return ctx.result("cleanup", "backing-up", outputs=ctx.outputs, data={"environments": rows})


def _result(
    ctx: session.Session,
    state: outcome.State,
    found: list[environment.Observed],
    *,
    kept: list[environment.Observed],
    receipts: list[cluster.Receipt],
    project: str,
) -> outcome.Outcome:
    gone = {
        "kept": [one.namespace for one in kept],
        "environments": [{"namespace": one.namespace, "uid": one.uid} for one in found],
        "project": project,
        "volumes": [volume for one in receipts for volume in one.volumes],
    }
    return ctx.result("cleanup", state, outputs=ctx.outputs, data=gone)
