"""janitor: one pass over all environments. The authority on what stays, however many events got lost.

One LIST, one question to GitHub for each hundred, one decision for each; what is to be deleted is asked about once
more. Then it acts, side by side, and waits once for all that are on their way out.
"""

from __future__ import annotations

import functools
import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from k8s_ee import cluster, environment, errors, exporting, github, outcome, sweeping, traffic
from k8s_ee.cluster import destroy, leases, pool, preserving
from k8s_ee.commands import janitor_acts as acts
from k8s_ee.commands import janitor_figures as figures
from k8s_ee.commands import janitor_judging as judging
from k8s_ee.commands import janitor_owing as owing
from k8s_ee.commands import janitor_telling as telling
from k8s_ee.commands import room, session

LEASE = "janitor"

_WORTH_A_SURVEY = 4
_END_SECONDS = 60.0
_END_SECONDS_EACH = 0.5
_SPARE_SECONDS = 15.0
_EVIDENCE = 20


def janitor(
    ctx: session.Session,
    *,
    lease: bool | None = None,
    metrics_file: pathlib.Path | None = None,
    pushgateway: str = "",
    hub: github.GitHub | None = None,
) -> outcome.Outcome:
    """The Outcome's failure has exit code 4 when something failed, else 5 when something is unknown.

    Raises what reading the platform's settings, the Lease and the list of environments does: nothing was done then.
    """
    started = time.monotonic()
    ctx.github = hub or github.GitHub(ctx.settings, authors=ctx.platform.comment_authors)
    if not (ctx.settings.is_actions if lease is None else not lease):
        taken = leases.take(ctx.cluster, namespace=ctx.platform.namespace, name=LEASE, holder=leases.identity())
        if isinstance(taken, leases.Elsewhere):
            ctx.notes.append(f"another janitor is at work ({taken.holder}): nothing was done")
            return ctx.result("janitor", "skipped")
        with taken:
            turn = _turn(ctx, ctx.github, held=taken.still_held)
            results = _pass(turn)
    else:
        turn = _turn(ctx, ctx.github, held=lambda: True)
        results = _pass(turn)
    _note(turn, results)
    _export(turn, results, file=metrics_file, address=pushgateway, seconds=time.monotonic() - started)
    return _outcome(turn, results)


def _turn(ctx: session.Session, hub: github.GitHub, *, held: Callable[[], bool]) -> judging.Turn:
    return judging.Turn(
        ctx=ctx,
        github=hub,
        policy=ctx.platform.lifecycle,
        home=ctx.platform.namespace,
        held=held,
    )


def _pass(turn: judging.Turn) -> list[acts.Result]:
    ctx = turn.ctx
    with ctx.phase("list"):
        everything = cluster.environments(ctx.cluster)
    book = owing.opened(turn)
    with ctx.phase("decide"):
        turn.traffic = traffic.read(ctx.platform.traffic, ctx.now())
        judged = judging.confirmed(turn, judging.cases(turn, [one for one in everything if _is_ours(turn, one)]))
    if ctx.options.dry_run:
        return [acts.planned(one) for one in judged]
    try:
        with ctx.phase("act"):
            owing.note(turn, book, judged, everything, mine=functools.partial(_is_ours, turn))
            results = _act(turn, judged)
        with ctx.phase("finish"):
            return _finish(turn, book, results)
    except BaseException:
        turn.stop()
        raise
    finally:
        owing.closed(turn, book)
        _tidy(turn, everything)


def _is_ours(turn: judging.Turn, one: environment.Observed) -> bool:
    """In a workflow the token says whose; elsewhere all, or those of one repository."""
    given = turn.ctx.settings
    named = given.is_actions or not given.repository or one.repository.casefold() == given.repository.casefold()
    return named and turn.github.covers(one.repository_id)


def _act(turn: judging.Turn, judged: Sequence[judging.Case]) -> list[acts.Result]:
    """The ends first: each of them takes seconds that need nobody."""
    order = sorted(judged, key=lambda one: one.decision.kind != "delete")
    known = _survey(turn, sum(one.decision.kind == "delete" for one in order))
    return pool.side_by_side([functools.partial(acts.handle, turn, one, known) for one in order])


def _survey(turn: judging.Turn, count: int) -> destroy.Survey | None:
    if count < _WORTH_A_SURVEY:
        return None
    try:
        return destroy.survey(turn.cluster)
    except errors.Refused:  # Then each is asked about what it has.
        return None


def _finish(turn: judging.Turn, book: owing.Book, results: Sequence[acts.Result]) -> list[acts.Result]:
    """One wait for all that are on their way out; meanwhile those hear that are still to hear of earlier ends."""
    ending = [(one, one.begun) for one in results if one.begun is not None]
    if not ending:
        owing.tell_earlier(turn, book)
        return list(results)
    over = threading.Event()
    with pool.beside(functools.partial(_meanwhile, turn, book, [one.case for one, _ in ending], over)) as told:
        try:
            receipts = _await(turn, [begun for _, begun in ending])
        except errors.ONE_OF_MANY as error:  # Nobody knows how far they came; the next pass sees it.
            return [acts.Result(one.case, "failed", error.message) if one.begun else one for one in results]
        except BaseException:
            turn.stop()
            raise
        finally:
            over.set()
            told()
    by_uid = {receipt.uid: receipt for receipt in receipts}
    owing.tell(turn, book, [(one.case, by_uid[one.case.observed.uid]) for one, _ in ending])
    return [_ended(one, by_uid[one.case.observed.uid]) if one.begun else one for one in results]


