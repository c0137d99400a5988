"""One identity's line to GitHub: requests bounded in time, and every failure put into our own words.

PyGithub sends them. Its own retries post again what may have arrived, and return an HTML page as an empty object.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import errors
from k8s_ee.github import failures, pace

if TYPE_CHECKING:
    import github

Object = dict[str, Any]
SignIn = Callable[[], "github.Auth.Auth"]

ATTEMPTS = 4
READING = ("GET", "HEAD")
IDEMPOTENT = (*READING, "PUT", "PATCH", "DELETE")

_RETRIED = (429, 500, 502, 503, 504)
_SHORT_SECONDS = 2
_LONGEST_PAUSE_SECONDS = 8


@dataclasses.dataclass
class Patience:
    """How long GitHub is waited for; shared by all connections of a process.

    Seconds: `limit` for a rate limit, `timeout` per connection and read, `pause` before the first retry, `unsaid` where
    GitHub does not say how long a limit lasts (its documentation asks for at least a minute). While GitHub is `away`,
    which the first request finds out with all its retries, the later ones are tried once.
    """

    limit: float = 20
    timeout: int = 15
    pause: float = 0.5
    unsaid: float = 60
    away: bool = False
    _end: threading.Event = dataclasses.field(default_factory=threading.Event)

    @property
    def told_to_end(self) -> bool:
        return self._end.is_set()

    @property
    def short(self) -> bool:
        return self.away or self.told_to_end

    def hurry(self) -> None:
        """From now on one short try each, and nobody waits any longer: the process was told to end."""
        self._end.set()

    def before_retry(self, attempt: int) -> float:
        """Seconds, with some chance in them: those who were refused together must not come back together."""
        seconds = min(self.pause * 2.0**attempt, _LONGEST_PAUSE_SECONDS)
        return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - guards nothing

    def sleep(self, seconds: float) -> None:
        self._end.wait(seconds)


class Connection:
    """Raises Refused for what GitHub won't do, GitHubUnavailable for whatever can't be known or believed.

    Requests go one after another: the library keeps the state of the last one on its connection. `sign_in` is asked
    before each, so that a token that expires can be replaced.
    """

    def __init__(self, address: str, sign_in: SignIn, patience: Patience, tempo: pace.Pace | None = None) -> None:
        """`tempo` is what writes keep to; None = nothing of what is written here makes content."""
        self.patience = patience
        self._address, self._sign_in, self._tempo = address, sign_in, tempo
        self._lock = threading.Lock()
        self._clients: dict[tuple[bool, bool], tuple[github.Auth.Auth, github.Github]] = {}
        self._quota = _Quota()

    def twin(self) -> Connection:
        """A second line of the same identity, for requests side by side. It keeps to the same rate limit."""
        other = Connection(self._address, self._sign_in, self.patience, self._tempo)
        other._quota = self._quota
        return other

    def request(
        self,
        verb: str,
        path: str,
        *,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Object, Any]:
        """Headers and parsed JSON. Retried here where repeating it is safe, so not a POST. Writes wait their turn."""
        tempo = self._tempo if verb not in READING else None
        self._await_turn(tempo)
        try:
            with self._lock, failures.translated(path):
                found: tuple[Object, Any] = self._client().requester.requestJsonAndCheck(
                    verb, path, parameters=dict(parameters or {}), input=dict(body) if body is not None else None
                )
        except errors.GitHubUnavailable as error:
            # A POST is not retried here, so one that failed says little.
            away = verb in IDEMPOTENT and not isinstance(error, failures.NotFound)
            self.patience.away = self.patience.away or away
            if tempo and isinstance(error, failures.RateLimited):
                tempo.close(self.patience.unsaid if error.seconds is None else error.seconds)
            raise
        self.patience.away = False
        return found

    def _await_turn(self, tempo: pace.Pace | None) -> None:
        if tempo is None:
            return
        seconds = tempo.take(longest=self.patience.limit)
        if seconds is None:
            raise failures.Later(tempo.pause())
        self.patience.sleep(seconds)

    def query(self, graphql: str, variables: Mapping[str, Any] | None = None) -> Object:
        """One try; the whole answer, which has `data`, `errors` or both."""
        with self._lock, failures.translated("/graphql"):
            requester = self._client(of_a_query=True).requester
            document = {"query": graphql, "variables": dict(variables or {})}
            status, headers, text = requester.requestJson("POST", requester.graphql_url, input=document)
            answer = json.loads(text) if status == 200 else _parsed(text)
        if status != 200:
            raise failures.refusal(status, headers, answer, about="/graphql")
        if not isinstance(answer, dict):
            raise failures.unreadable("not the JSON it documents")
        if failures.is_limited(answer):
            raise failures.RateLimited(failures.seconds_to_wait(headers))
        return answer

    def read(self, graphql: str, variables: Mapping[str, Any], *, deadline: float) -> Object:
        """A query that changes nothing, tried again until `deadline` (monotonic) where that may help."""
        self._sign_in()  # has retries of its own, which must not multiply with these
        for attempt in range(ATTEMPTS):
            self._quota.wait(self.patience, deadline)
            try:
                answer = self.query(graphql, variables)
            except errors.GitHubUnavailable as error:
                self._after(error, attempt=attempt, deadline=deadline)
            else:
                self.patience.away = False
                return answer
        raise AssertionError("the last attempt returns or raises")

    def _after(self, error: errors.GitHubUnavailable, *, attempt: int, deadline: float) -> None:
        """Returns when it is time for the next try, or raises what went wrong with this one."""
        last = attempt + 1 == ATTEMPTS or self.patience.short
        if isinstance(error, failures.RateLimited):
            asked = error.seconds if error.seconds is not None else self.patience.unsaid * 2.0**attempt
            self._quota.close(asked, because=error)
        elif not isinstance(error, failures.NotFound):
            self.patience.away = self.patience.away or last
        pause = self.patience.before_retry(attempt)
        if last or isinstance(error, failures.NotFound) or time.monotonic() + pause > deadline:
            raise error
        self.patience.sleep(pause)

    def _client(self, *, of_a_query: bool = False) -> github.Github:
        """A query of a hundred things takes its time, and is retried by ourselves."""
        patience = self.patience
        short = patience.told_to_end if of_a_query else patience.short
        auth = self._sign_in()
        known, client = self._clients.get((of_a_query, short), (None, None))
        if client is None or known is not auth:
            client = _client(
                auth,
                address=self._address,
                retry=_retry(patience, attempts=0 if short or of_a_query else ATTEMPTS),
                timeout=_SHORT_SECONDS if short else patience.timeout,
            )
            self._clients[of_a_query, short] = (auth, client)
        return client


def _client(auth: github.Auth.Auth, *, address: str, retry: github.GithubRetry, timeout: int) -> github.Github:
    import github

    # It would write a line for each retry to the terminal; what came of them is in our own words.
    logging.getLogger("github").addHandler(logging.NullHandler())
    return github.Github(
        auth=auth,
        base_url=address,
        timeout=timeout,
        user_agent="k8s-ee",
        retry=retry,
        # Its pacing is for each connection by itself, and knows no burst: see `pace`.
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


def _retry(patience: Patience, *, attempts: int) -> github.GithubRetry:
    import github

    return github.GithubRetry(
        total=attempts,
        backoff_factor=patience.pause,
        max_rate_limit_wait=patience.limit if attempts else 0,
        secondary_rate_wait=min(patience.unsaid, patience.limit),
        retry_after_max=int(patience.limit),
        status_forcelist=list(_RETRIED),
        allowed_methods=frozenset(IDEMPOTENT),
    )


class _Quota:
    """One identity's rate limit: who goes on asking while it is used up risks being locked out."""

    def __init__(self) -> None:
        self._until = 0.0
        self._because: failures.RateLimited | None = None

    def close(self, seconds: float, *, because: failures.RateLimited) -> None:
        self._until, self._because = max(self._until, time.monotonic() + seconds), because

    def wait(self, patience: Patience, deadline: float) -> None:
        """Raises RateLimited when it would be too long."""
        left = self._until - time.monotonic()
        if left <= 0 or self._because is None:
            return
        if self._until > deadline or patience.short:
            raise self._because
        patience.sleep(left + random.uniform(0, patience.pause))  # noqa: S311 - guards nothing


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
