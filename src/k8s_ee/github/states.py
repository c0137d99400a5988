"""Which pull requests are open and which are closed: a hundred with one request, and never a guess.

A state that the janitor acts on takes a clear answer: the right repository by its id, the right number, a state that
GitHub documents and a time that fits it. All else is Unknown, with the reason in words.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any

from k8s_ee import errors, lifecycle
from k8s_ee.github import connection

AT_ONCE = 100
SIDE_BY_SIDE = 3

REPOSITORY = re.compile(
    r"(?P<owner>[A-Za-z0-9_][A-Za-z0-9_-]{0,99})/(?P<name>(?!\.{1,2}$)[A-Za-z0-9._-]{1,100})", re.ASCII
)

_FRAGMENT = "fragment state on PullRequest { number state closedAt }"
_WORDS = 200


@dataclasses.dataclass(frozen=True, order=True)
class Subject:
    """One pull request as an environment names it: `repository` may be an old name, or anybody's claim."""

    repository: str
    repository_id: int
    number: int

    @property
    def owner(self) -> str:
        return self.repository.partition("/")[0]


@dataclasses.dataclass(frozen=True)
class Answer:
    """`repository` is the present name of the one that was asked for by id; empty = not confirmed."""

    state: lifecycle.PullRequestState
    repository: str = ""


@dataclasses.dataclass(frozen=True)
class _Batch:
    key: str
    subjects: tuple[Subject, ...]


class Asking:
    """`line` opens a connection for an owner, `key` says which owners share one, `covers` which ids are worth a try."""

    def __init__(
        self,
        *,
        line: Callable[[str], connection.Connection],
        key: Callable[[str], str],
        covers: Callable[[int], bool],
    ) -> None:
        self._line, self._key, self._covers = line, key, covers

    def ask(self, wanted: Iterable[Subject], *, deadline: float) -> dict[Subject, Answer]:
        """An answer for each. `deadline` (monotonic) ends all retries; a request on its way is waited for."""
        subjects = sorted(set(wanted))
        found = {one: _unknown(why) for one in subjects if (why := self._unaskable(one))}
        batches = self._batches([one for one in subjects if one not in found])
        lanes = [batches[start::SIDE_BY_SIDE] for start in range(min(SIDE_BY_SIDE, len(batches)))]
        if not lanes:
            return found
        with futures.ThreadPoolExecutor(max_workers=len(lanes)) as pool:
            running = [pool.submit(self._lane, lane, deadline) for lane in lanes]
            try:
                for one in running:
                    found |= one.result()
            except BaseException:
                self._line(batches[0].subjects[0].owner).patience.hurry()
                raise
        return found

    def _unaskable(self, subject: Subject) -> str:
        if not REPOSITORY.fullmatch(subject.repository):
            return "its namespace does not name a repository"
        if not 0 < subject.number < 2**31:
            return f"{subject.number} is no number of a pull request"
        if not self._covers(subject.repository_id):
            return f"{subject.repository} is not the repository of this token"
        return ""

    def _batches(self, subjects: Sequence[Subject]) -> list[_Batch]:
        """One identity each; sorted by repository, so that few are named twice."""
        by_key = sorted(subjects, key=lambda one: self._key(one.owner))
        groups = itertools.groupby(by_key, key=lambda one: self._key(one.owner))
        found = [(key, tuple(group)) for key, group in groups]
        return [
            _Batch(key, group[start : start + AT_ONCE])
            for key, group in found
            for start in range(0, len(group), AT_ONCE)
        ]

    def _lane(self, batches: Sequence[_Batch], deadline: float) -> dict[Subject, Answer]:
        """One batch after another, over connections of its own."""
        lines: dict[str, connection.Connection] = {}
        found: dict[Subject, Answer] = {}
        for batch in batches:
            if batch.key not in lines:
                lines[batch.key] = self._line(batch.subjects[0].owner).twin()
            found |= _ask_one(lines[batch.key], batch.subjects, deadline=deadline)
        return found


