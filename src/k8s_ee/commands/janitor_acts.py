"""What the janitor does about one environment: only as it was judged, and once more if it changed in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from k8s_ee import backups, environment, errors, lifecycle, notices
from k8s_ee.cluster import destroy, marks, places, preserving, securing, unstick
from k8s_ee.commands import janitor_judging as judging
from k8s_ee.commands import janitor_telling as telling
from k8s_ee.github import failures

_JUDGED = (
    environment.ACTIVE_AT,
    environment.DEPLOYED_AT,
    environment.EXTENDED_UNTIL,
    environment.PRESERVED_UNTIL,
    environment.WARNED_OF,
    environment.WARNED_AT,
    environment.WARNING_FAILURES,
    environment.UNKNOWN_SINCE,
    environment.UNKNOWN_ALERTED_AT,
    environment.ASLEEP_SINCE,
    *backups.NOTES,
)
"""What a warning, or a note about an unknown state, was decided from."""
_NOTED = frozenset({"keep", "leave", "warn", "sleep", "expire"})
_STAYING = _NOTED - {"leave"}


class Moved(errors.Refused):
    """It is not what was judged any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} keeps being changed by somebody else", hint="the next pass decides anew")


@dataclasses.dataclass(frozen=True)
class Result:
    """`done` is one of `sweeping.DONE`; with `begun` its end is on the way and has to be waited for."""

    case: judging.Case
    done: str
    detail: str = ""
    begun: destroy.Begun | None = None


def planned(case: judging.Case) -> Result:
    """In a dry run."""
    return Result(case, {"keep": "kept", "leave": "kept", "hold": "backup failed"}.get(case.decision.kind, "planned"))


def handle(turn: judging.Turn, case: judging.Case, known: destroy.Survey | None) -> Result:
    """Never raises for the sake of one environment: the others are waiting."""
    try:
        try:
            return _act(turn, case, known)
        except (errors.Refused, errors.NotReady):  # Most often: somebody deployed, extended or destroyed it just now.
            case = judging.anew(turn, case)
            return _act(turn, case, known)
    except judging.Gone:
        return Result(case, "gone")
    except errors.ONE_OF_MANY as error:
        return Result(case, "failed", error.message)
    except errors.Interrupted:
        raise
    except Exception as error:  # a bug of ours about one must not keep the others from their end
        return Result(case, "failed", f"this is a bug: {type(error).__name__}: {error}")


def _act(turn: judging.Turn, case: judging.Case, known: destroy.Survey | None) -> Result:
    if not turn.may_act():
        return Result(case, "passed on")
    if case.decision.kind == "delete":
        return _delete(turn, case, known)
    if case.decision.kind in _NOTED and not case.observed.terminating:
        case = _note_unknown(turn, case)
        case = _forget_backup(turn, case)
    return _ACTS[case.decision.kind](turn, case)


def _keep(turn: judging.Turn, case: judging.Case) -> Result:
    if case.observed.terminating:
        return Result(case, "ending")
    return Result(_tell_of_sleep(turn, case), "kept")


def _warn(turn: judging.Turn, case: judging.Case) -> Result:
    """Counts as posted only once GitHub took it and that is noted."""
    deadline = case.decision.deadline
    assert deadline is not None  # noqa: S101 - a warning is about one
    if turn.github.pause():
        return _warned_later(case)
    now_seen = marks.again(turn.cluster, case.observed)
    if any(now_seen.annotations.get(key) != case.observed.annotations.get(key) for key in _JUDGED):
        raise Moved(case.observed.namespace)
    try:
        comment = telling.warning(turn, case)
    except failures.Later:
        return _warned_later(case)
    except errors.ONE_OF_MANY as error:
        _note(turn, case, notices.failed(case.observed, deadline))
        telling.event(turn, case, "WarningNotPosted", error.message, "Warning")
        return Result(case, "failed", f"its warning could not be posted: {error.message}")
    changes = notices.posted(deadline, turn.now()) | {environment.COMMENT_ID: str(comment)}
    noted = _note(turn, case, changes)
    telling.event(turn, noted, "Warned", f"ends {deadline.isoformat(timespec='seconds')}: {case.decision.reason}")
    return Result(noted, "warned")


def _warned_later(case: judging.Case) -> Result:
    """It has not failed, and until it is posted nothing is deleted for it."""
    return Result(case, "kept", "its warning is posted by a later pass, at the pace that GitHub asks for")


def _sleep(turn: judging.Turn, case: judging.Case) -> Result:
    """Its pull request is told by this pass, or by a later one, as of one that somebody else put to sleep."""
    asleep = places.sleep(turn.cluster, case.observed, turn.now(), home=turn.home, untold=case.decision.reason)
    slept = case.seen_as(asleep)
    telling.event(turn, slept, "PutToSleep", case.decision.reason)
    return Result(_tell_of_sleep(turn, slept), "slept")


