"""Ends of which the pull request has yet to hear: noted before they begin, and until its comment says it.

Deleting does not wait for comments. GitHub may be away, and wants to be written to slowly; a namespace may need hours
to end, or somebody else may end it. What is not told in one pass, a later one tells.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from k8s_ee import cluster, environment, errors, lifecycle
from k8s_ee.cluster import destroy, notes
from k8s_ee.commands import janitor_judging as judging
from k8s_ee.commands import janitor_telling as telling

_OWED, _INSTALLATIONS = "owed-", "installations"
_KEPT = (environment.BACKUP, environment.BACKED_UP)
_TELLING_SECONDS = 20.0
"""With what may be written at once that makes 40 writes: those of a pass every five minutes stay below 500 an hour."""
_PROVING_SECONDS = 1.0
_AT_ONCE = 100
"""More are not even looked at in one pass."""
_GIVEN_UP_AFTER, _NOTED_ANEW_AFTER = datetime.timedelta(days=7), datetime.timedelta(days=1)
"""The first counts from the end; while that has not come, the second puts it off."""
_LATER = "an end is told in a later pass, at the pace that GitHub asks for"


@dataclasses.dataclass
class Book:
    """What is noted from pass to pass, by name; None = it could not be read, or is not for this process.

    Uids: `noted` of those that a later pass will know of, `settled` of those that need not be known any more.
    """

    known: dict[str, str] | None = None
    noted: set[str] = dataclasses.field(default_factory=set)
    settled: set[str] = dataclasses.field(default_factory=set)
    earlier: list[judging.Case] = dataclasses.field(default_factory=list)
    """Of passes before this one, the longest without a try first; no environment of that uid was listed in this one."""
    tried: set[str] = dataclasses.field(default_factory=set)
    """Uids of the earlier ones whose turn it was."""


def opened(turn: judging.Turn) -> Book:
    """Without notes in a workflow, whose key may not write any: what is not told at once is never told."""
    if turn.ctx.settings.is_actions:
        return Book()
    try:
        known = notes.read(turn.cluster, home=turn.home)
    except errors.ONE_OF_MANY as error:
        turn.troubles[f"what is still to be told could not be read: {error.message}"] += 1
        return Book()
    turn.github.remember(_installations(known.get(_INSTALLATIONS, "{}")))
    return Book(known, noted={name.removeprefix(_OWED) for name in known if name.startswith(_OWED)})


def note(
    turn: judging.Turn,
    book: Book,
    judged: Sequence[judging.Case],
    listed: Iterable[environment.Observed],
    *,
    mine: Callable[[environment.Observed], bool],
) -> None:
    """All that are on their way out, or are about to be. Of what can't be noted, later passes do not know."""
    if book.known is None:
        return
    owed = {name: text for name, text in book.known.items() if name.startswith(_OWED)}
    _take_up(turn, book, owed, there={one.uid for one in listed}, mine=mine)
    book.noted |= {
        name.removeprefix(_OWED) for name in _write(turn, {**_over(owed, judged), **_new(turn, owed, judged)})
    }


def closed(turn: judging.Turn, book: Book) -> None:
    """Forgets what is settled. Who was cut off before finds on GitHub that it is."""
    changes: dict[str, str | None] = {name: _tried(book, name, turn.now()) for name in _names(book.tried & book.noted)}
    changes |= dict.fromkeys(_names(book.settled & book.noted))
    found = _json(turn.github.installations)
    if book.known is not None and found != book.known.get(_INSTALLATIONS, "{}"):
        changes[_INSTALLATIONS] = found
    if turn.may_act():
        _write(turn, changes)


def tell(turn: judging.Turn, book: Book, ended: Sequence[tuple[judging.Case, cluster.Receipt]]) -> None:
    """As far as GitHub takes it now, so that the pass ends; of what no note keeps, with all the time there is."""
    never = threading.Event()
    for case, receipt in sorted(ended, key=lambda one: one[0].observed.uid in book.noted):
        until = 0.0 if case.observed.uid in book.noted else turn.ctx.deadline
        if not _may_tell(turn, over=never, until=until):
            turn.troubles[_LATER] += 1
        elif telling.gone(turn, case, receipt) and receipt.deleted:
            book.settled.add(case.observed.uid)


def tell_earlier(turn: judging.Turn, book: Book, *, over: threading.Event | None = None) -> None:
    """One after another, at GitHub's pace until that is `over`, or for a while. Only of what is proven gone.

    What can't be told goes to the end of the line, so that it never holds up what can.
    """
    until = turn.ctx.deadline if over else time.monotonic() + _TELLING_SECONDS
    over = over or threading.Event()
    if not book.earlier or not turn.may_act():
        return
    cases = book.earlier[:_AT_ONCE]
    try:
        receipts = _proven(turn, cases)
    except errors.ONE_OF_MANY as error:
        turn.troubles[f"whether earlier ends came could not be looked at: {error.message}"] += 1
        return
    for case in cases:
        if time.monotonic() > until:  # GitHub may be slow, and then its pace is no bound
            break
        receipt = receipts[case.observed.uid]
        if receipt.deleted and not _may_tell(turn, over=over, until=until):
            turn.troubles[_LATER] += 1
            continue
        book.tried.add(case.observed.uid)
        if receipt.deleted and telling.gone(turn, case, receipt):
            book.settled.add(case.observed.uid)


