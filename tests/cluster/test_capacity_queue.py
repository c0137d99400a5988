"""Who waits for a place gets what others give back, in order; nobody who is gone holds up the others."""

import datetime
import time
from collections.abc import Iterator
from concurrent import futures

import pytest

from k8s_ee import environment, errors, settings
from k8s_ee.cluster import places, queueing
from k8s_ee.commands import cleanup, room
from k8s_ee.github import client as github
from tests.cluster import grounds
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

pytestmark = pytest.mark.cluster


def test_a_newer_run_takes_over_where_the_older_one_waits_in_line(ground: grounds.Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    ground.waits = 60
    with futures.ThreadPoolExecutor(2) as threads:
        older = threads.submit(ground.deploy, 2, run=5)
        grounds.until(ground.line)
        (first,) = ground.line()
        newer = threads.submit(ground.deploy, 2, run=6)
        with pytest.raises(errors.Superseded):
            older.result(timeout=20)
        (second,) = ground.line()
        assert (second.run, second.order[0]) == (6, first.order[0])
        cleanup.cleanup(ground.session(1))
        assert newer.result(timeout=20).state == "deploying"


def test_who_was_killed_while_it_waited_holds_nobody_up_for_long(
    ground: grounds.Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "_DEAD_AFTER", 6.0)
    ground.rules, ground.waits = {"environments": 1}, 40
    now_ = places.written(grounds.now())
    ground.base.api.create(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": f"queue-{grounds.SHOP}-9-shop",
                "namespace": grounds.HOME,
                "annotations": {environment.REPOSITORY_ID: str(grounds.SHOP), environment.RUN: "3"},
            },
            "spec": {"holderIdentity": "killed", "acquireTime": now_, "renewTime": now_},
        }
    )
    began = time.monotonic()
    assert ground.deploy(1).state == "deploying"
    assert 5 < time.monotonic() - began < 30
    kept = queueing.drop_stale(ground.base.api, ground.line(), grounds.now() + grounds.HOUR)
    assert kept == ground.line() == []


def test_a_run_that_ended_as_queued_says_so_and_what_to_do(ground: grounds.Ground) -> None:
    ground.rules, ground.waits = {"environments": 1}, 3
    ground.deploy(1)
    ended = ground.deploy(2)
    assert "1 environments are awake, as many as the platform allows" in ended.outputs["reason"]
    assert "number 1 in line" in " ".join(ended.notes)
    assert "Re-run all jobs" in " ".join(ended.notes)
    assert ended.phases[-1].name == "queue"


@pytest.fixture
def hub() -> Iterator[wire.Server]:
    shop = states.Repository(id=grounds.SHOP, full_name=grounds.NAMES[grounds.SHOP])
    shop.pulls = {number: states.Pull(number, "a" * 40) for number in range(1, 10)}
    with wire.Server(states.State(repositories=[shop])) as server:
        yield server


def released(ground: grounds.Ground, hub: wire.Server, later: datetime.timedelta = datetime.timedelta()) -> int:
    asking = github.GitHub(settings.Settings(token="t", api_url=hub.url), pause=0.01, patience=1)
    return room.release_queue(
        ground.base.api,
        asking,
        policy=ground.policy,
        home=grounds.HOME,
        now=grounds.now() + later,
        say=ground.said.append,
    )


def queued(ground: grounds.Ground, *numbers: int) -> None:
    """Each ended as queued, in this order."""
    ground.waits = 1
    for number in numbers:
        assert ground.deploy(number, run=100 + number).state == "queued"
        time.sleep(1.1)


def test_runs_are_started_again_when_there_is_room_in_order_and_once(ground: grounds.Ground, hub: wire.Server) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5, 4)
    assert released(ground, hub) == 0
    cleanup.cleanup(ground.session(1))
    assert released(ground, hub) == 1
    assert hub.state.repository(grounds.NAMES[grounds.SHOP]).reruns == [105]
    assert released(ground, hub) == 0
    assert ground.deploy(5, run=105).state == "deploying"
    assert [one.number for one in ground.line()] == [4]
    cleanup.cleanup(ground.session(5))
    assert released(ground, hub) == 1
    assert hub.state.repository(grounds.NAMES[grounds.SHOP]).reruns == [105, 104]


def test_a_run_of_a_pull_request_that_is_closed_by_now_is_forgotten(ground: grounds.Ground, hub: wire.Server) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5)
    cleanup.cleanup(ground.session(1))
    hub.state.repository(grounds.NAMES[grounds.SHOP]).pulls[5].state = "closed"
    assert released(ground, hub) == 0
    assert ground.line() == []
    assert hub.state.repository(grounds.NAMES[grounds.SHOP]).reruns == []


@pytest.mark.parametrize(
    "fault", [faults.Fault(method="POST", path=".*/rerun", status=403), faults.Fault(status=500, times=99)]
)
def test_a_run_that_cant_be_started_stays_in_line_and_that_is_said(
    ground: grounds.Ground, hub: wire.Server, fault: faults.Fault
) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5)
    cleanup.cleanup(ground.session(1))
    hub.faults.add(fault)
    assert released(ground, hub) == 0
    assert [one.number for one in ground.line()] == [5]
