"""A world with a janitor that may fail at any point, and what must hold of everything that it does."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Callable
from typing import ClassVar

from hypothesis import stateful

from k8s_ee import backups, environment, lifecycle, notices

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECOND, MINUTE, HOUR = (datetime.timedelta(seconds=one) for one in (1, 60, 3600))
POLICY = lifecycle.Policy(preserve_limit=2)


class Crash(Exception):
    """The janitor dies between two of its writes."""


@dataclasses.dataclass
class Pull:
    open: bool = True
    closed_at: datetime.datetime | None = None


@dataclasses.dataclass
class Living:
    """One environment, and what the test alone knows about it: the truth that the annotations must not lose."""

    uid: str
    born: datetime.datetime
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    terminating_since: datetime.datetime | None = None
    requested: bool = False
    visited: datetime.datetime | None = None  # as Prometheus knows it, where it answers
    clean_passes_closed: int = 0
    told_of: dict[str, datetime.datetime] = dataclasses.field(default_factory=dict)  # deadline → when it was posted
    failed_to_tell: dict[str, int] = dataclasses.field(default_factory=dict)
    writes: int = 0  # each makes another state of its data
    saved: int | None = None  # the state that is backed up
    asked: datetime.datetime | None = None
    tries: int = 0
    failures: int = 0


def text(when: datetime.datetime) -> str:
    return when.isoformat(timespec="seconds")


class World(stateful.RuleBasedStateMachine):
    steps: ClassVar[int] = 0
    decided: ClassVar[collections.Counter[str]] = collections.Counter()

    def __init__(self) -> None:
        super().__init__()
        type(self).steps -= 1  # the invariants are looked at before the first step, too
        self.now = START
        self.pulls: dict[int, Pull] = {}
        self.living: dict[int, Living] = {}
        self.slots: dict[str, str] = {}
        self.made = 0

    def _pass(self, *, unknown: frozenset[int], counted: bool, posting: bool, deleting: bool, crash_after: int) -> None:
        left = crash_after

        def step() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        try:
            for number in sorted(self.living):
                facts = dataclasses.replace(
                    lifecycle.Facts(self._observed(number), self._state(number, unknown)),
                    traffic_at=self.living[number].visited if counted else None,
                    traffic_unknown="" if counted else "Prometheus is down",
                )
                self._act(number, facts, step, posting=posting, deleting=deleting)
        except Crash:
            return

    def _act(
        self, number: int, facts: lifecycle.Facts, step: Callable[[], None], *, posting: bool, deleting: bool
    ) -> None:
        decision, one = lifecycle.decide(facts, POLICY, self.now), self.living[number]
        World.decided[decision.kind] += 1
        step()
        if decision.kind == "warn":
            assert decision.deadline is not None
            self._warn(one, facts.environment, decision.deadline, step, posting=posting)
        elif decision.kind == "sleep":
            assert not facts.traffic_unknown, "nobody knows whether it is used"
            one.notes[environment.ASLEEP_SINCE] = text(self.now)
        elif decision.kind == "expire":
            self._check_told(one, decision)
            self._expire(number)
        elif decision.kind == "backup":
            self._ask(one)
        elif decision.kind == "hold":
            self._check_failed(one)
        elif decision.kind == "delete":
            self._check_backed_up(one)
            self._check_delete(number, decision)
            one.notes[environment.CLEANUP_REQUESTED_AT] = text(self.now)
            one.requested = True
            step()
            if deleting:
                one.terminating_since = self.now

    def _warn(
        self,
        one: Living,
        seen: environment.Observed,
        deadline: datetime.datetime,
        step: Callable[[], None],
        *,
        posting: bool,
    ) -> None:
        if posting:
            one.told_of[text(deadline)] = self.now
            step()
            self._write(one, notices.posted(deadline, self.now))
        else:
            one.failed_to_tell[text(deadline)] = one.failed_to_tell.get(text(deadline), 0) + 1
            step()
            self._write(one, notices.failed(seen, deadline))

    def _ask(self, one: Living) -> None:
        if backups.wanted_at(self._seen(one)) is None:
            self._write(one, backups.asked(self._seen(one), self.now))
            one.asked, one.tries, one.failures = self.now, 0, 0
            self.now += SECOND  # it takes that, at the very least

    def _keep(self, one: Living, *, storing: bool, crash_after: int) -> None:
        """The keeper, which may die after each of its writes."""
        seen = self._seen(one)
        if seen.terminating or not backups.is_due_now(seen, POLICY.backup_deadline, self.now):
            return
        began, state = self.now, one.writes
        one.tries += 1
        assert one.tries <= backups.ATTEMPTS
        self._write(one, backups.begun(seen, began))
        if crash_after == 0:
            return
        if not storing:
            one.failures += 1
            self._write(one, backups.failed("the storage is away"))
        elif crash_after > 1:
            one.saved = state
            self._write(one, backups.made(self._seen(one), began, "/backups/a.tar"))
            self.now += SECOND

    def _check_failed(self, one: Living) -> None:
        assert one.saved != one.writes, "held, though it is backed up"
        assert self._is_over(one), "given up too early"

    def _is_over(self, one: Living) -> bool:
        assert one.asked is not None, "never asked for"
        return one.failures >= backups.ATTEMPTS or self.now - one.asked >= POLICY.backup_deadline

    def _check_backed_up(self, one: Living) -> None:
        """The one thing that must never happen, but for the highest age."""
        if (
            environment.CLEANUP_REQUESTED_AT in one.notes
            or environment.BACKUP not in one.notes
            or one.saved == one.writes
        ):
            return
        assert self.now >= one.born + POLICY.hard_ttl, "destroyed without its backup"
        assert self._is_over(one), "not even tried"

    def _check_delete(self, number: int, decision: lifecycle.Decision) -> None:
        one, pull = self.living[number], self.pulls[number]
        if one.requested or (not pull.open and environment.PRESERVED_UNTIL not in one.notes and not decision.deadline):
            return
        self._check_told(one, decision)

    def _check_told(self, one: Living, decision: lifecycle.Decision) -> None:
        assert decision.deadline is not None, "deleted without any right"
        assert self.now >= decision.deadline, "before its time"
        told = one.told_of.get(text(decision.deadline))
        in_time = told is not None and self.now - told >= min(HOUR, POLICY.preserve_warn_before)
        failed = one.failed_to_tell.get(text(decision.deadline), 0) >= lifecycle.ENOUGH_FAILURES
        assert in_time or failed, "nobody was told in time"

    def _deploy(self, number: int, *, wants_backup: bool = False) -> None:
        if number not in self.living:
            self.made += 1
            self.living[number] = Living(uid=str(self.made), born=self.now)
        one = self.living[number]
        if one.terminating_since is None:
            for note in (environment.ASLEEP_SINCE, environment.BACKUP, *backups.NOTES):
                one.notes.pop(note, None)
            if wants_backup:
                one.notes[environment.BACKUP] = "onDestroy"
            self._used(one)
        self._note(number, environment.DEPLOYED_AT, self.now)

    def _note(self, number: int, key: str, when: datetime.datetime) -> None:
        one = self.living.get(number)
        if one is not None and one.terminating_since is None:
            one.notes[key] = text(when)

    def _used(self, one: Living) -> None:
        one.writes += 1
        one.asked = None

    def _expire(self, number: int) -> None:
        self.living[number].notes.pop(environment.PRESERVED_UNTIL, None)
        self.slots.pop(self.living[number].uid, None)

    def _gone(self, number: int) -> None:
        self.slots.pop(self.living.pop(number).uid, None)

    def _write(self, one: Living, changes: dict[str, str | None]) -> None:
        for key, value in changes.items():
            if value is None:
                one.notes.pop(key, None)
            else:
                one.notes[key] = value

    def _state(self, number: int, unknown: frozenset[int]) -> lifecycle.PullRequestState:
        if number in unknown:
            return lifecycle.Unknown("GitHub is down")
        pull = self.pulls[number]
        return lifecycle.Open() if pull.open else lifecycle.Closed(pull.closed_at)

    def _observed(self, number: int) -> environment.Observed:
        return self._seen(self.living[number], number)

    def _seen(self, one: Living, number: int = 1) -> environment.Observed:
        return environment.Observed(
            namespace=environment.NamespaceName(f"a-pr-{number}"),
            uid=one.uid,
            resource_version="1",
            project=environment.ProjectId("a"),
            number=number,
            repository_id=1,
            created_at=one.born,
            terminating=one.terminating_since is not None,
            annotations=dict(one.notes),
            terminating_since=one.terminating_since,
        )
