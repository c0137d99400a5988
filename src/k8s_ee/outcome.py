"""What a command did, as far as it was verified: the only input of every report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from k8s_ee import environment, errors

State = Literal[
    "valid",
    "planned",
    "built",
    "queued",
    "deploying",
    "ready",
    "failed",
    "skipped",
    "destroyed",
    "listed",
    "preserved",
    "unpreserved",
    "extended",
    "sleeping",
    "awake",
    "rotated",
    "expiring",
    "lapsing",
    "swept",
    "backed-up",
    "restored",
    "backing-up",
    "backup-failed",
    "saved",
]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One step of a command and how long it took, in seconds."""

    name: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why it failed, in words for the pull request. `evidence`: redacted log lines or events, oldest first."""

    message: str
    hint: str = ""
    evidence: tuple[str, ...] = ()
    exit_code: int = 4


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`outputs` are the action's outputs (all strings); `data` is what `--output json` adds to them.

    `serving_sha` is the commit that was seen answering, which after a failed push is an older one.
    `verified_from` says where readiness was seen from ("runner" or "cluster"); empty = it was not verified.
    """

    command: str
    state: State
    environment: environment.Environment | None = None
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    serving_sha: str = ""
    verified_from: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[errors.Problem, ...] = ()
    failure: Failure | None = None
    dry_run: bool = False
