"""Nothing with `backup: onDestroy` goes without its backup, to the second."""

from __future__ import annotations

import datetime

import pytest

from k8s_ee import backups, environment, lifecycle
from tests.unit.lifecycle.test_decide import (
    BORN,
    CLOSED,
    DAY,
    HARD,
    HOUR,
    NO_SLEEP,
    OPEN,
    SECOND,
    SOFT,
    UNKNOWN,
    decide,
    kind,
    observed,
    text,
)

MINUTE = 60 * SECOND
ASKED = BORN + DAY
Notes = dict[str, datetime.datetime | str]
KEPT: Notes = {"backup": "onDestroy"}
WANTED: Notes = {**KEPT, "backup_wanted_at": ASKED}
LAST = f"3 {text(ASKED)}"


def standing(now: datetime.datetime, /, **notes: datetime.datetime | str) -> backups.Standing:
    return backups.standing(observed(**notes), HOUR, now)


def test_whoever_asked_for_no_backup_goes_as_before() -> None:
    assert standing(ASKED) == backups.Standing("not wanted")
    assert standing(ASKED, backup_wanted_at=BORN, backup_error="x").kind == "not wanted"
    assert kind(CLOSED, BORN) == "delete"


@pytest.mark.parametrize(
    ("notes", "reason"),
    [({}, "its pull request is closed"), ({"destroy_requested_at": BORN}, "requested")],
)
def test_what_would_be_deleted_is_backed_up_first(notes: Notes, reason: str) -> None:
    assert decide(CLOSED, BORN, **KEPT, **notes) == lifecycle.Decision("backup", reason)
    assert decide(CLOSED, ASKED + HOUR - SECOND, **WANTED, **notes) == lifecycle.Decision("backup", reason)


def test_what_is_kept_warned_of_or_left_alone_needs_no_backup() -> None:
    assert kind(OPEN, BORN, **KEPT) == "keep"
    assert kind(UNKNOWN, SOFT + DAY, **KEPT) == "leave"
    assert kind(OPEN, SOFT, **KEPT) == "warn"
    assert kind(OPEN, SOFT, **KEPT, warned_of=SOFT, warned_at=SOFT - DAY) == "backup"
    assert kind(CLOSED, BORN, **KEPT, preserved_until=BORN + DAY) == "keep"


def test_a_destroy_that_was_begun_is_finished_as_there_is_nothing_left_to_back_up() -> None:
    assert kind(CLOSED, BORN, **KEPT, cleanup_requested_at=BORN) == "delete"


def test_one_with_its_backup_goes() -> None:
    made: Notes = {**WANTED, "backed_up": f"{text(ASKED)} s3://b/k", "backup_attempts": LAST, "backup_error": "x"}
    assert backups.place(observed(**made)) == "s3://b/k"
    assert decide(CLOSED, ASKED + DAY, **made) == lifecycle.Decision("delete", "its pull request is closed")
    assert kind(CLOSED, ASKED, **WANTED, backed_up=f"{text(ASKED)} ") == "delete", "it has no database"
    assert backups.place(observed(backed_up=f"{text(ASKED)} ")) == ""


@pytest.mark.parametrize("note", ["active_at", "deployed_at"])
def test_use_voids_a_backup_and_the_wish_for_one(note: str) -> None:
    made: Notes = {**KEPT, "backed_up": f"{text(ASKED)} /b"}
    assert kind(CLOSED, ASKED, **made, **{note: ASKED - SECOND}) == "delete"
    assert kind(CLOSED, ASKED, **made, **{note: ASKED}) == "backup", "in the same second: who was first is not known"
    assert backups.place(observed(**made, **{note: ASKED})) is None
    used = observed(**WANTED, **{note: ASKED})
    assert backups.wanted_at(used) is None
    assert backups.wanted_at(observed(**WANTED, **{note: ASKED - SECOND})) == ASKED
    assert kind(CLOSED, ASKED + DAY, **WANTED, **{note: ASKED}) == "backup", "asked for anew"


@pytest.mark.parametrize("note", ["backed_up", "backup_wanted_at"])
@pytest.mark.parametrize("value", ["", "soon", "2026-01-02T00:00:00", "2026-01-02T00:00:00 /b"])
def test_what_can_not_be_read_is_no_backup_and_no_wish(note: str, value: str) -> None:
    found = observed(**KEPT, **{note: value})
    assert backups.place(found) is None
    assert backups.wanted_at(found) is None
    assert kind(CLOSED, HARD + DAY, **KEPT, **{note: value}) == "backup"


def test_without_a_keeper_its_deadline_ends_the_wait_and_nothing_is_deleted() -> None:
    held = decide(CLOSED, ASKED + HOUR, **WANTED)
    reason = "its backup was not begun in time: is the keeper running?"
    assert held == lifecycle.Decision("hold", reason, deadline=HARD)
    cut_off = decide(CLOSED, ASKED + HOUR, **WANTED, backup_attempts=LAST)
    assert cut_off == lifecycle.Decision("hold", "its backup did not end in time", deadline=HARD)


def test_three_failed_attempts_are_enough_and_the_third_may_be_at_work() -> None:
    now = ASKED + MINUTE
    assert kind(CLOSED, now, **WANTED, backup_attempts=LAST) == "backup"
    assert kind(CLOSED, now, **WANTED, backup_attempts=f"2 {text(ASKED)}", backup_error="no room") == "backup"
    held = decide(CLOSED, now, **WANTED, backup_attempts=LAST, backup_error="no room")
    assert held == lifecycle.Decision("hold", "its backup failed: no room", deadline=HARD)
    assert decide(CLOSED, now, **WANTED, backup_attempts=f"4 {text(ASKED)}", backup_error="no room") == held


