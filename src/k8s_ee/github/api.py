"""Requests to GitHub's REST API: bounded in time, retried where that is safe, answers checked before they are believed.

PyGithub sends them. Its own retries post again what may have arrived, and return an HTML page as an empty object.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import errors, settings

if TYPE_CHECKING:
    import github

Object = dict[str, Any]

_RETRIED = (429, 500, 502, 503, 504)
_IDEMPOTENT = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
_ATTEMPTS = 4
_PAGES = 200
_SHORT_SECONDS = 2


class NotFound(errors.GitHubUnavailable):
    """404 and 410. GitHub also says so for what the token may not see: it proves nothing."""


class RateLimited(errors.GitHubUnavailable):
    """`seconds` is how long GitHub wants us to wait."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message, hint="wait, or use a token of its own for this repository")
        self.seconds = seconds


class Api:
    """Every method raises Refused for what GitHub won't do, GitHubUnavailable for whatever can't be known or believed.

    `patience`: longest wait for a rate limit; `timeout`: per connection and read; `pause`: before the first retry. All
    in seconds. Requests go one after another: the library keeps the state of the last one on its connection.

    While GitHub is away, which the first request finds out with all its retries, the later ones are tried once.
    """

    def __init__(
        self, given: settings.Settings, *, patience: float = 20, timeout: int = 15, pause: float = 0.5
    ) -> None:
        self.repository = f"/repos/{given.repository}"
        self._given = given
        self._patience, self._timeout, self._pause = patience, timeout, pause
        self._lock = threading.Lock()
        self._clients: dict[bool, github.Github] = {}
        self._away = self._hurried = False

    def hurry(self) -> None:
        """From now on one short try each: the process was told to end."""
        self._hurried = True

    def get(self, path: str, **parameters: str | int) -> Object:
        _, data = self._request("GET", path, parameters=parameters)
        return _an_object(data)

    def get_all(self, path: str, **parameters: str | int) -> list[Object]:
        """All pages, or an error: part of a list looks like things that are gone."""
        found: list[Object] = []
        for page in range(1, _PAGES + 1):
            headers, data = self._request("GET", path, parameters={**parameters, "per_page": 100, "page": page})
            if not isinstance(data, list):
                raise _unreadable("a list was expected")
            found += [_an_object(one) for one in data]
            if 'rel="next"' not in str(headers.get("link", "")):
                return found
        raise _unreadable(f"the list has more than {_PAGES} pages")

    def update(self, path: str, body: Mapping[str, Any]) -> Object:
        _, data = self._request("PATCH", path, body=body)
        return _an_object(data)

    def create(self, path: str, body: Mapping[str, Any], *, find: Callable[[], Object | None]) -> Object:
        """POST at most once. After an answer that leaves open whether it arrived, `find` looks before the next try."""
        for attempt in range(_ATTEMPTS):
            try:
                _, data = self._request("POST", path, body=body)
                return _an_object(data)
            except errors.GitHubUnavailable as error:
                if self._impatient:
                    raise
                self._wait(attempt, error)
                if found := find():
                    return found
                failure = error
        raise failure

    def query(self, graphql: str) -> Object:
        """A GraphQL query without variables; the `data` of its answer."""
        with self._lock, _translated(self._given):
            _, data = self._connected().requester.graphql_query(graphql, {})
        return _an_object(data.get("data"))

    def _wait(self, attempt: int, error: errors.GitHubUnavailable) -> None:
        seconds = self._pause * 2**attempt
        if isinstance(error, RateLimited):
            seconds = max(seconds, error.seconds)
        if seconds > self._patience or isinstance(error, NotFound):
            raise error
        time.sleep(seconds)

    def _request(
        self,
        verb: str,
        path: str,
        *,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Object, Any]:
        try:
            with self._lock, _translated(self._given):
                found: tuple[Object, Any] = self._connected().requester.requestJsonAndCheck(
                    verb, path, parameters=dict(parameters or {}), input=dict(body) if body is not None else None
                )
        except errors.GitHubUnavailable as error:
            # A POST is not retried here, so one that failed says little.
            self._away = self._away or (verb in _IDEMPOTENT and not isinstance(error, NotFound))
            raise
        self._away = False
        return found

    @property
    def _impatient(self) -> bool:
        return self._away or self._hurried

    def _connected(self) -> github.Github:
        impatient = self._impatient
        if impatient not in self._clients:
            import github

            # It would write a line for each retry to the terminal; what came of them is in our own words.
            logging.getLogger("github").addHandler(logging.NullHandler())
            retry = github.GithubRetry(
                total=0 if impatient else _ATTEMPTS,
                backoff_factor=self._pause,
                max_rate_limit_wait=0 if impatient else self._patience,
                secondary_rate_wait=min(60, self._patience),
                retry_after_max=int(self._patience),
                status_forcelist=list(_RETRIED),
                allowed_methods=frozenset(_IDEMPOTENT),
            )
            self._clients[impatient] = github.Github(
                auth=github.Auth.Token(self._given.token),
                base_url=self._given.api_url,
                timeout=_SHORT_SECONDS if impatient else self._timeout,
                user_agent="k8s-ee",
                retry=retry,
                # Its pacing is for scripts that write by the hundred; a deploy writes four times.
                seconds_between_requests=None,
                seconds_between_writes=None,
            )
        return self._clients[impatient]


