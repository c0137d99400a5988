"""A world in which anything happens in any order: what must hold of the lifecycle at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from k8s_ee import environment, lifecycle
from tests.unit.lifecycle import world
from tests.unit.lifecycle.world import HOUR, MINUTE, POLICY, text

RecordProperty = Callable[[str, object], None]
NUMBERS = st.integers(1, 4)
PICKS = st.integers(0, 3)


def _picked(numbers: Iterable[int], pick: int) -> int:
    """One that is there, so that no step is wasted on one that is not."""
    ordered = sorted(numbers)
    return ordered[pick % len(ordered)]


WITH_PULLS = stateful.precondition(lambda here: bool(here.pulls))
WITH_LIVING = stateful.precondition(lambda here: bool(here.living))


class World(world.World):
    # What people do

    @stateful.rule(number=NUMBERS, wants_backup=st.booleans())
    def open_or_push(self, number: int, wants_backup: bool) -> None:
        pull = self.pulls.setdefault(number, world.Pull())
        if pull.open:
            self._deploy(number, wants_backup=wants_backup)

    @WITH_PULLS
    @stateful.rule(pick=PICKS, wants_backup=st.booleans())
    def deploy_late(self, pick: int, wants_backup: bool) -> None:
        """A run that was queued before its pull request closed."""
        self._deploy(_picked(self.pulls, pick), wants_backup=wants_backup)

    @WITH_PULLS
    @stateful.rule(pick=PICKS)
    def close(self, pick: int) -> None:
        number = _picked(self.pulls, pick)
        if self.pulls[number].open:
            self.pulls[number] = world.Pull(open=False, closed_at=self.now)

    @WITH_PULLS
    @stateful.rule(pick=PICKS)
    def reopen(self, pick: int) -> None:
        self.pulls[_picked(self.pulls, pick)] = world.Pull()

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def comment(self, pick: int) -> None:
        self._used(self.living[_picked(self.living, pick)])
        self._note(_picked(self.living, pick), environment.ACTIVE_AT, self.now)

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def visit(self, pick: int) -> None:
        self.living[_picked(self.living, pick)].visited = self.now

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
    @stateful.rule(pick=PICKS, without_backup=st.booleans())
    def destroy(self, pick: int, without_backup: bool) -> None:
        """Without a backup it begins at once; here it is cut off before anything is gone."""
        number = _picked(self.living, pick)
        self.living[number].requested = True
        note = environment.CLEANUP_REQUESTED_AT if without_backup else environment.DESTROY_REQUESTED_AT
        self._note(number, note, self.now)

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def wake(self, pick: int) -> None:
        number = _picked(self.living, pick)
        self.living[number].notes.pop(environment.ASLEEP_SINCE, None)
        self._used(self.living[number])
        self._note(number, environment.ACTIVE_AT, self.now)

    @stateful.rule(minutes=st.one_of(st.integers(1, 120), st.integers(1, 15_000)))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @WITH_LIVING
    @stateful.rule(pick=PICKS)
    def a_deadline_comes(self, pick: int) -> None:
        """And goes, by an hour: seldom by chance."""
        found = self._observed(_picked(self.living, pick))
        self.now = max([self.now, *(due for due in (found.preserved_until, found.warned_of) if due)]) + HOUR

    @stateful.precondition(lambda here: any(one.terminating_since for one in here.living.values()))
    @stateful.rule(pick=PICKS)
    def namespace_is_gone(self, pick: int) -> None:
        self._gone(_picked([number for number, one in self.living.items() if one.terminating_since], pick))

    # The keeper and the janitor

    @WITH_LIVING
    @stateful.rule(minutes=st.integers(1, 60), storing=st.booleans(), crash_after=st.integers(0, 3))
    def keepers(self, minutes: int, storing: bool, crash_after: int) -> None:
        for _minute in range(minutes):
            for one in self.living.values():
                self._keep(one, storing=storing, crash_after=crash_after)
            self.now += MINUTE

    @WITH_LIVING
    @stateful.rule()
    def clean_pass(self) -> None:
        self._pass(unknown=frozenset(), counted=True, posting=True, deleting=True, crash_after=1_000)
        for number, one in list(self.living.items()):
            if one.terminating_since is not None:
                self._gone(number)
                continue
            unkept = not self.pulls[number].open and environment.PRESERVED_UNTIL not in one.notes
            unkept &= environment.BACKUP not in one.notes
            one.clean_passes_closed = one.clean_passes_closed + 1 if unkept else 0
            assert one.clean_passes_closed < 2, "a closed, unpreserved one outlived two clean passes"

    @WITH_LIVING
    @stateful.rule(
        unknown=st.frozensets(NUMBERS),
        counted=st.booleans(),
        posting=st.booleans(),
        deleting=st.booleans(),
        crash_after=st.integers(0, 8),
    )
    def troubled_pass(
        self, unknown: frozenset[int], counted: bool, posting: bool, deleting: bool, crash_after: int
    ) -> None:
        self._pass(unknown=unknown, counted=counted, posting=posting, deleting=deleting, crash_after=crash_after)

    @stateful.invariant()
    def is_counted(self) -> None:
        type(self).steps += 1

    @stateful.invariant()
    def no_more_are_preserved_than_the_limit(self) -> None:
        preserved = [one for one in self.living.values() if environment.PRESERVED_UNTIL in one.notes]
        assert len(preserved) <= POLICY.preserve_limit


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
    taken = _live(examples=150, steps=100)
    record_property("steps", taken)
    record_property("decisions", dict(World.decided))
    assert taken >= 10_000
    assert set(World.decided) == set(lifecycle.KINDS)
