"""A world in which anything happens in any order: what must hold of the lifecycle at every step."""

from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Callable, Iterable
from typing import ClassVar

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from k8s_ee import environment, lifecycle

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MINUTE, HOUR, DAY = (datetime.timedelta(seconds=one) for one in (60, 3600, 86400))
POLICY = lifecycle.Policy(preserve_limit=2)
RecordProperty = Callable[[str, object], None]
NUMBERS = st.integers(1, 4)
PICKS = st.integers(0, 3)


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
    clean_passes_closed: int = 0
    told_of: dict[str, datetime.datetime] = dataclasses.field(default_factory=dict)  # deadline → when it was posted
    failed_to_tell: dict[str, int] = dataclasses.field(default_factory=dict)


def _picked(numbers: Iterable[int], pick: int) -> int:
    """One that is there, so that no step is wasted on one that is not."""
    ordered = sorted(numbers)
    return ordered[pick % len(ordered)]


def text(when: datetime.datetime) -> str:
    return when.isoformat(timespec="seconds")


WITH_PULLS = stateful.precondition(lambda world: bool(world.pulls))
WITH_LIVING = stateful.precondition(lambda world: bool(world.living))


class World(stateful.RuleBasedStateMachine):
    steps: ClassVar[int] = 0
    decided: ClassVar[collections.Counter[str]] = collections.Counter()

    def __init__(self) -> None:
        super().__init__()
        World.steps -= 1  # the invariants are looked at before the first step, too
        self.now = START
        self.pulls: dict[int, Pull] = {}
        self.living: dict[int, Living] = {}
        self.slots: dict[str, str] = {}
        self.made = 0

    # What people do

    @stateful.rule(number=NUMBERS)
    def open_or_push(self, number: int) -> None:
        pull = self.pulls.setdefault(number, Pull())
        if pull.open:
            self._deploy(number)

    @WITH_PULLS
    @stateful.rule(pick=PICKS)
    def deploy_late(self, pick: int) -> None:
        """A run that was queued before its pull request closed."""
        self._deploy(_picked(self.pulls, pick))

    @WITH_PULLS
    @stateful.rule(pick=PICKS)
    def close(self, pick: int) -> None:
        number = _picked(self.pulls, pick)
        if self.pulls[number].open:
            self.pulls[number] = Pull(open=False, closed_at=self.now)

    @WITH_PULLS
    @stateful.rule(pick=PICKS)
    def reopen(self, pick: int) -> None:
        self.pulls[_picked(self.pulls, pick)] = Pull()

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def comment(self, pick: int) -> None:
        self._note(_picked(self.living, pick), environment.ACTIVE_AT, self.now)

    @WITH_LIVING
    @stateful.rule(pick=PICKS, hours=st.integers(1, 900))
    def extend(self, pick: int, hours: int) -> None:
        number = _picked(self.living, pick)
        last = lifecycle.hard_deadline(self._observed(number), POLICY)
        self._note(number, environment.EXTENDED_UNTIL, min(self.now + hours * HOUR, last))

    @WITH_LIVING
    @stateful.rule(pick=PICKS, hours=st.integers(1, 100))
    def preserve(self, pick: int, hours: int) -> None:
        number = _picked(self.living, pick)
        one = self.living[number]
        if one.terminating_since is not None or one.requested:
            return
        last = lifecycle.hard_deadline(self._observed(number), POLICY)
        if last <= self.now or (one.uid not in self.slots and len(self.slots) >= POLICY.preserve_limit):
            return
        self.slots[one.uid] = text(self.now)
        self._note(number, environment.PRESERVED_UNTIL, min(self.now + hours * HOUR, last))

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def unpreserve(self, pick: int) -> None:
        self._expire(_picked(self.living, pick))

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def destroy(self, pick: int) -> None:
        number = _picked(self.living, pick)
        self.living[number].requested = True
        self._note(number, environment.DESTROY_REQUESTED_AT, self.now)

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def wake(self, pick: int) -> None:
        number = _picked(self.living, pick)
        self.living[number].notes.pop(environment.ASLEEP_SINCE, None)
        self._note(number, environment.ACTIVE_AT, self.now)

    @stateful.rule(minutes=st.one_of(st.integers(1, 120), st.integers(1, 15_000)))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @stateful.precondition(lambda world: any(one.terminating_since for one in world.living.values()))
    @stateful.rule(pick=PICKS)
    def namespace_is_gone(self, pick: int) -> None:
        self._gone(_picked([number for number, one in self.living.items() if one.terminating_since], pick))

    # The janitor

    @WITH_LIVING
    @stateful.rule()
    def clean_pass(self) -> None:
        self._pass(unknown=frozenset(), posting=True, deleting=True, crash_after=1_000)
        for number, one in list(self.living.items()):
            if one.terminating_since is not None:
                self._gone(number)
                continue
            unkept = not self.pulls[number].open and environment.PRESERVED_UNTIL not in one.notes
            one.clean_passes_closed = one.clean_passes_closed + 1 if unkept else 0
            assert one.clean_passes_closed < 2, "a closed, unpreserved one outlived two clean passes"

    @WITH_LIVING
    @stateful.rule(
        unknown=st.frozensets(NUMBERS),
        posting=st.booleans(),
        deleting=st.booleans(),
        crash_after=st.integers(0, 8),
    )
    def troubled_pass(self, unknown: frozenset[int], posting: bool, deleting: bool, crash_after: int) -> None:
        self._pass(unknown=unknown, posting=posting, deleting=deleting, crash_after=crash_after)

    @stateful.invariant()
    def is_counted(self) -> None:
        World.steps += 1

    @stateful.invariant()
    def no_more_are_preserved_than_the_limit(self) -> None:
        preserved = [one for one in self.living.values() if environment.PRESERVED_UNTIL in one.notes]
        assert len(preserved) <= POLICY.preserve_limit

    def _pass(self, *, unknown: frozenset[int], posting: bool, deleting: bool, crash_after: int) -> None:
        left = crash_after

        def step() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        try:
            for number in sorted(self.living):
                facts = lifecycle.Facts(self._observed(number), self._state(number, unknown))
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
            one.notes[environment.ASLEEP_SINCE] = text(self.now)
        elif decision.kind == "expire":
            self._check_told(one, decision)
            self._expire(number)
        elif decision.kind == "delete":
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
            self._write(one, lifecycle.warning_posted(deadline, self.now))
        else:
            one.failed_to_tell[text(deadline)] = one.failed_to_tell.get(text(deadline), 0) + 1
            step()
            self._write(one, lifecycle.warning_failed(seen, deadline))

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

    def _deploy(self, number: int) -> None:
        if number not in self.living:
            self.made += 1
            self.living[number] = Living(uid=str(self.made), born=self.now)
        self.living[number].notes.pop(environment.ASLEEP_SINCE, None)
        self._note(number, environment.DEPLOYED_AT, self.now)

    def _note(self, number: int, key: str, when: datetime.datetime) -> None:
        one = self.living.get(number)
        if one is not None and one.terminating_since is None:
            one.notes[key] = text(when)

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
        one = self.living[number]
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


def _live(examples: int, steps: int) -> int:
    """How many steps were really taken: `steps` is only the most that one example may have."""
    found = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    World.steps = 0
    World.decided.clear()
    stateful.run_state_machine_as_test(World, settings=found)
    return World.steps


def test_whatever_happens_nothing_is_left_and_nothing_goes_unwarned(record_property: RecordProperty) -> None:
    taken = _live(examples=25, steps=50)
    record_property("steps", taken)
    assert taken >= 1_000


@pytest.mark.long
def test_whatever_happens_in_ten_thousand_steps(record_property: RecordProperty) -> None:
    taken = _live(examples=125, steps=100)
    record_property("steps", taken)
    record_property("decisions", dict(World.decided))
    assert taken >= 10_000
    assert set(World.decided) == set(lifecycle.KINDS)
