"""Never more are awake than there may be, and a place that nobody uses any more is given back."""

import functools
import time
from concurrent import futures

import pytest

from k8s_ee import errors
from k8s_ee.cluster import namespaces, places, slots
from k8s_ee.commands import cleanup, namespace, resting, room
from k8s_ee.plan import capacity
from tests.cluster import environments, grounds

pytestmark = pytest.mark.cluster


def test_of_24_that_come_at_once_exactly_as_many_get_in_as_may_and_the_others_wait_in_order(
    ground: grounds.Ground,
) -> None:
    ground.rules = {"environments": 5}
    made = ground.at_once([functools.partial(ground.deploy, n) for n in range(1, 25)])
    by_state = [one.state for one in made]
    assert (by_state.count("deploying"), by_state.count("queued")) == (5, 19)
    assert len(ground.awake()) == len(ground.placed()) == 5
    waiting = [one for one in made if one.state == "queued"]
    assert all((one.outputs["deploy"], one.outputs["ready"]) == ("false", "false") for one in waiting)
    assert {one.failure for one in waiting} == {None}
    assert sorted(int(one.outputs["position"]) for one in waiting)[-1] <= 19
    assert [one.order for one in ground.line()] == sorted(one.order for one in ground.line())
    assert len(ground.line()) == 19
    assert not any(one.is_held for one in ground.line())


def test_without_a_maximum_nothing_is_written(ground: grounds.Ground) -> None:
    ground.rules = {}
    assert [ground.deploy(n).state for n in range(1, 4)] == ["deploying"] * 3
    assert ground.base.api.list("Lease", grounds.HOME) == ()


def test_those_that_wait_go_on_in_the_order_they_came_as_soon_as_others_are_destroyed(ground: grounds.Ground) -> None:
    ground.waits = 90
    for number in (1, 2):
        ground.deploy(number)
    with futures.ThreadPoolExecutor(3) as threads:
        later = []
        for number in (30, 20, 10):
            later.append(threads.submit(ground.deploy, number))
            grounds.until(lambda: len(ground.line()) == len(later))
            time.sleep(1.1)  # The API server's times are to the second.
        for destroyed, freed in zip((1, 2), later, strict=False):
            assert not freed.done()
            began = time.monotonic()
            assert cleanup.cleanup(ground.session(destroyed)).state == "destroyed"
            assert freed.result(timeout=20).state == "deploying"
            assert time.monotonic() - began < 25
        assert ground.awake() == {ground.at(30), ground.at(20)}
        assert not later[2].done()
        cleanup.cleanup(ground.session(30))
        assert later[2].result(timeout=20).state == "deploying"
    assert ground.line() == []


def test_a_repository_that_has_its_share_holds_up_no_other(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 4, "environmentsPerRepository": 2}
    work = [functools.partial(ground.deploy, n) for n in range(1, 6)]
    work += [functools.partial(ground.deploy, n, repository=grounds.TOOLS) for n in range(1, 6)]
    made = ground.at_once(work)
    assert [one.state for one in made[:5]].count("deploying") == 2
    assert [one.state for one in made[5:]].count("deploying") == 2
    assert len(ground.placed()) == 4


def test_a_deploy_to_one_that_has_a_place_never_waits(ground: grounds.Ground) -> None:
    for number in (1, 2):
        ground.deploy(number)
    ground.waits = 60
    began = time.monotonic()
    assert ground.deploy(1, run=2).state == "deploying"
    assert time.monotonic() - began < 5
    assert len(slots.held(ground.base.api, grounds.HOME, places.PREFIX)) == 2


def test_one_from_before_there_was_a_maximum_is_counted_and_never_waits(ground: grounds.Ground) -> None:
    ground.rules = {}
    for number in (1, 2, 3):
        ground.deploy(number)
    ground.rules = {"environments": 2}
    assert ground.deploy(1, run=2).state == "deploying"
    ground.tidy()
    assert ground.placed() == {ground.at(1), ground.at(2), ground.at(3)}
    assert ground.deploy(4).state == "queued"
    cleanup.cleanup(ground.session(1))
    assert ground.deploy(4).state == "queued"
    cleanup.cleanup(ground.session(2))
    assert ground.deploy(4).state == "deploying"