class _translated:  # noqa: N801 - reads as what it does: `with _translated(...)`
    """Turns what the libraries raise into our own errors."""

    def __init__(self, given: settings.Settings) -> None:
        self._repository = given.repository

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        import github
        import requests

        if isinstance(error, github.GithubException):
            raise _refusal(error, self._repository) from None
        if isinstance(error, requests.exceptions.RetryError):
            raise errors.GitHubUnavailable("GitHub answers with errors", hint=_STATUS_PAGE) from None
        if isinstance(error, requests.exceptions.RequestException | OSError):
            why = type(error).__name__
            raise errors.GitHubUnavailable(f"GitHub can't be reached: {why}", hint=_STATUS_PAGE) from None
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | AssertionError):
            raise _unreadable(type(error).__name__) from None


_STATUS_PAGE = "see https://www.githubstatus.com, then run it again"


def _refusal(error: github.GithubException, repository: str) -> errors.K8sEEError:
    import github

    said = error.data.get("message", "") if isinstance(error.data, dict) else ""
    if isinstance(error, github.RateLimitExceededException) or error.status == 429:
        return RateLimited("GitHub's rate limit is used up", seconds=_seconds_to_wait(error.headers or {}))
    if error.status in {404, 410}:
        return NotFound(
            f"GitHub does not know it, or hides it from this token ({repository})",
            hint="the job needs `pull-requests: write` and `deployments: write`",
        )
    if error.status == 401:
        return errors.Refused("GitHub refuses the token", hint="pass github-token: ${{ github.token }}")
    if 400 <= error.status < 500:
        return errors.Refused(
            f"GitHub refuses: {said or error.status}",
            hint="the job needs `pull-requests: write` and `deployments: write` under `permissions:`",
        )
    return errors.GitHubUnavailable(f"GitHub answers {error.status}", hint=_STATUS_PAGE)


def _seconds_to_wait(headers: Mapping[str, Any]) -> float:
    after, reset = str(headers.get("retry-after", "")), str(headers.get("x-ratelimit-reset", ""))
    if after.isdigit():
        return float(after)
    if reset.isdigit() and str(headers.get("x-ratelimit-remaining", "")) == "0":
        return max(0.0, int(reset) - time.time()) + 1
    return 60.0


def _an_object(data: Any) -> Object:
    if not isinstance(data, dict) or set(data) <= {"data", "url"}:
        raise _unreadable("not the JSON it documents")
    return data


def _unreadable(why: str) -> errors.GitHubUnavailable:
    return errors.GitHubUnavailable(f"GitHub's answer can't be read: {why}", hint=_STATUS_PAGE)