def _may_tell(turn: judging.Turn, *, over: threading.Event, until: float) -> bool:
    """Waits for its turn, but not when it is `over`. False when it would take too long: a later pass does not mind."""
    while turn.may_act():
        pause = turn.github.pause()
        if not pause:
            return True
        if over.is_set() or pause > min(until, turn.ctx.deadline) - time.monotonic():
            return False
        over.wait(pause)
    return False


def _proven(turn: judging.Turn, cases: Sequence[judging.Case]) -> dict[str, cluster.Receipt]:
    begun = [destroy.Begun(one.observed) for one in cases]
    deadline = time.monotonic() + _PROVING_SECONDS
    return {one.uid: one for one in destroy.finish(turn.cluster, begun, deadline=deadline, progress=turn.ctx.say)}


def _write(turn: judging.Turn, changes: Mapping[str, str | None]) -> frozenset[str]:
    """Names of what is noted now."""
    try:
        return notes.write(turn.cluster, changes, home=turn.home) if changes else frozenset()
    except errors.ONE_OF_MANY as error:
        turn.troubles[f"what is still to be told could not be noted: {error.message}"] += 1
        return frozenset()


def _installations(text: str) -> dict[str, int]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {owner: one for owner, one in found.items() if type(one) is int} if isinstance(found, dict) else {}


def _names(uids: Iterable[str]) -> list[str]:
    return [f"{_OWED}{uid}" for uid in sorted(uids)]


def _tried(book: Book, name: str, now: datetime.datetime) -> str:
    return _json({**json.loads((book.known or {})[name]), "tried": now.isoformat(timespec="seconds")})


def _last_turn(text: str) -> str:
    noted = json.loads(text)
    return str(noted.get("tried") or noted["at"])


def _ending(case: judging.Case) -> bool:
    return case.decision.kind == "delete" or case.observed.terminating


def _over(known: Iterable[str], judged: Sequence[judging.Case]) -> dict[str, str | None]:
    """Those that are to stay after all."""
    staying = {f"{_OWED}{one.observed.uid}" for one in judged if not _ending(one)}
    return dict.fromkeys(sorted(staying & set(known)))


def _new(turn: judging.Turn, known: Mapping[str, str], judged: Sequence[judging.Case]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for one in judged:
        name = f"{_OWED}{one.observed.uid}"
        before = _case(one.observed.uid, known.get(name, ""))
        if _ending(one) and (before is None or turn.now() - before.observed.created_at > _NOTED_ANEW_AFTER):
            found[name] = _text(before or one, turn.now())
    return found


def _take_up(
    turn: judging.Turn,
    book: Book,
    known: dict[str, str],
    *,
    there: set[str],
    mine: Callable[[environment.Observed], bool],
) -> None:
    for name, text in known.items():
        uid = name.removeprefix(_OWED)
        case = _case(uid, text)
        if case is None or (uid not in there and turn.now() - case.observed.created_at > _GIVEN_UP_AFTER):
            turn.troubles[f"given up: an end of {text[:200]} was never told"] += 1
            book.settled.add(uid)
        elif uid not in there and mine(case.observed):
            book.earlier.append(case)
    book.earlier.sort(key=lambda one: _last_turn(known[f"{_OWED}{one.observed.uid}"]))


_STATES: dict[bool | None, lifecycle.PullRequestState] = {
    True: lifecycle.Closed(),
    False: lifecycle.Open(),
    None: lifecycle.Unknown("not asked"),
}


def _text(case: judging.Case, now: datetime.datetime) -> str:
    """What its comment needs."""
    found, state = case.observed, case.facts.pull_request
    noted = {
        "namespace": found.namespace,
        "repository": found.repository,
        "repositoryId": found.repository_id,
        "pr": found.number,
        "comment": found.annotations.get(environment.COMMENT_ID, ""),
        "closed": None if isinstance(state, lifecycle.Unknown) else isinstance(state, lifecycle.Closed),
        "reason": "" if found.terminating else case.decision.reason,
        "at": now.isoformat(timespec="seconds"),
    }
    kept = {key: found.annotations[key] for key in _KEPT if key in found.annotations}
    return _json({**noted, **({"backup": kept} if kept else {})})


def _json(noted: Mapping[str, object]) -> str:
    return json.dumps(noted, separators=(",", ":"), sort_keys=True)


def _case(uid: str, text: str) -> judging.Case | None:
    """As it was judged; None when that can't be read. Its time of creation is when it was noted."""
    try:
        noted = json.loads(text)
        observed = environment.Observed(
            namespace=environment.NamespaceName(str(noted["namespace"])),
            uid=uid,
            resource_version="",
            project=environment.ProjectId(""),
            number=int(noted["pr"]),
            repository_id=int(noted["repositoryId"]),
            created_at=datetime.datetime.fromisoformat(noted["at"]).astimezone(datetime.UTC),
            terminating=False,
            annotations={
                environment.REPOSITORY: str(noted["repository"]),
                environment.COMMENT_ID: str(noted["comment"]),
                **noted.get("backup", {}),
            },
        )
        state, reason = _STATES[noted["closed"]], str(noted["reason"])
    except (ValueError, KeyError, TypeError):
        return None
    return judging.Case(lifecycle.Facts(observed, state), lifecycle.Decision("delete", reason))