@pytest.mark.parametrize("state", [OPEN, CLOSED, UNKNOWN])
def test_the_highest_age_ends_also_what_could_not_be_backed_up_but_it_is_tried_before(
    state: lifecycle.PullRequestState,
) -> None:
    warned: Notes = {"warned_of": HARD, "warned_at": HARD - DAY}
    late: Notes = {**KEPT, "backup_wanted_at": HARD - HOUR - SECOND}
    if state is CLOSED:
        assert kind(state, HARD - SECOND, NO_SLEEP, **late) == "hold"
    assert kind(state, HARD, **late, **warned) == "delete"
    assert kind(state, HARD, **KEPT, **warned) == "backup"
    trying: Notes = {**KEPT, "backup_wanted_at": HARD}
    assert kind(state, HARD + HOUR - SECOND, **trying, **warned) == "backup"
    assert kind(state, HARD + HOUR, **trying, **warned) == "delete"


def test_the_keeper_begins_what_is_asked_for_and_leaves_time_between_attempts() -> None:
    def due(now: datetime.datetime, /, **notes: datetime.datetime | str) -> bool:
        return backups.is_due_now(observed(**notes), HOUR, now)

    assert due(ASKED, **WANTED)
    assert due(ASKED + HOUR - SECOND, **WANTED)
    assert not due(ASKED + HOUR, **WANTED)
    assert not due(ASKED, **KEPT), "nobody asked"
    assert not due(ASKED, backup_wanted_at=ASKED), "no backup is wanted"
    assert not due(ASKED, **WANTED, backed_up=f"{text(ASKED)} /b")
    assert not due(ASKED, **WANTED, active_at=ASKED)
    first = {**WANTED, "backup_attempts": f"1 {text(ASKED)}"}
    assert not due(ASKED + 15 * MINUTE - SECOND, **first)
    assert due(ASKED + 15 * MINUTE, **first)
    assert due(ASKED + 15 * MINUTE, **{**first, "backup_attempts": f"2 {text(ASKED)}"})
    assert not due(ASKED + 30 * MINUTE, **WANTED, backup_attempts=LAST)
    assert due(ASKED, **WANTED, backup_attempts="2 soon")


def test_an_attempt_has_its_share_of_the_time_and_no_more_than_there_is() -> None:
    def left(now: datetime.datetime, /, **notes: datetime.datetime | str) -> datetime.timedelta:
        return backups.time_left(observed(**notes), HOUR, now)

    assert left(ASKED, **WANTED) == left(ASKED + 40 * MINUTE, **WANTED) == 20 * MINUTE
    assert left(ASKED + 50 * MINUTE, **WANTED) == 10 * MINUTE
    assert left(ASKED) == 20 * MINUTE


def test_attempts_that_can_not_be_read_are_none() -> None:
    assert backups.attempts(observed(backup_attempts=f"2 {text(ASKED)}")) == backups.Attempts(2, ASKED)
    for value in ("", "2", "x y", f" {text(ASKED)}", "-1 x"):
        assert backups.attempts(observed(backup_attempts=value)) == backups.Attempts()


def test_what_is_noted() -> None:
    none = dict.fromkeys(backups.NOTES)
    assert backups.asked(observed(), ASKED) == {**none, environment.BACKUP_WANTED_AT: text(ASKED)}
    begun = backups.begun(observed(backup_attempts=f"1 {text(BORN)}", backup_error="x"), ASKED)
    assert begun == {environment.BACKUP_ATTEMPTS: f"2 {text(ASKED)}", environment.BACKUP_ERROR: None}
    assert backups.begun(observed(), ASKED)[environment.BACKUP_ATTEMPTS] == f"1 {text(ASKED)}"
    assert backups.failed("no  room\nleft") == {environment.BACKUP_ERROR: "no room left"}
    assert backups.failed("x" * 500) == {environment.BACKUP_ERROR: "x" * 200}
    assert backups.failed(" ") == {environment.BACKUP_ERROR: "nothing was said"}
    made = backups.made(observed(), ASKED, "/b/c")
    assert made == {environment.BACKED_UP: f"{text(ASKED)} /b/c", environment.BACKUP_ERROR: None}
    there = observed(**WANTED, backup_attempts=LAST, backed_up="x", backup_failed_at=ASKED)
    forgotten = (environment.BACKUP_WANTED_AT, environment.BACKUP_ATTEMPTS, environment.BACKUP_FAILED_AT)
    assert backups.forgotten(there) == dict.fromkeys(forgotten)
    assert backups.forgotten(observed(**KEPT)) == {}


@pytest.mark.parametrize("note", ["active_at", "deployed_at"])
def test_who_asks_or_backs_up_in_the_second_of_the_last_use_is_seen_to_have_come_after_it(note: str) -> None:
    used = observed(**{note: ASKED})
    assert backups.asked(used, ASKED)[environment.BACKUP_WANTED_AT] == text(ASKED + SECOND)
    assert backups.asked(used, ASKED + MINUTE)[environment.BACKUP_WANTED_AT] == text(ASKED + MINUTE)
    assert backups.made(used, ASKED, "/b")[environment.BACKED_UP] == f"{text(ASKED + SECOND)} /b"