def test_one_that_sleeps_has_no_place_and_needs_one_to_wake(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    grounds.put_to_sleep(ground, ground.at(1))
    assert ground.placed() == set()
    assert ground.deploy(2).state == "deploying"
    with pytest.raises(errors.Refused, match="stays asleep: 1 environments are awake"):
        room.wake(ground.session(1), ground.observed(ground.at(1)))
    assert ground.deploy(1, run=2).state == "queued"
    assert ground.observed(ground.at(1)).asleep_since
    cleanup.cleanup(ground.session(2))
    room.wake(ground.session(1), ground.observed(ground.at(1)))
    assert ground.placed() == {ground.at(1)}


def test_the_commands_sleep_and_wake_give_the_place_back_and_take_it(ground: grounds.Ground) -> None:
    ground.deploy(1)
    assert resting.sleep(ground.session(1)).state == "sleeping"
    assert ground.placed() == set()
    assert resting.wake(ground.session(1)).state == "awake"
    assert ground.placed() == {ground.at(1)}


def test_the_least_recently_used_makes_room_and_neither_a_preserved_nor_a_fresh_one(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 4, "sleepIdleFor": "1m"}
    for number in (1, 2, 3, 4):
        ground.deploy(number)
    later = grounds.now() + 2 * grounds.HOUR
    for number, minutes in ((1, 90), (2, 20), (3, 30)):
        at = (later - minutes * grounds.MINUTE).isoformat(timespec="seconds")
        ground.note(ground.at(number), ACTIVE_AT=at, DEPLOYED_AT=at, HEAD_SHA="b" * 40)
    ground.note(ground.at(1), PRESERVED_UNTIL=(later + grounds.HOUR).isoformat(timespec="seconds"))
    ctx = ground.session(5)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "deploying"
    assert ground.observed(ground.at(3)).asleep_since
    assert ground.observed(ground.at(3)).sleep_untold, "its pull request may be in another repository"
    assert ground.awake() == ground.placed() == {ground.at(1), ground.at(2), ground.at(4), ground.at(5)}
    assert f"put {ground.at(3)} to sleep, which nobody used for the longest time" in ground.said
    ground.rules["sleepLeastRecentlyUsed"] = False
    ctx = ground.session(6)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "queued"


def test_what_a_process_killed_before_its_namespace_existed_took_is_free_after_a_while(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1, "environmentsPerRepository": 1}
    ctx = ground.session(1)
    assert room.enter(ctx, "up") is None
    assert ground.tidy() == ()
    assert ground.deploy(2).state == "queued"
    assert sorted(ground.tidy(later=16 * grounds.MINUTE)) == ["place-0", f"place-{grounds.SHOP}-0"]
    assert ground.deploy(2).state == "deploying"


def test_what_a_process_killed_after_its_namespace_existed_took_stays_its_own(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1}
    ctx = ground.session(1)
    assert room.enter(ctx, "up") is None
    manifest = environments.namespace(ctx.target())
    made = namespaces.ensure(ctx.cluster, manifest, ctx.target(), environments.soon()).observed
    assert ground.tidy(later=16 * grounds.MINUTE) == ()
    assert slots.held(ctx.cluster, grounds.HOME, places.PREFIX) == {"place-0": places.owner(made)}
    assert ground.deploy(1).state == "deploying"


def test_the_next_run_goes_on_with_what_the_one_before_reserved(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1}
    assert room.enter(ground.session(1), "up") is None
    assert ground.deploy(1, run=2).state == "deploying"
    assert ground.placed() == {ground.at(1)}


def test_one_that_cant_have_its_namespace_leaves_no_reservation(ground: grounds.Ground) -> None:
    ground.base.kubectl("create", "namespace", ground.at(1))
    try:
        with pytest.raises(errors.Refused):
            ground.deploy(1)
        assert ground.placed() == set()
    finally:
        ground.base.kubectl("delete", "namespace", ground.at(1))


def test_the_place_of_one_that_went_unseen_is_free_after_a_pass(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    ground.base.kubectl("delete", "namespace", ground.at(1))
    assert ground.tidy() == ("place-0",)


def test_one_that_is_woken_while_it_falls_asleep_keeps_its_place(ground: grounds.Ground) -> None:
    """Whoever wakes it takes its place anew, and the one who put it to sleep lets go of what it read before."""
    ground.rules = {"environments": 1}
    ground.deploy(1)
    observed = ground.observed(ground.at(1))
    claim = capacity.Claim(ground.at(1), grounds.SHOP)
    before = ground.base.api.list("Lease", grounds.HOME)
    assert places.take(ground.base.api, claim, places.owner(observed), policy=ground.policy, home=grounds.HOME)
    assert not any(slots.drop(ground.base.api, one) for one in before)
    assert ground.placed() == {ground.at(1)}
