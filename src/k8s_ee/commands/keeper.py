"""keeper: backs up what is to be destroyed. It alone has the key to the storage, and destroys nothing.

What is owed, and how often it was tried, stands on the namespaces; backups.py has the rules.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import time
from typing import Any

from k8s_ee import backups, cluster, environment, errors, outcome
from k8s_ee.cluster import securing, sleeping
from k8s_ee.commands import contents, saving, session

Observed = environment.Observed
Row = dict[str, Any]

AT_ONCE = 3
"""Each needs room for its archive in the folder for temporary files."""
_SHOWN = 20


def keeper(ctx: session.Session) -> outcome.Outcome:
    """The Outcome's failure has exit code 4 when an attempt failed: another one follows, up to three.

    Raises InputError when something is owed and the platform has no place for backups, and what listing raises.
    """
    deadline, to = ctx.platform.backup.deadline, ctx.platform.backup.to
    with ctx.phase("list"):
        owed = [one for one in cluster.environments(ctx.cluster) if _is_due(ctx, one)]
    if owed and not to:
        raise errors.InputError(
            f"{len(owed)} environments are to be backed up, and the platform has no place for that",
            hint=f"set `backup.to` of the platform's settings within {deadline} of their closing",
        )
    if ctx.options.dry_run:
        return _outcome(ctx, "planned", [_row(one, "planned") for one in owed])
    with ctx.phase("back up"):
        rows = contents.side_by_side(ctx, [functools.partial(_keep, ctx, one, to) for one in owed], size=AT_ONCE)
    return _outcome(ctx, "saved", rows)


def _is_due(ctx: session.Session, one: Observed) -> bool:
    return not one.is_ending and backups.is_due_now(one, ctx.platform.backup.deadline, ctx.now())


def _keep(ctx: session.Session, observed: Observed, to: str) -> Row:
    """Never raises for the sake of one environment: the others are waiting."""
    if not _is_due(ctx, observed):
        return _row(observed, "left alone", detail="its time was over before its turn came")
    try:
        begun = securing.note(ctx.cluster, observed, backups.begun(observed, ctx.now()))
    except errors.ONE_OF_MANY as error:  # Most often: it is used again, gone, or another keeper has it.
        return _row(observed, "left alone", detail=error.message)
    try:
        kept = saving.save(_in_time(ctx, begun), begun, to)
    except errors.Interrupted:
        raise
    except sleeping.Woken as error:
        return _row(begun, "left alone", detail=error.message)
    except errors.K8sEEError as error:
        ctx.say(f"{begun.namespace}: {error.message}; {error.hint}")
        return _failed(ctx, begun, error.message)
    except Exception as error:  # a bug of ours about one must not keep the others from their backup
        ctx.say(f"{begun.namespace}: {error}")
        return _failed(ctx, begun, f"this is a bug: {type(error).__name__}")
    return _row(kept, "backed up", detail=backups.place(kept) or "it has no database")


def _failed(ctx: session.Session, begun: Observed, message: str) -> Row:
    """What an engine said, in the hint, stays in the log: everybody may read what stands on a namespace."""
    why = ctx.redactor.redact(message)
    with contextlib.suppress(*errors.ONE_OF_MANY):  # used again, or gone; else its time is over some day
        securing.note(ctx.cluster, begun, backups.failed(why))
    return _row(begun, "failed", detail=why)


def _in_time(ctx: session.Session, begun: Observed) -> session.Session:
    left = backups.time_left(begun, ctx.platform.backup.deadline, ctx.now())
    return ctx.until(time.monotonic() + left.total_seconds())


def _row(observed: Observed, done: str, *, detail: str = "") -> Row:
    return {
        "namespace": observed.namespace,
        "repository": observed.repository,
        "pr": observed.number,
        "attempt": backups.attempts(observed).number,
        "done": done,
        "detail": detail,
    }


def _outcome(ctx: session.Session, state: outcome.State, rows: list[Row]) -> outcome.Outcome:
    done = collections.Counter(str(one["done"]) for one in rows)
    bad = [f"{one['namespace']} (attempt {one['attempt']}): {one['detail']}" for one in rows if one["done"] == "failed"]
    failure = outcome.Failure(
        f"{len(bad)} of {len(rows)} backups failed",
        hint=f"nothing is destroyed without its backup; each is tried {backups.ATTEMPTS} times within its deadline, "
        f"for at most 1/{backups.ATTEMPTS} of it: what takes longer needs a longer `backup.deadline`",
        evidence=tuple(bad[:_SHOWN]),
        exit_code=errors.NotReady.exit_code,
    )
    names = ("backed up", "failed", "left alone", "planned")
    return ctx.result(
        "keeper",
        "failed" if bad else state,
        outputs={"owed": str(len(rows)), **{name.replace(" ", "-"): str(done[name]) for name in names}},
        data={"environments": rows},
        failure=failure if bad else None,
    )
