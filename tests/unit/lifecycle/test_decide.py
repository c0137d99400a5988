"""Every rule, to the second."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from k8s_ee import environment, lifecycle, notices

BORN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECOND, HOUR, DAY = (datetime.timedelta(seconds=one) for one in (1, 3600, 86400))
POLICY = lifecycle.Policy()
NO_SLEEP = dataclasses.replace(POLICY, sleep_after=None)
OPEN, CLOSED, UNKNOWN = lifecycle.Open(), lifecycle.Closed(), lifecycle.Unknown("GitHub is down")
HARD, SOFT = BORN + 30 * DAY, BORN + 7 * DAY


def text(when: datetime.datetime) -> str:
    return when.isoformat(timespec="seconds")


def observed(since: datetime.datetime | None = None, /, **notes: datetime.datetime | str) -> environment.Observed:
    keys = {f"k8s-ee/{name.replace('_', '-')}": v if isinstance(v, str) else text(v) for name, v in notes.items()}
    return environment.Observed(
        namespace=environment.NamespaceName("a-pr-1"),
        uid="u",
        resource_version="1",
        project=environment.ProjectId("a"),
        number=1,
        repository_id=1,
        created_at=BORN,
        terminating=False,
        annotations=keys,
        terminating_since=since,
    )


def decide(
    state: lifecycle.PullRequestState,
    now: datetime.datetime,
    policy: lifecycle.Policy = NO_SLEEP,
    /,
    **notes: datetime.datetime | str,
) -> lifecycle.Decision:
    return lifecycle.decide(lifecycle.Facts(observed(**notes), state), policy, now)


def kind(
    state: lifecycle.PullRequestState,
    now: datetime.datetime,
    policy: lifecycle.Policy = NO_SLEEP,
    /,
    **notes: datetime.datetime | str,
) -> str:
    return decide(state, now, policy, **notes).kind


def test_the_defaults_are_the_ones_in_the_docs() -> None:
    assert (
        lifecycle.Policy(
            sleep_after=12 * HOUR,
            soft_ttl=7 * DAY,
            hard_ttl=30 * DAY,
            warn_before=DAY,
            preserve_for=2 * DAY,
            preserve_limit=3,
            preserve_warn_before=HOUR,
            stuck_after=600 * SECOND,
            unknown_alert_after=DAY,
            backup_deadline=HOUR,
        )
        == lifecycle.Policy()
    )


def test_one_that_is_being_deleted_is_left_alone_until_it_is_stuck() -> None:
    one = dataclasses.replace(observed(BORN, destroy_requested_at=BORN), terminating=True)
    facts = lifecycle.Facts(one, CLOSED)
    left = lifecycle.decide(facts, POLICY, BORN + POLICY.stuck_after)
    assert left == lifecycle.Decision("leave", "it is being deleted")
    stuck = lifecycle.decide(facts, POLICY, BORN + POLICY.stuck_after + SECOND)
    assert stuck == lifecycle.Decision("unstick", "terminating since 2026-01-01T00:00:00+00:00")
    never_said = lifecycle.Facts(dataclasses.replace(one, terminating_since=None), CLOSED)
    assert lifecycle.decide(never_said, POLICY, HARD).kind == "leave"


@pytest.mark.parametrize("state", [OPEN, CLOSED, UNKNOWN])
def test_a_requested_or_begun_destroy_is_finished_whatever_github_says(state: lifecycle.PullRequestState) -> None:
    kept = {"preserved_until": HARD}
    requested = decide(state, BORN, destroy_requested_at="?", **kept)
    assert requested == lifecycle.Decision("delete", "requested")
    begun = decide(state, BORN, destroy_requested_at="?", cleanup_requested_at="?", **kept)
    assert begun == lifecycle.Decision("delete", "a destroy was begun and not finished")


@pytest.mark.parametrize("now", [BORN, HARD - DAY, HARD + DAY])
def test_a_closed_one_goes_at_once_at_any_age(now: datetime.datetime) -> None:
    assert decide(CLOSED, now) == lifecycle.Decision("delete", "its pull request is closed")
    assert decide(lifecycle.Closed(BORN), now) == lifecycle.Decision("delete", "its pull request is closed")
    late = decide(lifecycle.Closed(BORN - SECOND), now)
    assert late == lifecycle.Decision("delete", "resurrected: made after its pull request closed")


@pytest.mark.parametrize("state", [OPEN, UNKNOWN])
def test_the_highest_age_is_warned_of_and_then_holds(state: lifecycle.PullRequestState) -> None:
    policy = dataclasses.replace(NO_SLEEP, soft_ttl=None)
    before = decide(state, HARD - DAY - SECOND, policy)
    assert before.kind in {"keep", "leave"}
    warned = {"warned_of": HARD, "warned_at": HARD - DAY}
    warning = lifecycle.Decision("warn", "it has reached its highest age", deadline=HARD)
    assert decide(state, HARD - DAY, policy) == decide(state, HARD + 9 * DAY, policy) == warning
    assert kind(state, HARD - SECOND, policy, **warned) == before.kind
    assert decide(state, HARD, policy, **warned) == lifecycle.Decision("delete", warning.reason, deadline=HARD)


def test_a_warning_of_another_deadline_does_not_count() -> None:
    assert kind(OPEN, SOFT, warned_of=SOFT - SECOND, warned_at=BORN) == "warn"
    assert kind(OPEN, SOFT, warned_of=SOFT - SECOND, warning_failures="3") == "warn"
    assert kind(OPEN, SOFT, warned_of=SOFT) == "warn"
    assert kind(OPEN, SOFT, warned_at=BORN) == "warn"


def test_three_failed_warnings_are_enough_and_only_once_the_deadline_is_there() -> None:
    def after(failures: str, now: datetime.datetime) -> lifecycle.Decision:
        return decide(OPEN, now, warned_of=SOFT, warning_failures=failures)

    assert after("2", SOFT).kind == after("x", SOFT).kind == after("3", SOFT - SECOND).kind == "warn"
    reason = "nobody has used it; its warning could not be posted"
    assert after("3", SOFT) == after("4", SOFT) == lifecycle.Decision("delete", reason, deadline=SOFT)


def test_after_a_warning_of_disuse_that_came_after_the_deadline_all_the_time_of_warning_is_left() -> None:
    late = {"warned_of": SOFT, "warned_at": SOFT + HOUR}
    waiting = decide(OPEN, SOFT + HOUR + DAY - SECOND, **late)
    assert waiting == lifecycle.Decision("keep", "its warning was late", deadline=SOFT + HOUR + DAY)
    assert kind(OPEN, SOFT + HOUR + DAY, **late) == "delete"


def test_after_a_late_warning_an_hour_is_left() -> None:
    late = {"warned_of": HARD, "warned_at": HARD + DAY}
    waiting = decide(UNKNOWN, HARD + DAY + HOUR - SECOND, **late)
    assert waiting == lifecycle.Decision("keep", "its warning was late", deadline=HARD + DAY + HOUR)
    assert kind(UNKNOWN, HARD + DAY + HOUR, **late) == "delete"
    just_before = {"warned_of": SOFT, "warned_at": SOFT - SECOND}
    waiting = decide(OPEN, SOFT, **just_before)
    assert waiting == lifecycle.Decision("keep", "its warning was late", deadline=SOFT - SECOND + HOUR)
    assert kind(OPEN, SOFT - SECOND + HOUR, **just_before) == "delete"
    assert kind(OPEN, SOFT + HOUR, warned_of=SOFT, warned_at=SOFT) == "delete"
    short = dataclasses.replace(NO_SLEEP, warn_before=60 * SECOND)
    assert kind(UNKNOWN, HARD + DAY + 59 * SECOND, short, **late) == "keep"
    assert kind(UNKNOWN, HARD + DAY + 60 * SECOND, short, **late) == "delete"


@pytest.mark.parametrize("state", [OPEN, CLOSED, UNKNOWN])
def test_a_preserved_one_stays_until_it_is_warned_and_expired(state: lifecycle.PullRequestState) -> None:
    until = BORN + 10 * DAY
    assert decide(state, until - HOUR - SECOND, preserved_until=until) == lifecycle.Decision(
        "keep", "preserved", deadline=until
    )
    warning = lifecycle.Decision("warn", "it is no longer preserved", deadline=until)
    assert decide(state, until - HOUR, preserved_until=until) == warning
    assert decide(state, until + DAY, preserved_until=until) == warning
    warned = {"preserved_until": until, "warned_of": until, "warned_at": until - HOUR}
    assert decide(state, until - SECOND, **warned) == lifecycle.Decision("keep", "preserved", deadline=until)
    assert decide(state, until, **warned) == lifecycle.Decision("expire", warning.reason, deadline=until)
    assert kind(state, until, preserved_until=until, warned_of=until, warning_failures="3") == "expire"


def test_preserving_ends_at_the_highest_age() -> None:
    assert kind(CLOSED, HARD - DAY, preserved_until=HARD) == "warn"
    assert decide(CLOSED, HARD - DAY, preserved_until=HARD + DAY).deadline == HARD
    warned = {"preserved_until": HARD + DAY, "warned_of": HARD, "warned_at": HARD - DAY}
    assert kind(CLOSED, HARD - SECOND, **warned) == "keep"
    assert kind(CLOSED, HARD, **warned) == "delete"


def test_what_can_not_be_read_is_not_taken_for_absent() -> None:
    left = decide(CLOSED, BORN, preserved_until="soon")
    assert left == lifecycle.Decision("leave", "until when it is preserved can't be read")
    assert kind(CLOSED, HARD, preserved_until="soon", warned_of=HARD, warned_at=BORN) == "delete"
    assert decide(OPEN, SOFT, extended_until="soon") == lifecycle.Decision("keep", "in use", deadline=HARD)


def test_two_deadlines_never_take_turns_in_being_warned_of() -> None:
    until, now = HARD - HOUR, HARD - HOUR
    warned = {"preserved_until": until, "warned_of": until, "warned_at": until - HOUR}
    assert kind(OPEN, now, **warned) == "expire"
    active = HARD - HOUR - 7 * DAY
    soft = {"active_at": active, "warned_of": HARD - HOUR, "warned_at": HARD - DAY}
    assert kind(OPEN, HARD - 2 * HOUR, **soft) == "keep"
    assert decide(UNKNOWN, HARD - 2 * HOUR, **soft).deadline == HARD
    assert decide(OPEN, HARD, active_at=active).deadline == HARD


def test_an_unknown_one_is_left_with_the_reason_however_unused() -> None:
    assert decide(UNKNOWN, SOFT + DAY, POLICY) == lifecycle.Decision("leave", "GitHub is down")


@pytest.mark.parametrize("note", ["active_at", "deployed_at", "extended_until"])
def test_use_and_extending_move_the_end_but_not_beyond_the_highest_age(note: str) -> None:
    ttl = datetime.timedelta(0) if note == "extended_until" else 7 * DAY
    at = BORN + 10 * DAY
    assert decide(OPEN, SOFT, **{note: at}) == lifecycle.Decision("keep", "in use", deadline=at + ttl)
    assert decide(OPEN, SOFT, **{note: HARD + DAY}).deadline == HARD
    assert decide(OPEN, SOFT - 2 * DAY, **{note: BORN - DAY}).deadline == SOFT


def test_traffic_counts_as_use_and_a_deadline_is_a_whole_second() -> None:
    at = BORN + DAY + datetime.timedelta(microseconds=5)
    facts = lifecycle.Facts(observed(), OPEN, traffic_at=at)
    assert lifecycle.decide(facts, NO_SLEEP, at).deadline == SOFT + DAY
    odd = dataclasses.replace(observed(), created_at=BORN + datetime.timedelta(microseconds=5))
    assert lifecycle.hard_deadline(odd, POLICY) == HARD


def test_nothing_counts_as_unused_while_its_traffic_is_not_known() -> None:
    facts = lifecycle.Facts(observed(), OPEN, traffic_unknown="no answer")
    kept = lifecycle.Decision("keep", "whether it is used can't be said: no answer", deadline=HARD)
    assert lifecycle.decide(facts, POLICY, BORN + DAY) == lifecycle.decide(facts, POLICY, SOFT + DAY) == kept
    assert lifecycle.decide(facts, POLICY, HARD - DAY).kind == "warn"
    closed = dataclasses.replace(facts, pull_request=CLOSED)
    assert lifecycle.decide(closed, POLICY, BORN).kind == "delete"
    unknown = dataclasses.replace(facts, pull_request=UNKNOWN)
    assert lifecycle.decide(unknown, POLICY, BORN).kind == "leave"


def test_without_a_soft_deadline_only_age_counts() -> None:
    policy = dataclasses.replace(NO_SLEEP, soft_ttl=None)
    assert decide(OPEN, HARD - DAY - SECOND, policy) == lifecycle.Decision("keep", "in use", deadline=HARD)


def test_an_idle_one_sleeps_once() -> None:
    later = BORN + 12 * HOUR
    assert kind(OPEN, later, POLICY) == "keep"
    slept = decide(OPEN, later + SECOND, POLICY)
    assert slept == lifecycle.Decision("sleep", "nobody has used it since 2026-01-01T00:00:00+00:00", deadline=SOFT)
    assert kind(OPEN, later + SECOND, POLICY, asleep_since=later) == "keep"
    assert kind(OPEN, later + SECOND, POLICY, active_at=BORN + SECOND) == "keep"
    facts = lifecycle.Facts(observed(), OPEN, sleepable=False)
    assert lifecycle.decide(facts, POLICY, later + SECOND).kind == "keep"
    assert kind(OPEN, later + SECOND, NO_SLEEP) == "keep"


def test_what_is_noted_of_a_warning_is_what_counts() -> None:
    assert notices.posted(SOFT, BORN) == {
        environment.WARNED_OF: text(SOFT),
        environment.WARNED_AT: text(BORN),
        environment.WARNING_FAILURES: None,
    }
    again = notices.failed(observed(warned_of=SOFT, warning_failures="1"), SOFT)
    assert again == {
        environment.WARNED_OF: text(SOFT),
        environment.WARNED_AT: None,
        environment.WARNING_FAILURES: "2",
    }
    other = notices.failed(observed(warned_of=HARD, warning_failures="1"), SOFT)
    assert other[environment.WARNING_FAILURES] == "1"


def test_who_is_unknown_for_long_is_reported_once() -> None:
    def due(state: lifecycle.PullRequestState, age: datetime.timedelta, **notes: datetime.datetime) -> bool:
        return lifecycle.alert_due(lifecycle.Facts(observed(**notes), state), POLICY, BORN + age)

    assert due(UNKNOWN, DAY, unknown_since=BORN)
    assert not due(UNKNOWN, DAY - SECOND, unknown_since=BORN)
    assert not due(UNKNOWN, DAY)
    assert not due(OPEN, DAY, unknown_since=BORN)
    assert not due(UNKNOWN, DAY, unknown_since=BORN, unknown_alerted_at=BORN)