def _tell_of_sleep(turn: judging.Turn, case: judging.Case) -> judging.Case:
    if not case.observed.sleep_untold or turn.github.pause() or not telling.asleep(turn, case):
        return case
    return _note(turn, case, {environment.SLEEP_UNTOLD: None})


def _expire(turn: judging.Turn, case: judging.Case) -> Result:
    ended = preserving.expire(turn.cluster, case.observed, home=turn.home)
    if ended is None:
        raise Moved(case.observed.namespace)
    telling.event(turn, case, "PreserveEnded", case.decision.reason)
    return Result(case.seen_as(ended), "expired")


def _delete(turn: judging.Turn, case: judging.Case, known: destroy.Survey | None) -> Result:
    begun = destroy.begin(turn.cluster, case.observed, turn.ctx.say, known=known)
    return Result(case, "ending", begun=begun)


def _back_up(turn: judging.Turn, case: judging.Case) -> Result:
    """Asks for it once. The keeper makes it, which has the key to the storage, and the janitor has none."""
    if backups.wanted_at(case.observed) is None:
        case = case.seen_as(securing.ask(turn.cluster, case.observed, turn.now()))
        telling.event(turn, case, "BackupWanted", f"it is destroyed after that: {case.decision.reason}")
        telling.backing_up(turn, case)
    return Result(case, "backing up", _last_error(case))


def _hold(turn: judging.Turn, case: judging.Case) -> Result:
    """Told once: the pull request by its comment, the cluster by an Event, and this pass by its failure."""
    told = environment.BACKUP_FAILED_AT in case.observed.annotations
    if not told and not turn.github.pause() and telling.held(turn, case):
        case = _note(turn, case, {environment.BACKUP_FAILED_AT: turn.now().isoformat(timespec="seconds")})
        telling.event(turn, case, "BackupFailed", case.decision.reason, "Warning")
        turn.alerts[case.observed.uid] = f"{case.observed.namespace} is not destroyed: {case.decision.reason}"
    return Result(case, "backup failed")


def _forget_backup(turn: judging.Turn, case: judging.Case) -> judging.Case:
    """Reopened, extended or preserved after it was to go: what was tried then does not count when it is to go again."""
    forgotten = backups.forgotten(case.observed) if case.decision.kind in _STAYING else {}
    return _note(turn, case, forgotten) if forgotten else case


def _last_error(case: judging.Case) -> str:
    number, error = backups.attempts(case.observed).number, case.observed.annotations.get(environment.BACKUP_ERROR)
    return f"attempt {number} failed: {error}" if error else ""


def _unstick(turn: judging.Turn, case: judging.Case) -> Result:
    report = unstick.unstick(turn.cluster, case.observed, turn.policy.orphaned_finalizers, turn.ctx.say)
    held = "; ".join(report.blockers) or "nothing is named that holds it"
    telling.event(turn, case, "Stuck", held, "Warning")
    if report.removed:
        telling.event(turn, case, "FinalizerRemoved", "; ".join(report.removed), "Warning")
        return Result(case, "ending", f"took off {'; '.join(report.removed)}", begun=destroy.Begun(case.observed))
    return Result(case, "stuck", held)


def _note_unknown(turn: judging.Turn, case: judging.Case) -> judging.Case:
    """Since when GitHub says nothing of it is noted once, told once when that is long, and forgotten when it does."""
    observed, now = case.observed, turn.now().isoformat(timespec="seconds")
    if not case.unknown:
        noted = {environment.UNKNOWN_SINCE, environment.UNKNOWN_ALERTED_AT} & set(observed.annotations)
        return _note(turn, case, dict.fromkeys(noted)) if noted else case
    if observed.unknown_since is None:
        return _note(turn, case, {environment.UNKNOWN_SINCE: now})
    if lifecycle.alert_due(case.facts, turn.policy, turn.now()):
        said = f"unknown since {observed.annotations[environment.UNKNOWN_SINCE]}: {case.unknown}"
        case = _note(turn, case, {environment.UNKNOWN_ALERTED_AT: now})
        telling.event(turn, case, "Unknown", said, "Warning")
        turn.alerts[observed.uid] = f"{observed.namespace}: {said}"
    return case


def _note(turn: judging.Turn, case: judging.Case, changes: marks.Changes) -> judging.Case:
    """Raises Moved when it is not what was judged any more."""
    written = marks.write(turn.cluster, case.observed, changes, reads=_JUDGED)
    if written is None:
        raise Moved(case.observed.namespace)
    return case.seen_as(written)


_ACTS: Mapping[lifecycle.Kind, Callable[[judging.Turn, judging.Case], Result]] = {
    "keep": _keep,
    "leave": _keep,
    "warn": _warn,
    "sleep": _sleep,
    "expire": _expire,
    "unstick": _unstick,
    "backup": _back_up,
    "hold": _hold,
}
