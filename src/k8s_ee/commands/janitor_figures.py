"""A pass of the janitor in figures: for its summary, and for Prometheus."""

from __future__ import annotations

import collections
import time
from collections.abc import Collection, Sequence
from typing import Any

from k8s_ee import environment, lifecycle, metrics, sweeping
from k8s_ee.commands import janitor_acts as acts
from k8s_ee.commands import janitor_judging as judging

_STATES = ("open", "closed", "unknown", "preserved", "asleep", "terminating")


def summary(results: Sequence[acts.Result]) -> dict[str, Any]:
    """As `sweeping` shows it."""
    done = collections.Counter(one.done for one in results)
    reasons = collections.Counter(one.case.unknown for one in results if one.case.unknown)
    return {
        "checked": len(results),
        **{name: done[name] for name in sweeping.DONE},
        "unknown": reasons.total(),
        "reasons": dict(reasons.most_common()),
    }


def is_news(case: judging.Case, *, told: Collection[str]) -> bool:
    """Whether it is unknown, and that was not reported before this pass, in which `told` (uids) were.

    One that is unknown for long was, and must not hide what goes wrong today.
    """
    told_before = case.observed.unknown_alerted_at is not None and case.observed.uid not in told
    return bool(case.unknown) and not told_before


def is_full(results: Sequence[acts.Result], *, told: Collection[str]) -> bool:
    """Whether this pass knew enough to be relied on."""
    return not any(one.done == "passed on" or is_news(one.case, told=told) for one in results)


def gauges(
    results: Sequence[acts.Result], *, seconds: float, told: Collection[str] = frozenset()
) -> list[metrics.Gauge]:
    """`seconds` is how long the pass took. The time of the last full pass has no value if this was none."""
    now, counted = time.time(), summary(results)
    long = sum(bool(one.case.unknown) and one.case.observed.unknown_alerted_at is not None for one in results)
    states = collections.Counter(_state(one.case) for one in results)
    kinds = collections.Counter(one.case.decision.kind for one in results)
    full = {"": now} if is_full(results, told=told) else {}
    last = "janitor_last_pass_timestamp_seconds", "janitor_last_full_pass_timestamp_seconds"
    return [
        _by("state", "environments", "Environments by what they were found as.", _each(states, _STATES)),
        _by("kind", "janitor_decisions", "Environments by what the last pass decided.", _each(kinds, lifecycle.KINDS)),
        _by("result", "janitor_results", "Environments by what the last pass did.", _each(counted, sweeping.DONE)),
        _one("janitor_unknown", "Environments of whose pull request GitHub said nothing.", counted["unknown"]),
        _one("janitor_unknown_long", "Those of them that were reported as unknown for long.", long),
        _one("janitor_failed", "Environments that need somebody.", counted["failed"] + counted["stuck"]),
        _one("janitor_backup_failed", "Environments that are kept as their backup failed.", counted["backup failed"]),
        _one("janitor_pass_seconds", "How long the last pass took.", seconds),
        _one(last[0], "When the last pass ended.", now),
        metrics.Gauge(last[1], "When the last pass ended that could see all it has to.", full),
    ]


def _each(counted: Any, names: Sequence[str]) -> dict[str, float]:
    """Those that are not there are 0: a figure that is missing raises no alarm."""
    return {name: float(counted[name]) for name in names}


def _by(label: str, name: str, words: str, values: dict[str, float]) -> metrics.Gauge:
    return metrics.Gauge(name, words, values, label)


def _one(name: str, words: str, value: float) -> metrics.Gauge:
    return metrics.Gauge(name, words, {"": value})


def _state(case: judging.Case) -> str:
    if case.observed.terminating:
        return "terminating"
    if case.unknown:
        return "unknown"
    if environment.PRESERVED_UNTIL in case.observed.annotations:
        return "preserved"
    if isinstance(case.facts.pull_request, lifecycle.Closed):
        return "closed"
    return "asleep" if environment.ASLEEP_SINCE in case.observed.annotations else "open"
