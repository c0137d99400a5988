"""What GitHub's refusals and the libraries' stumbles mean, in our own words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from k8s_ee import errors

_STATUS_PAGE = "see https://www.githubstatus.com, then run it again"
_PERMISSIONS = "it needs `pull-requests: write` and `deployments: write` (in a job under `permissions:`)"


class NotFound(errors.GitHubUnavailable):
    """404 and 410. GitHub also says so for what the token may not see: it proves nothing."""


class RateLimited(errors.GitHubUnavailable):
    """`seconds` is how long GitHub wants us to wait; None = it did not say."""

    def __init__(self, seconds: float | None) -> None:
        hint = "wait, or use a token of its own for this repository"
        super().__init__("GitHub's rate limit is used up", hint=hint)
        self.seconds = seconds


class Later(RateLimited):
    """Nothing was sent: it would have been more than GitHub wants to be written at a time."""


class translated:  # noqa: N801 - reads as what it does: `with failures.translated(path)`
    """Turns what the libraries raise into our own errors."""

    def __init__(self, about: str) -> None:
        self._about = about

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        import github
        import requests

        if isinstance(error, github.GithubException):
            raise refusal(error.status, error.headers or {}, error.data, about=self._about) from None
        if isinstance(error, requests.exceptions.RetryError):
            raise errors.GitHubUnavailable("GitHub answers with errors", hint=_STATUS_PAGE) from None
        if isinstance(error, requests.exceptions.RequestException | OSError):
            why = type(error).__name__
            raise errors.GitHubUnavailable(f"GitHub can't be reached: {why}", hint=_STATUS_PAGE) from None
        # What the library does not expect of an answer, it stumbles over.
        if isinstance(error, ValueError | TypeError | AttributeError | KeyError | AssertionError | RuntimeError):
            raise unreadable(type(error).__name__) from None


class SignedOut(errors.Refused):
    """It is about who asks, not about what was asked for: with another key, or later, it may go well."""


def refusal(status: int, headers: Mapping[str, Any], data: Any, *, about: str) -> errors.K8sEEError:
    said = str(data.get("message") or "") if isinstance(data, dict) else ""
    if status == 429 or (status == 403 and _names_a_limit(said, headers)):
        return RateLimited(seconds_to_wait(headers))
    if status in {404, 410}:
        return NotFound(f"GitHub does not know {about}, or hides it from this token", hint=_PERMISSIONS)
    if status == 401:
        return SignedOut("GitHub refuses the token", hint="pass github-token: ${{ github.token }}")
    if 400 <= status < 500:
        return errors.Refused(f"GitHub refuses: {said or status}", hint=_PERMISSIONS)
    return errors.GitHubUnavailable(f"GitHub answers {status}", hint=_STATUS_PAGE)


def _names_a_limit(said: str, headers: Mapping[str, Any]) -> bool:
    none_left = str(headers.get("x-ratelimit-remaining", "")) == "0"
    return none_left or "retry-after" in headers or "rate limit" in said.lower()


def is_limited(answer: Mapping[str, Any]) -> bool:
    """GraphQL says so with status 200: https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits"""
    found = answer.get("errors")
    said = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    if any(one.get("type") == "RATE_LIMITED" for one in said):
        return True
    spoken = [one.get("message") for one in said if not one.get("path")] + [answer.get("message")]
    return any("rate limit" in str(one).lower() for one in spoken)


def seconds_to_wait(headers: Mapping[str, Any]) -> float | None:
    after, reset = str(headers.get("retry-after", "")), str(headers.get("x-ratelimit-reset", ""))
    if after.isdecimal() and after.isascii():
        return float(after)
    if reset.isdecimal() and reset.isascii() and str(headers.get("x-ratelimit-remaining", "")) == "0":
        return max(0.0, int(reset) - time.time()) + 1
    return None


def unreadable(why: str) -> errors.GitHubUnavailable:
    return errors.GitHubUnavailable(f"GitHub's answer can't be read: {why}", hint=_STATUS_PAGE)