def _meanwhile(turn: judging.Turn, book: owing.Book, ending: Sequence[judging.Case], over: threading.Event) -> None:
    telling.ending(turn, ending)
    owing.tell_earlier(turn, book, over=over)


def _await(turn: judging.Turn, begun: Sequence[destroy.Begun]) -> list[cluster.Receipt]:
    left = turn.ctx.deadline - _SPARE_SECONDS - time.monotonic()
    patience = max(1.0, min(_END_SECONDS + _END_SECONDS_EACH * len(begun), left))
    return destroy.finish(turn.cluster, begun, deadline=time.monotonic() + patience, progress=turn.ctx.say)


def _ended(result: acts.Result, receipt: cluster.Receipt) -> acts.Result:
    if not receipt.deleted or receipt.left:
        return acts.Result(result.case, "failed", f"not everything is gone: {'; '.join(receipt.left)}")
    return acts.Result(result.case, "deleted", result.detail)


def _tidy(turn: judging.Turn, everything: Sequence[environment.Observed]) -> None:
    """Slots of environments that are gone. Whoever may not see all environments can't know, and leaves them alone."""
    if turn.ctx.settings.is_actions or turn.ctx.options.dry_run or not turn.may_act():
        return
    check = functools.partial(_require_time, turn)
    try:
        check()
        preserving.tidy(turn.cluster, everything, home=turn.home, now=turn.now())
        room.look_after(turn.ctx, turn.github, check=check)
    except errors.ONE_OF_MANY as error:
        turn.troubles[f"slots could not be looked after: {error.message}"] += 1


def _require_time(turn: judging.Turn) -> None:
    """Raises NotReady when the rest is for a later pass, or for another janitor."""
    if time.monotonic() > turn.ctx.deadline or not turn.may_act():
        raise errors.NotReady("there was no time left for all of them")


def _note(turn: judging.Turn, results: Sequence[acts.Result]) -> None:
    ctx = turn.ctx
    ctx.notes += [f"{what} ({count} times)" for what, count in turn.troubles.items()]
    for alert in turn.alerts.values():
        ctx.notes.append(alert)
        ctx.runner.warning(alert, title="k8s-ee janitor")
    if turn.traffic.unknown:
        ctx.notes.append(f"no environment counted as unused: {turn.traffic.unknown}")
    left = sum(one.done == "passed on" for one in results)
    if left:
        ctx.notes.append(f"the Lease went to another janitor: {left} environments were left to it")


def _outcome(turn: judging.Turn, results: Sequence[acts.Result]) -> outcome.Outcome:
    rows = sorted((_row(one) for one in results), key=lambda row: str(row["namespace"]))
    summary = figures.summary(results)
    failure = _failure(turn, results)
    done: outcome.State = "planned" if turn.ctx.options.dry_run else "swept"
    return turn.ctx.result(
        "janitor",
        "failed" if failure else done,
        outputs={name.replace(" ", "-"): str(count) for name, count in summary.items() if isinstance(count, int)},
        data={"summary": summary, "environments": rows, "full": figures.is_full(results, told=turn.alerts)},
        failure=failure,
    )


def _row(result: acts.Result) -> dict[str, Any]:
    case, found = result.case, result.case.observed
    deadline = case.decision.deadline
    return {
        "namespace": found.namespace,
        "repository": found.repository,
        "pr": found.number,
        "decision": case.decision.kind,
        "reason": case.decision.reason,
        "deadline": deadline.isoformat(timespec="seconds") if deadline else "",
        "done": result.done,
        "detail": result.detail,
    }


def _failure(turn: judging.Turn, results: Sequence[acts.Result]) -> outcome.Failure | None:
    bad = [f"{one.case.observed.namespace}: {sweeping.said(_row(one))}" for one in results if _is_bad(turn, one)]
    if bad:
        message = f"{len(bad)} of {len(results)} environments need somebody to look"
        hint = "the next pass tries again; docs/operations.md says what holds an environment up"
        return outcome.Failure(message, hint=hint, evidence=tuple(bad[:_EVIDENCE]), exit_code=errors.NotReady.exit_code)
    unknown = sum(figures.is_news(one.case, told=turn.alerts) for one in results)
    if not unknown:
        return None
    return outcome.Failure(
        f"GitHub did not say whether {unknown} pull requests are open: their environments were left alone",
        hint="nothing to do if GitHub is away; otherwise see whether the App is installed for their repositories",
        exit_code=errors.Unavailable.exit_code,
    )


def _is_bad(turn: judging.Turn, result: acts.Result) -> bool:
    """A failed backup is, once: it may stay for weeks, and must not hide what goes wrong then."""
    news = result.done == "backup failed" and result.case.observed.uid in turn.alerts
    return news or result.done in {"failed", "stuck"}


def _export(
    turn: judging.Turn, results: Sequence[acts.Result], *, file: pathlib.Path | None, address: str, seconds: float
) -> None:
    if turn.ctx.options.dry_run:
        return
    gauges = figures.gauges(results, told=turn.alerts, seconds=seconds)
    exports: list[Callable[[], None]] = []
    if file:
        exports.append(functools.partial(exporting.to_file, gauges, file))
    if address:
        exports.append(functools.partial(exporting.to_gateway, gauges, address))
    for export in exports:
        try:
            export()
        except errors.ONE_OF_MANY as error:
            turn.ctx.notes.append(error.message)
            turn.ctx.runner.warning(error.message, title="k8s-ee janitor")
