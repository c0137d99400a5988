"""Nobody gets more than there is, nobody is passed who could have gone, and only what is unused makes room."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from typing import Any

import hypothesis
from hypothesis import strategies as st

from k8s_ee.config import model
from k8s_ee.plan import capacity
from tests.unit.plan import facts

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


def claim(number: int, *, repository: int = 1, requests: str = "1 1Gi") -> capacity.Claim:
    return capacity.Claim(f"shop-pr-{number}", repository, capacity.parse(requests))


def policy(**more: Any) -> model.Capacity:
    return dataclasses.replace(model.Capacity(), **more)


def room(*taken: capacity.Claim, nodes: str = "") -> capacity.Room:
    return capacity.Room(taken, capacity.parse(nodes) if nodes else None)


def node(name: str, cpu: str, memory: str, *, ready: str = "True", cordoned: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def pod(namespace: str, requests: str, *, on: str = "", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    cpu, _, memory = requests.partition(" ")
    container = {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {
        "metadata": {"namespace": namespace},
        "spec": {"containers": [container], **({"nodeName": on} if on else {}), **spec},
        "status": {"phase": phase},
    }


def test_an_environment_needs_its_replicas_its_databases_and_one_pod_more_for_a_rollout() -> None:
    alone = capacity.requests(facts.config())
    assert str(alone) == "200m 256Mi"
    three = capacity.requests(facts.config(app=model.App(replicas=3, migrate=("true",))))
    assert str(three) == "400m 512Mi"
    with_database = capacity.requests(facts.config(databases=(facts.POSTGRESQL,)))
    assert with_database.memory > alone.memory


@hypothesis.given(st.integers(0, 10**6), st.integers(0, 2**45))
def test_what_is_noted_is_read_back(thousandths: int, memory: int) -> None:
    noted = capacity.Requests(decimal.Decimal(thousandths) / 1000, decimal.Decimal(memory))
    assert capacity.parse(str(noted)) == noted


def test_what_cant_be_read_is_nothing() -> None:
    assert capacity.parse("") == capacity.parse("much more") == capacity.Requests()


def test_without_a_maximum_everybody_has_a_place() -> None:
    crowd = [claim(number) for number in range(100)]
    assert not model.Capacity().is_limited
    assert capacity.turns(crowd, room(*crowd), model.Capacity()) == tuple(crowd)


def test_the_first_that_wait_get_what_is_free() -> None:
    waiting = [claim(number) for number in range(10, 20)]
    taken = [claim(number) for number in range(3)]
    assert capacity.turns(waiting, room(*taken), policy(environments=5)) == tuple(waiting[:2])
    assert capacity.turns(waiting, room(*taken), policy(environments=3)) == ()


def test_who_waits_for_the_share_of_its_repository_holds_up_no_other_repository() -> None:
    waiting = [claim(1, repository=1), claim(2, repository=2), claim(3, repository=1), claim(4, repository=2)]
    limited = policy(environments=10, environments_per_repository=1)
    assert capacity.turns(waiting, room(claim(9, repository=1)), limited) == (waiting[1],)


def test_on_nodes_a_small_one_does_not_pass_a_large_one() -> None:
    large, small = claim(1, requests="4 1Gi"), claim(2, requests="1 1Gi")
    on_nodes = policy(mode="allocatable")
    assert capacity.turns([large, small], room(nodes="3 8Gi"), on_nodes) == ()
    assert capacity.turns([small, large], room(nodes="5 8Gi"), on_nodes) == (small, large)
    assert capacity.turns([small, large], room(nodes="4 8Gi"), on_nodes) == (small,)


def test_either_processors_or_memory_can_be_short() -> None:
    on_nodes = policy(mode="allocatable")
    wanted, held = claim(1, requests="1 1Gi"), claim(2, requests="1 1Gi")
    assert capacity.limit(wanted, room(held, nodes="2 2Gi"), on_nodes) == ""
    assert capacity.limit(wanted, room(held, nodes="1900m 2Gi"), on_nodes) == "nodes"
    assert capacity.limit(wanted, room(held, nodes="2 2047Mi"), on_nodes) == "nodes"
    said = capacity.why(wanted, room(held, nodes="1900m 2Gi"), on_nodes)
    assert "needs 1 1Gi" in said
    assert "have 900m 1Gi left" in said


def test_nodes_have_what_is_allocatable_on_those_that_take_pods() -> None:
    nodes = [
        node("a", "4", "8Gi"),
        node("cordoned", "4", "8Gi", cordoned=True),
        node("lost", "4", "8Gi", ready="Unknown"),
    ]
    assert str(capacity.for_environments(nodes, [], placed=())) == "4 8Gi"


def test_what_others_use_on_these_nodes_is_not_there_for_environments() -> None:
    nodes = [node("a", "4", "8Gi"), node("cordoned", "4", "8Gi", cordoned=True)]
    pods = [
        pod("kube-system", "500m 1Gi", on="a"),
        pod("kube-system", "500m 1Gi", on="cordoned"),
        pod("kube-system", "500m 1Gi", on="a", phase="Succeeded"),
        pod("other", "500m 1Gi", phase="Pending"),
        pod("shop-pr-1", "500m 1Gi", on="a"),
    ]
    assert str(capacity.for_environments(nodes, pods, placed={"shop-pr-1"})) == "3 6Gi"


def test_a_pod_counts_as_its_containers_or_its_largest_step_before_them() -> None:
    step = {"name": "i", "resources": {"requests": {"cpu": "2", "memory": "1Mi"}}}
    sidecar = {**step, "restartPolicy": "Always"}
    assert str(capacity.of_pod(pod("n", "500m 1Gi", initContainers=[step]))) == "2 1Gi"
    assert str(capacity.of_pod(pod("n", "500m 1Gi", initContainers=[sidecar]))) == "2500m 1025Mi"
    assert str(capacity.of_pod(pod("n", "1 1Gi", overhead={"cpu": "250m"}))) == "1250m 1Gi"
    assert capacity.of_pod({"metadata": {}, "spec": {"containers": [{"name": "c"}]}}) == capacity.Requests()


def idle(number: int, hours: float, *, repository: int = 1, requests: str = "1 1Gi") -> capacity.Idle:
    return capacity.Idle(claim(number, repository=repository, requests=requests), NOW - hours * HOUR)


def test_the_least_recently_used_makes_room() -> None:
    unused = [idle(1, 2), idle(2, 9), idle(3, 5)]
    full = room(*(one.claim for one in unused))
    assert capacity.sleepers(claim(4), full, policy(environments=3), idle=unused, now=NOW) == (unused[1],)


def test_nobody_is_put_to_sleep_who_was_used_just_now_or_where_the_platform_says_so() -> None:
    unused = [idle(1, 0.9)]
    full = room(unused[0].claim)
    assert capacity.sleepers(claim(4), full, policy(environments=1), idle=unused, now=NOW) == ()
    sooner = policy(environments=1, sleep_idle_for=HOUR / 2)
    assert capacity.sleepers(claim(4), full, sooner, idle=unused, now=NOW) == (unused[0],)
    never = dataclasses.replace(sooner, sleep_least_recently_used=False)
    assert capacity.sleepers(claim(4), full, never, idle=unused, now=NOW) == ()


def test_for_the_share_of_a_repository_only_its_own_make_room() -> None:
    unused = [idle(1, 9, repository=2), idle(2, 3, repository=1)]
    full = room(*(one.claim for one in unused))
    limited = policy(environments_per_repository=1)
    assert capacity.sleepers(claim(4, repository=1), full, limited, idle=unused, now=NOW) == (unused[1],)


def test_as_many_as_are_needed_or_nobody() -> None:
    unused = [idle(number, 10 - number) for number in range(4)]
    full = room(*(one.claim for one in unused), nodes="4 4Gi")
    on_nodes = policy(mode="allocatable")
    two = claim(9, requests="2 1Gi")
    assert capacity.sleepers(two, full, on_nodes, idle=unused, now=NOW) == tuple(unused[:2])
    assert capacity.sleepers(claim(9, requests="5 1Gi"), full, on_nodes, idle=unused, now=NOW) == ()
    assert capacity.sleepers(claim(9), room(nodes="4 4Gi"), on_nodes, idle=unused, now=NOW) == ()


CLAIMS = st.lists(
    st.builds(claim, st.integers(1, 60), repository=st.integers(1, 3), requests=st.sampled_from(["1 1Gi", "3 2Gi"])),
    max_size=25,
    unique_by=lambda one: one.namespace,
)


@hypothesis.given(CLAIMS, st.integers(1, 8), st.integers(0, 4), st.booleans(), st.data())
def test_whatever_waits_no_limit_is_passed_and_nobody_who_fits_waits_for_nothing(
    everybody: list[capacity.Claim], most: int, each: int, on_nodes: bool, data: st.DataObject
) -> None:
    limited = policy(environments=most, environments_per_repository=each, mode="allocatable" if on_nodes else "slots")
    there = capacity.parse("9 9Gi") if on_nodes else None
    cut = data.draw(st.integers(0, min(2, len(everybody))))
    taken, waiting = everybody[:cut], everybody[cut:]
    granted = capacity.turns(waiting, capacity.Room(tuple(taken), there), limited)
    after = [*taken, *granted]
    assert [one for one in waiting if one in granted] == list(granted)
    if granted:
        assert len(after) <= most
        assert not on_nodes or sum((one.requests for one in after), start=capacity.Requests()).fits(there)  # type: ignore[arg-type]
    for one in granted:
        assert not each or sum(other.repository_id == one.repository_id for other in after) <= each
    first = waiting[0] if waiting else None
    if first and not capacity.limit(first, capacity.Room(tuple(taken), there), limited):
        assert first in granted
