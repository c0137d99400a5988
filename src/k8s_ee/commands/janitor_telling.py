"""What the janitor tells: the pull request in its comment, the cluster in an Event, GitHub's deployments.

But for warnings, which count, what can't be told never fails what was done: it is noted as trouble of this pass.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from k8s_ee import backups, cluster, environment, errors, lifecycle, outcome, plan, report
from k8s_ee.cluster import happenings, pool
from k8s_ee.commands import janitor_judging as judging
from k8s_ee.github import failures

if TYPE_CHECKING:
    from k8s_ee import github as githubs

_AGAIN: dict[type[lifecycle.PullRequestState], str] = {
    lifecycle.Closed: "A reopened pull request gets a new environment, with empty databases.",
    lifecycle.Open: "The next push to the pull request makes a new one, with empty databases.",
    lifecycle.Unknown: "The next push to the open pull request makes a new one, with empty databases.",
}


def warning(turn: judging.Turn, case: judging.Case) -> int:
    """Id of the comment that says it. Raises what GitHub refuses: a warning that nobody can read is none."""
    deadline, ends_preserve = case.decision.deadline, case.decision.deadline == case.observed.preserved_until
    kept = ends_preserve and not isinstance(case.facts.pull_request, lifecycle.Closed)
    hard = deadline == lifecycle.hard_deadline(case.observed, turn.policy)
    remedy = "" if hard else "preserve" if ends_preserve else "extend 24h"
    row = _row(turn, case, until=deadline, reason=case.decision.reason, remedy=remedy)
    return _comment(turn, case.observed, "lapsing" if kept else "expiring", rows=[row])


def asleep(turn: judging.Turn, case: judging.Case) -> bool:
    """False when it is worth another try in a later pass."""
    found = case.observed
    row = _row(turn, case, until=found.asleep_since, reason=found.sleep_untold, remedy="", serving=False)
    return _attempt(turn, functools.partial(_comment, turn, found, "sleeping", rows=[row]))


def backing_up(turn: judging.Turn, case: judging.Case) -> None:
    row = _row(turn, case, until=None, reason=case.decision.reason, remedy="", serving=False)
    _attempt(turn, functools.partial(_comment, turn, case.observed, "backing-up", rows=[row]))


def held(turn: judging.Turn, case: judging.Case) -> bool:
    """False when it is worth another try in a later pass."""
    deadline = case.decision.deadline
    row = _row(turn, case, until=deadline, reason=case.decision.reason, remedy="", serving=False)
    return _attempt(turn, functools.partial(_comment, turn, case.observed, "backup-failed", rows=[row]))


def gone(turn: judging.Turn, case: judging.Case, receipt: cluster.Receipt) -> bool:
    """Comment and deployments. False when it is worth another try in a later pass.

    Says nothing when there is a new environment of that name by now: the comment is about that one.
    """
    return _attempt(turn, functools.partial(_gone, turn, case, receipt))


def ending(turn: judging.Turn, ended: Sequence[judging.Case]) -> None:
    """An Event each."""
    requested = [case for case in ended if case.decision.kind == "delete"]
    pool.side_by_side([functools.partial(event, turn, one, "Destroying", one.decision.reason) for one in requested])


def event(
    turn: judging.Turn, case: judging.Case, reason: str, message: str, level: Literal["Normal", "Warning"] = "Normal"
) -> None:
    try:
        happenings.tell(turn.cluster, case.observed, reason=reason, message=message, now=turn.now(), level=level)
    except errors.ONE_OF_MANY as error:
        if turn.ctx.settings.is_actions and isinstance(error, errors.Refused):
            return  # The key of a workflow is for environments only, and its run is there to be read.
        turn.troubles[f"no Event could be written: {error.message}"] += 1


def _gone(turn: judging.Turn, case: judging.Case, receipt: cluster.Receipt) -> None:
    found = case.observed
    told = f"{report.marker(found.namespace)}\n### {report.GONE}"

    def followed() -> bool:
        return receipt.deleted and turn.cluster.get("Namespace", found.namespace) is not None

    failure = None
    if receipt.left:
        failure = outcome.Failure(
            f"not everything is gone: {'; '.join(receipt.left)}",
            hint="it goes once the named blocker is gone; nothing is ever forced",
            evidence=receipt.left,
        )
    because = (f"Destroyed because: {case.decision.reason}.",) if case.decision.reason else ()
    _comment(
        turn,
        found,
        "failed" if failure else "destroyed",
        settled=lambda body: body.startswith(told) or followed(),
        outputs={"deleted": f'["{found.namespace}"]' if receipt.deleted else "[]"},
        failure=failure,
        notes=(*because, *_saved(found), _AGAIN[type(case.facts.pull_request)]),
    )
    if not followed():
        _github(turn, found).deactivate(found.number, namespace=found.namespace)


def _saved(found: environment.Observed) -> tuple[str, ...]:
    place = backups.place(found)
    if place:
        return (f"Its databases are in {place}; `k8s-ee restore` loads them into another environment.",)
    if environment.BACKUP in found.annotations and place is None:
        return ("There is no backup of its databases.",)
    return ()


def _attempt(turn: judging.Turn, tell: Callable[[], object]) -> bool:
    """False when it may go well another time."""
    if time.monotonic() > turn.ctx.deadline:
        turn.troubles["GitHub was not told: there was no time left"] += 1
        return False
    try:
        tell()
    except errors.ONE_OF_MANY as error:
        turn.troubles[f"GitHub was not told: {error.message}"] += 1
        return isinstance(error, errors.Refused) and not isinstance(error, failures.SignedOut)
    except errors.Interrupted:
        raise
    except Exception as error:  # a bug of ours must not keep the pass from its summary
        turn.troubles[f"GitHub was not told: this is a bug: {type(error).__name__}: {error}"] += 1
    return True


def _comment(
    turn: judging.Turn,
    observed: environment.Observed,
    state: outcome.State,
    *,
    rows: Sequence[dict[str, Any]] = (),
    settled: Callable[[str], bool] = lambda _body: False,
    **more: Any,
) -> int:
    """Its id. One whose body is `settled` is left as it is."""
    told = outcome.Outcome(command="cleanup", state=state, data={"environments": list(rows)}, **more)
    given = turn.ctx.settings
    url = f"{given.server_url}/{observed.repository}" if observed.repository else ""
    known = report.Facts(namespace=observed.namespace, repository_url=url, run_url=given.run_url)
    remembered = observed.annotations.get(environment.COMMENT_ID, "")
    return _github(turn, observed).upsert_comment(
        observed.number,
        report.marker(observed.namespace),
        report.comment(turn.ctx.redactor.outcome(told), known),
        comment_id=int(remembered) if remembered.isdecimal() and remembered.isascii() else None,
        settled=settled,
    )


def _github(turn: judging.Turn, observed: environment.Observed) -> githubs.GitHub:
    return turn.github.at(observed.repository, observed.repository_id)


def _row(
    turn: judging.Turn,
    case: judging.Case,
    *,
    until: datetime.datetime | None,
    reason: str,
    remedy: str,
    serving: bool = True,
) -> dict[str, Any]:
    observed = case.observed
    return {
        "namespace": observed.namespace,
        "repositoryId": observed.repository_id,
        "pr": observed.number,
        "url": observed.url,
        "commit": _serving(turn, observed) if serving else "",
        "until": until.isoformat(timespec="seconds") if until else "",
        "reason": reason,
        "remedy": remedy,
    }


def _serving(turn: judging.Turn, observed: environment.Observed) -> str:
    """The one commit behind its Service now; empty when none or several serve, or that can't be seen."""
    try:
        seen = set() if observed.asleep_since else cluster.serving(turn.cluster, observed.namespace, plan.APP)
    except errors.ONE_OF_MANY:
        return ""
    return next(iter(seen)) if len(seen) == 1 else ""
