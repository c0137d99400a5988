"""The table of docs/lifecycle.md says what the rules do: each row is tried, with the words it uses."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping

import pytest

from k8s_ee import environment, lifecycle
from scripts import docs

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
OPEN, CLOSED, UNKNOWN = lifecycle.Open(), lifecycle.Closed(), lifecycle.Unknown("GitHub is down")
POLICY = lifecycle.Policy()
WORDS: Mapping[str, str] = {
    "unstick": "find out what blocks it",
    "leave": "leave it alone",
    "delete": "delete",
    "warn": "warn",
    "expire": "end the preserve",
    "sleep": "put it to sleep",
    "keep": "keep",
    "backup": "ask for its backup",
    "hold": "hold it",
}


def facts(
    state: lifecycle.PullRequestState, /, *, age: datetime.timedelta = HOUR, **notes: datetime.datetime
) -> lifecycle.Facts:
    observed = environment.Observed(
        namespace=environment.NamespaceName("a-pr-1"),
        uid="u",
        resource_version="1",
        project=environment.ProjectId("a"),
        number=1,
        repository_id=1,
        created_at=NOW - age,
        terminating=False,
        annotations={f"k8s-ee/{name.replace('_', '-')}": one.isoformat() for name, one in notes.items()},
    )
    return lifecycle.Facts(observed, state)


def ending(since: datetime.timedelta) -> lifecycle.Facts:
    one = facts(CLOSED)
    observed = dataclasses.replace(one.environment, terminating=True, terminating_since=NOW - since)
    return dataclasses.replace(one, environment=observed)


def told(one: lifecycle.Facts, at: datetime.datetime) -> lifecycle.Facts:
    """Warned of what is due now."""
    notes = {environment.WARNED_OF: NOW.isoformat(), environment.WARNED_AT: at.isoformat()}
    observed = dataclasses.replace(one.environment, annotations={**one.environment.annotations, **notes})
    return dataclasses.replace(one, environment=observed)


def owing(one: lifecycle.Facts) -> lifecycle.Facts:
    """With `backup: onDestroy`."""
    notes = {**one.environment.annotations, environment.BACKUP: "onDestroy"}
    return dataclasses.replace(one, environment=dataclasses.replace(one.environment, annotations=notes))


MINUTE = datetime.timedelta(minutes=1)
EXAMPLES: Mapping[int, Mapping[str, lifecycle.Facts]] = {
    1: {"unstick": ending(POLICY.stuck_after + MINUTE), "leave": ending(POLICY.stuck_after - MINUTE)},
    2: {"delete": facts(OPEN, cleanup_requested_at=NOW)},
    3: {"backup": owing(facts(CLOSED)), "hold": owing(facts(CLOSED, backup_wanted_at=NOW - POLICY.backup_deadline))},
    4: {"delete": facts(OPEN, destroy_requested_at=NOW)},
    5: {"delete": facts(CLOSED)},
    6: {
        "warn": facts(UNKNOWN, age=POLICY.hard_ttl - POLICY.warn_before),
        "delete": told(facts(UNKNOWN, age=POLICY.hard_ttl), NOW - POLICY.warn_before),
    },
    7: {
        "keep": facts(CLOSED, preserved_until=NOW + DAY),
        "warn": facts(CLOSED, preserved_until=NOW + POLICY.preserve_warn_before),
        "expire": told(facts(CLOSED, preserved_until=NOW), NOW - POLICY.preserve_warn_before),
    },
    8: {"leave": facts(UNKNOWN)},
    9: {"keep": dataclasses.replace(facts(OPEN, age=POLICY.hard_ttl - 2 * DAY), traffic_unknown="no answer")},
    10: {
        "warn": facts(OPEN, age=POLICY.soft_ttl - POLICY.warn_before if POLICY.soft_ttl else HOUR),
        "delete": told(facts(OPEN, age=POLICY.soft_ttl or HOUR), NOW - POLICY.warn_before),
    },
    11: {"sleep": facts(OPEN, age=(POLICY.sleep_after or HOUR) + MINUTE)},
    12: {"keep": facts(OPEN)},
}


def rows() -> dict[int, str]:
    """What the page says is done, by the number of the row."""
    page = docs.LIFECYCLE.read_text(encoding="utf-8")
    return {int(number): then for number, then in re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page, re.M)}


def test_there_is_a_row_for_each_rule_in_their_order_and_one_for_the_rest() -> None:
    assert list(rows()) == list(EXAMPLES) == list(range(1, len(lifecycle.RULES) + 2))
    assert docs.rules() in docs.LIFECYCLE.read_text(encoding="utf-8"), "run `make docs`"


@pytest.mark.parametrize(("row", "kind"), [(row, kind) for row, kinds in EXAMPLES.items() for kind in kinds])
def test_a_row_says_what_its_rule_decides(row: int, kind: str) -> None:
    tried = EXAMPLES[row][kind]
    spoken = [number for number, rule in enumerate(lifecycle.RULES, start=1) if rule(tried, POLICY, NOW)]
    assert [*spoken, len(lifecycle.RULES) + 1][0] == row
    assert lifecycle.decide(tried, POLICY, NOW).kind == kind
    assert re.search(rf"\b{WORDS[kind]}\b", rows()[row])


def test_a_row_promises_nothing_that_was_not_tried_here() -> None:
    for row, then in rows().items():
        assert {kind for kind, words in WORDS.items() if re.search(rf"\b{words}\b", then)} == set(EXAMPLES[row]), row
    assert set(WORDS) == set(lifecycle.KINDS)
