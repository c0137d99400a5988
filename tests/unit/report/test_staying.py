"""Until when an environment stays is said with what was seen, and with the command that changes it."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest

from k8s_ee import outcome, report, staying

SHA = "b" * 40
ROW: dict[str, Any] = {
    "namespace": "shop-pr-7",
    "repositoryId": 42,
    "pr": 7,
    "url": "https://shop-pr-7.preview.example",
    "commit": SHA,
    "until": "2026-11-25T20:00:00+01:00",
}
FACTS = report.Facts(namespace="shop-pr-7", repository_url="https://github.com/acme/shop")


def shown(state: outcome.State, *rows: dict[str, Any], namespace: str = "shop-pr-7") -> str:
    result = outcome.Outcome(command="any", state=state, data={"environments": list(rows)})
    return report.comment(result, dataclasses.replace(FACTS, namespace=namespace))


def test_every_state_is_one_that_an_outcome_can_have() -> None:
    assert set(get_args(outcome.State)) >= staying.STATES


@pytest.mark.parametrize("state", sorted(staying.STATES))
def test_the_page_of_every_state_is_about_its_environment(state: Any) -> None:
    assert "`shop-pr-7`" in shown(state, ROW).splitlines()[1]


@pytest.mark.parametrize("state", ["preserved", "unpreserved", "extended", "expiring"])
def test_times_are_in_utc_and_the_commit_is_the_one_that_was_seen(state: Any) -> None:
    text = shown(state, ROW)
    assert "**2026-11-25 19:00 UTC**" in text
    assert f"[`bbbbbbb`](https://github.com/acme/shop/commit/{SHA}) (seen in the cluster)" in text


@pytest.mark.parametrize("state", sorted(staying.STATES))
def test_nothing_is_said_to_serve_that_was_not_seen(state: Any) -> None:
    assert " serve" not in shown(state, {**ROW, "commit": ""})


def test_what_will_be_destroyed_comes_with_its_reason_and_with_what_keeps_it() -> None:
    text = shown("expiring", {**ROW, "reason": "nothing happened for 7 days", "remedy": "extend 24h"})
    assert "destroyed with its data at **2026-11-25 19:00 UTC**: nothing happened for 7 days" in text
    assert "`k8s-ee extend 24h --pr 7 --repository-id 42`" in text
    assert "To keep it" not in shown("expiring", ROW), "where nothing does"


def test_one_that_sleeps_says_how_it_wakes() -> None:
    text = shown("sleeping", {**ROW, "commit": "", "reason": "idle for 12 h"})
    assert "Stopped since **2026-11-25 19:00 UTC**: idle for 12 h." in text
    assert "`k8s-ee wake --pr 7 --repository-id 42`" in text


def test_a_comment_says_nothing_of_the_environment_of_another_project() -> None:
    other = {**ROW, "namespace": "admin-pr-7", "until": "2027-01-01T00:00:00+00:00"}
    text = shown("preserved", ROW, other)
    assert ("2026-11-25" in text, "2027-01-01" in text) == (True, False)


def test_a_summary_of_several_names_each() -> None:
    other = {**ROW, "namespace": "admin-pr-7"}
    text = report.summary(
        outcome.Outcome(command="preserve", state="preserved", data={"environments": [ROW, other]}),
        report.Facts(namespace="shop-pr-7 admin-pr-7"),
    )
    assert text.count("It stays until") == 2
    assert "`admin-pr-7`: " in text


def test_what_is_no_time_does_not_break_the_page() -> None:
    assert "****" in shown("preserved", {**ROW, "until": ""})
    assert "soon" in shown("preserved", {**ROW, "until": "soon"})


def test_a_reason_can_neither_mention_nor_link_anybody() -> None:
    text = shown("expiring", {**ROW, "reason": "see @acme/team [x](http://evil.example)"})
    assert ("@acme" in text, "](http://evil" in text) == (False, False)
