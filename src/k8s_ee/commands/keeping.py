"""extend, preserve and unpreserve: how long an environment stays, at the wish of a person."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

from k8s_ee import cluster, environment, errors, lifecycle, outcome, plan
from k8s_ee.cluster import marks, pool, preserving
from k8s_ee.commands import session

Observed = environment.Observed
Row = dict[str, Any]


def extend(ctx: session.Session, *, duration: datetime.timedelta, project: str = "") -> outcome.Outcome:
    """Moves the end of unused environments `duration` away from now, or from where it was if that is later.

    Raises Refused for one whose destruction has begun, and when it can't stay longer than it does.
    """
    return _each(ctx, "extend", "extended", functools.partial(_extend, ctx, duration), project=project)


def preserve(ctx: session.Session, *, duration: datetime.timedelta | None, project: str = "") -> outcome.Outcome:
    """Keeps environments until `duration` from now (the platform's default) whatever becomes of the pull request.

    Raises Refused for one whose destruction has begun, and when as many as the platform allows are preserved.
    """
    kept = ctx.platform.lifecycle.preserve_for if duration is None else duration
    return _each(ctx, "preserve", "preserved", functools.partial(_preserve, ctx, kept), project=project)


def unpreserve(ctx: session.Session, *, project: str = "") -> outcome.Outcome:
    """Gives the slots back. Raises Refused for an environment whose destruction has begun."""
    return _each(ctx, "unpreserve", "unpreserved", functools.partial(_unpreserve, ctx), project=project)


def chosen(ctx: session.Session, project: str) -> list[Observed]:
    """The environments of the pull request, or of one of its projects. Raises InputError when there is none."""
    found = [one for one in ctx.observed_environments() if not project or one.project == project]
    if not found:
        of = f" of project {project}" if project else ""
        raise errors.InputError(
            f"pull request {ctx.settings.number} of repository {ctx.settings.repository_id} has no environment{of}",
            hint="k8s-ee list shows what is there",
        )
    ctx.observed = found[0] if len(found) == 1 else None
    ctx.outputs["namespace"] = " ".join(one.namespace for one in found)
    return found


def result(ctx: session.Session, command: str, state: outcome.State, rows: list[Row]) -> outcome.Outcome:
    shown: outcome.State = "planned" if ctx.options.dry_run else state
    return ctx.result(command, shown, outputs=ctx.outputs, data={"environments": rows})


def row(observed: Observed, *, until: datetime.datetime | None, commit: str = "") -> Row:
    """What `staying` makes sentences of."""
    return {
        "namespace": observed.namespace,
        "repositoryId": observed.repository_id,
        "pr": observed.number,
        "url": observed.url,
        "commit": commit,
        "until": until.isoformat(timespec="seconds") if until else "",
    }


def serving(ctx: session.Session, observed: Observed) -> str:
    """The one commit behind its Service now; empty when none or several serve."""
    seen = cluster.serving(ctx.cluster, observed.namespace, plan.APP)
    return next(iter(seen)) if len(seen) == 1 else ""


def _each(
    ctx: session.Session, command: str, state: outcome.State, act: Callable[[Observed], Row], *, project: str
) -> outcome.Outcome:
    """One that fails does not keep the others from being tried."""
    found = chosen(ctx, project)
    with ctx.phase(command):
        rows = pool.side_by_side([functools.partial(act, one) for one in found])
    ctx.outputs["until"] = " ".join(one["until"] for one in rows)
    return result(ctx, command, state, rows)


def _extend(ctx: session.Session, duration: datetime.timedelta, observed: Observed) -> Row:
    policy, now = ctx.platform.lifecycle, ctx.now()
    last = lifecycle.hard_deadline(observed, policy)

    def decide(found: Observed) -> marks.Changes:
        begins = max(_until(found, policy), now)
        if last <= begins:
            raise _no_longer(found, last)
        until = min(begins + duration, last)
        return {environment.EXTENDED_UNTIL: until.isoformat(timespec="seconds")}

    written = marks.change(ctx.cluster, observed, decide, reads=(environment.EXTENDED_UNTIL,))
    _note_if_cut(ctx, written, until=written.extended_until, last=last)
    return row(written, until=written.extended_until, commit=serving(ctx, written))


def _preserve(ctx: session.Session, duration: datetime.timedelta, observed: Observed) -> Row:
    policy, now = ctx.platform.lifecycle, ctx.now()
    last = lifecycle.hard_deadline(observed, policy)
    until = min(max(now + duration, observed.preserved_until or now), last)
    if until <= now:
        raise _no_longer(observed, last)
    limit, home = policy.preserve_limit, ctx.platform.namespace
    written = preserving.preserve(ctx.cluster, observed, until, limit=limit, home=home)
    _note_if_cut(ctx, written, until=until, last=last)
    return row(written, until=written.preserved_until, commit=serving(ctx, written))


def _unpreserve(ctx: session.Session, observed: Observed) -> Row:
    if environment.PRESERVED_UNTIL not in observed.annotations:
        ctx.notes.append(f"{observed.namespace} was not preserved")
    ended = preserving.end(ctx.cluster, observed, home=ctx.platform.namespace)
    return row(ended, until=_until(ended, ctx.platform.lifecycle), commit=serving(ctx, ended))


def _until(observed: Observed, policy: lifecycle.Policy) -> datetime.datetime:
    """When it goes if nothing happens. Traffic, which only the janitor sees, can make that later."""
    return lifecycle.end(lifecycle.Facts(observed, lifecycle.Open()), policy)


def _no_longer(observed: Observed, last: datetime.datetime) -> errors.Refused:
    return errors.Refused(
        f"environment {observed.namespace} can't stay longer than {last:%Y-%m-%d %H:%M} UTC: nothing was changed",
        hint="the platform keeps none for longer after it was made; once it is gone, a deploy makes a new one",
    )


def _note_if_cut(
    ctx: session.Session, observed: Observed, *, until: datetime.datetime | None, last: datetime.datetime
) -> None:
    if until is not None and until >= last:
        ctx.notes.append(f"{observed.namespace} can't stay longer than that: the platform keeps none for longer")