def _ask_one(line: connection.Connection, subjects: Sequence[Subject], *, deadline: float) -> dict[Subject, Answer]:
    if time.monotonic() > deadline:
        return dict.fromkeys(subjects, _unknown("there was no time left to ask GitHub"))
    names = {name: f"r{index}" for index, name in enumerate(dict.fromkeys(one.repository for one in subjects))}
    text, variables = _query(names, subjects)
    try:
        answer = line.read(text, variables, deadline=deadline)
    except errors.ONE_OF_MANY as error:
        return dict.fromkeys(subjects, _unknown(error.message))
    refused = dict(_refused(answer, names.values()))
    return {one: _answer(one, answer.get("data"), alias=names[one.repository], refused=refused) for one in subjects}


def _query(names: Mapping[str, str], subjects: Sequence[Subject]) -> tuple[str, dict[str, str]]:
    """Names go in as variables: they come from an annotation, and must never be read as a part of the query."""
    variables: dict[str, str] = {}
    blocks, declared = [], []
    for name, alias in names.items():
        variables[f"{alias}o"], _, variables[f"{alias}n"] = name.partition("/")
        declared.append(f"${alias}o: String!, ${alias}n: String!")
        numbers = sorted({one.number for one in subjects if one.repository == name})
        pulls = " ".join(f"p{number}: pullRequest(number: {number}) {{ ...state }}" for number in numbers)
        where = f"repository(owner: ${alias}o, name: ${alias}n)"
        blocks.append(f"{alias}: {where} {{ databaseId nameWithOwner {pulls} }}")
    return f"query({', '.join(declared)}) {{ {' '.join(blocks)} }} {_FRAGMENT}", variables


def _refused(answer: Mapping[str, Any], aliases: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the answer's `errors` are about, () = everything, and what GitHub says of it."""
    found = answer.get("errors")
    if found is None:
        return
    known = set(aliases)
    for one in found if isinstance(found, list) and found else [None]:
        said = " ".join(str(one.get("message") or "").split())[:_WORDS] if isinstance(one, dict) else ""
        path = one.get("path") if isinstance(one, dict) else None
        parts = [part for part in path if isinstance(part, str)] if isinstance(path, list) else []
        why = f"GitHub says: {said}" if said else "GitHub says that something went wrong"
        if not parts or parts[0] not in known:
            yield (), why
        else:
            yield tuple(parts[: 2 if len(parts) > 1 and re.fullmatch(r"p[0-9]+", parts[1], re.ASCII) else 1]), why


def _answer(subject: Subject, data: Any, *, alias: str, refused: Mapping[tuple[str, ...], str]) -> Answer:
    where = (alias, f"p{subject.number}")
    for path in ((), where[:1], where):
        if path in refused:
            return _unknown(refused[path])
    repository = data.get(alias) if isinstance(data, Mapping) else None
    if not isinstance(repository, Mapping):
        return _unknown(f"GitHub does not know {subject.repository}, or hides it from this token")
    if _whole(repository.get("databaseId")) != subject.repository_id:
        return _unknown(f"{subject.repository} is another repository than the environment's")
    name = repository.get("nameWithOwner")
    if not isinstance(name, str) or not REPOSITORY.fullmatch(name):
        return _unknown("GitHub's answer can't be read: a repository without its name")
    return Answer(_state(repository.get(where[1]), number=subject.number), repository=name)


def _state(pull: Any, *, number: int) -> lifecycle.PullRequestState:
    if not isinstance(pull, Mapping):
        return lifecycle.Unknown(f"GitHub says nothing of pull request {number}")
    if _whole(pull.get("number")) != number:
        return lifecycle.Unknown("GitHub answered about another pull request")
    state, closed_at = pull.get("state"), pull.get("closedAt")
    if state == "OPEN" and closed_at is None and "closedAt" in pull:
        return lifecycle.Open()
    if state in {"CLOSED", "MERGED"} and (at := _time(closed_at)):
        return lifecycle.Closed(at=at)
    return lifecycle.Unknown(
        f"GitHub's answer can't be read: state {str(state)[:20]!r}, closed at {str(closed_at)[:30]!r}"
    )


def _time(value: Any) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def _whole(value: Any) -> int:
    """0 = not a whole number; True is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _unknown(why: str) -> Answer:
    return Answer(lifecycle.Unknown(why))
