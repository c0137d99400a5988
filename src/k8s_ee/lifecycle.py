"""What is decided about an environment: PURE, from facts, a policy and the time."""

from __future__ import annotations

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class Open:
    """The pull request is open."""


@dataclasses.dataclass(frozen=True)
class Closed:
    """The pull request is closed or merged. `at` None = GitHub did not say since when."""

    at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Unknown:
    """GitHub gave no answer that can be trusted. Never the same as closed."""

    reason: str


PullRequestState = Open | Closed | Unknown
