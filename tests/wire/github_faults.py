"""Ways in which the local GitHub can fail, each for the next `times` requests that fit."""

from __future__ import annotations

import copy
import dataclasses
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, Literal

from tests.wire import github_graphql as graphql


@dataclasses.dataclass
class Fault:
    """`applied`: the request takes effect before it fails, as with a lost answer. `delay` in seconds, or `until` then.

    `kind`: `status` a JSON error, `html` an error page, `truncated` half of the right answer under its full length,
    `garbled` half of it that claims to be all, `empty` nothing with status 200, `drop` the connection closed without an
    answer, `slow` only the delay, `altered` the right GraphQL answer with `alteration` (of ALTERATIONS) done to it: to
    what it says of `pull` ("acme/shop#7"), or of all.
    """

    method: str = ".*"
    path: str = ".*"
    kind: Literal["status", "html", "truncated", "garbled", "empty", "drop", "slow", "altered"] = "status"
    status: int = 502
    message: str = "Server Error"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0
    until: threading.Event | None = None
    applied: bool = False
    times: int = 1
    alteration: str = ""
    pull: str = ""


def rate_limited(**where: str) -> Fault:
    headers = {"X-RateLimit-Remaining": "0", "Retry-After": "0"}
    return Fault(status=403, message="API rate limit exceeded for installation ID 1.", headers=headers, **where)  # type: ignore[arg-type]


Alter = Callable[[dict[str, Any], str, str], None]


def alter(body: Any, seen: Iterable[graphql.Seen], fault: Fault) -> Any:
    """The body with the fault in it."""
    if fault.alteration in WHOLE:
        return WHOLE[fault.alteration](body)
    changed = copy.deepcopy(body)
    for one in seen:
        if fault.pull in {"", f"{one.repository}#{one.number}"}:
            ALTERATIONS[fault.alteration](changed, *one.path)
    return changed


def _set(**values: Any) -> Alter:
    """Fields of the pull request."""
    return lambda body, repository, pull: body["data"][repository][pull].update(values)


def _error(*, data: Literal["kept", "null"], path: int = 2, field: str = "") -> Alter:
    """An error whose path is so many aliases long; `null`: what it is about is null, too."""

    def change(body: dict[str, Any], repository: str, pull: str) -> None:
        where = [repository, pull][:path] + ([field] if field else [])
        said = {"type": "INTERNAL", "path": where, "message": "Something went wrong while executing your query."}
        body.setdefault("errors", []).append(said)
        if data == "null" and path == 1:
            body["data"][repository] = None
        elif data == "null":
            body["data"][repository][pull] = None

    return change


def _null_repository(body: dict[str, Any], repository: str, _pull: str) -> None:
    body["data"][repository] = None


def _missing_repository(body: dict[str, Any], repository: str, _pull: str) -> None:
    body["data"].pop(repository, None)


def _other_repository(body: dict[str, Any], repository: str, _pull: str) -> None:
    body["data"][repository]["databaseId"] = 999_999


def _null_pull(body: dict[str, Any], repository: str, pull: str) -> None:
    body["data"][repository][pull] = None


def _missing_pull(body: dict[str, Any], repository: str, pull: str) -> None:
    del body["data"][repository][pull]


ALTERATIONS: dict[str, Alter] = {
    "null-repository": _null_repository,
    "missing-repository": _missing_repository,
    "other-repository": _other_repository,
    "null-pull": _null_pull,
    "missing-pull": _missing_pull,
    "error-on-pull": _error(data="null"),
    "error-on-pull-with-data": _error(data="kept"),
    "error-on-a-field": _error(data="kept", field="closedAt"),
    "error-on-repository": _error(data="null", path=1),
    "error-on-repository-with-data": _error(data="kept", path=1),
    "other-number": _set(number=424_242),
    "unknown-state": _set(state="LOCKED", closedAt="2026-01-01T00:00:00Z"),
    "state-in-small-letters": _set(state="closed", closedAt="2026-01-01T00:00:00Z"),
    "no-state": _set(state=None),
    "closed-without-a-time": _set(state="CLOSED", closedAt=None),
    "closed-at-no-time": _set(state="CLOSED", closedAt="yesterday"),
    "closed-at-a-time-without-zone": _set(state="CLOSED", closedAt="2026-01-01T00:00:00"),
    "open-and-closed": _set(state="OPEN", closedAt="2026-01-01T00:00:00Z"),
    "a-list-for-a-pull": lambda body, repository, pull: body["data"][repository].update({pull: ["CLOSED"]}),
}

_LIMITED = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."

WHOLE: dict[str, Callable[[Any], Any]] = {
    "errors": lambda body: {**body, "errors": [{"message": "Something went wrong while executing your query."}]},
    "errors-without-data": lambda _: {"data": None, "errors": [{"message": "Something went wrong."}]},
    "errors-of-no-kind": lambda body: {**body, "errors": "oops"},
    "an-empty-list-of-errors": lambda body: {**body, "errors": []},
    "errors-with-a-foreign-path": lambda body: {**body, "errors": [{"message": "no", "path": ["elsewhere", 3]}]},
    "errors-with-an-odd-path": lambda body: {**body, "errors": [{"message": "no", "path": "r0"}]},
    "no-data": lambda _: {},
    "null-data": lambda _: {"data": None},
    "empty-data": lambda _: {"data": {}},
    "data-is-a-list": lambda _: {"data": []},
    "a-list": lambda _: [],
    "null": lambda _: None,
    "text": lambda _: "closed",
    "rate-limited": lambda _: {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded."}]},
    "rate-limited-with-data": lambda body: {**body, "errors": [{"type": "RATE_LIMITED", "message": "limit exceeded"}]},
    "secondary-limit": lambda _: {"message": _LIMITED, "documentation_url": "https://docs.github.com/graphql"},
}


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._active += faults

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._active:
                if fault.times > 0 and re.fullmatch(fault.method, method) and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    return fault
        return None
