"""GitHub's REST API about one repository: lists whole or not at all, nothing posted twice, answers checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k8s_ee import errors
from k8s_ee.github import connection, failures

Object = connection.Object
NotFound = failures.NotFound

_PAGES = 200


class Api:
    """Every method raises Refused for what GitHub won't do, GitHubUnavailable for whatever can't be known or believed.

    `repository` is the path that leads to OWNER/NAME.
    """

    def __init__(self, line: connection.Connection, *, repository: str) -> None:
        self.repository = f"/repos/{repository}"
        self._line = line

    def get(self, path: str, **parameters: str | int) -> Object:
        _, data = self._line.request("GET", path, parameters=parameters)
        return _an_object(data)

    def get_all(self, path: str, **parameters: str | int) -> list[Object]:
        """All pages, or an error: part of a list looks like things that are gone."""
        found: list[Object] = []
        for page in range(1, _PAGES + 1):
            headers, data = self._line.request("GET", path, parameters={**parameters, "per_page": 100, "page": page})
            if not isinstance(data, list):
                raise failures.unreadable("a list was expected")
            found += [_an_object(one) for one in data]
            if 'rel="next"' not in str(headers.get("link", "")):
                return found
        raise failures.unreadable(f"the list has more than {_PAGES} pages")

    def update(self, path: str, body: Mapping[str, Any]) -> Object:
        _, data = self._line.request("PATCH", path, body=body)
        return _an_object(data)

    def create(self, path: str, body: Mapping[str, Any], *, find: Callable[[], Object | None]) -> Object:
        """POST at most once. After an answer that leaves open whether it arrived, `find` looks before the next try."""
        for attempt in range(connection.ATTEMPTS):
            try:
                _, data = self._line.request("POST", path, body=body)
                return _an_object(data)
            except errors.GitHubUnavailable as error:
                if self._line.patience.short:
                    raise
                self._wait(attempt, error)
                if found := find():
                    return found
                failure = error
        raise failure

    def post(self, path: str) -> None:
        """One try, of something whose answer says no more than that it was taken."""
        self._line.request("POST", path)

    def login(self) -> str:
        """Whose token this is; an App's without the `[bot]` that REST writes after it. Empty = GitHub does not say."""
        # GET /user is closed to GITHUB_TOKEN and to Apps; `viewer` names all three.
        try:
            data = self._line.query("query { viewer { login } }").get("data")
        except errors.ONE_OF_MANY:
            return ""
        viewer = data.get("viewer") if isinstance(data, dict) else None
        return str(viewer.get("login") or "") if isinstance(viewer, dict) else ""

    def _wait(self, attempt: int, error: errors.GitHubUnavailable) -> None:
        patience = self._line.patience
        seconds = patience.before_retry(attempt)
        if isinstance(error, failures.RateLimited):
            seconds = max(seconds, patience.unsaid if error.seconds is None else error.seconds)
        if seconds > patience.limit or isinstance(error, NotFound):
            raise error
        patience.sleep(seconds)


def _an_object(data: Any) -> Object:
    """A page of HTML comes as {"data": …}, a redirection that the library does not follow as a message."""
    if not isinstance(data, dict) or set(data) <= {"data", "url", "message", "documentation_url"}:
        raise failures.unreadable("not the JSON it documents")
    return data
