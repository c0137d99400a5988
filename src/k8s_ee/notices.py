"""PURE. What is noted on a namespace about the warning of a deadline (None = remove)."""

from __future__ import annotations

import datetime

from k8s_ee import environment


def posted(deadline: datetime.datetime, now: datetime.datetime) -> dict[str, str | None]:
    return {
        environment.WARNED_OF: environment.write_time(deadline),
        environment.WARNED_AT: environment.write_time(now),
        environment.WARNING_FAILURES: None,
    }


def failed(observed: environment.Observed, deadline: datetime.datetime) -> dict[str, str | None]:
    """Failures about another deadline are forgotten."""
    earlier = observed.warning_failures if observed.warned_of == deadline else 0
    return {
        environment.WARNED_OF: environment.write_time(deadline),
        environment.WARNED_AT: None,
        environment.WARNING_FAILURES: str(earlier + 1),
    }
