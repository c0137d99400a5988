"""A slot has one holder, whoever asks at the same moment and however the limit changed since."""

import threading
from collections.abc import Iterator
from concurrent import futures

import pytest

from k8s_ee.cluster import slots
from tests.cluster import bare

pytestmark = pytest.mark.cluster

HOME = "default"
PREFIX = "preserve"


@pytest.fixture
def place(bare_cluster: bare.Bare) -> Iterator[bare.Bare]:
    """With no slot taken."""
    yield bare_cluster
    for name, holder in slots.held(bare_cluster.api, HOME, PREFIX).items():
        assert slots.release(bare_cluster.api, HOME, name, holder)


def acquire(place: bare.Bare, holder: str, *, limit: int = 3) -> str | None:
    return slots.acquire(place.api, namespace=HOME, prefix=PREFIX, limit=limit, holder=holder)


def at_once(place: bare.Bare, holders: list[str], *, limit: int = 3) -> list[str | None]:
    gate = threading.Barrier(len(holders))

    def ask(holder: str) -> str | None:
        gate.wait()
        return acquire(place, holder, limit=limit)

    with futures.ThreadPoolExecutor(len(holders)) as pool:
        return list(pool.map(ask, holders))


def test_of_24_that_ask_at_once_exactly_as_many_get_one_as_there_are(place: bare.Bare) -> None:
    given = at_once(place, [f"uid-{n} env-{n}" for n in range(24)])
    assert sorted(name for name in given if name) == ["preserve-0", "preserve-1", "preserve-2"]
    assert slots.held(place.api, HOME, PREFIX) == {
        name: f"uid-{n} env-{n}" for n, name in enumerate(given) if name is not None
    }


def test_who_has_one_gets_the_same_again_also_when_it_asks_eight_times_at_once(place: bare.Bare) -> None:
    assert set(at_once(place, ["uid-1 env-1"] * 8)) == {"preserve-0"}
    assert at_once(place, ["uid-2 env-2", "uid-3 env-3", "uid-4 env-4"]).count(None) == 1
    assert acquire(place, "uid-1 env-1") == "preserve-0"


def test_a_lowered_limit_takes_nothing_away_and_gives_nothing_above_it(place: bare.Bare) -> None:
    assert [acquire(place, f"uid-{n} env-{n}", limit=4) for n in range(4)] == [f"preserve-{n}" for n in range(4)]
    assert acquire(place, "uid-3 env-3", limit=2) == "preserve-3"
    for name, holder in (("preserve-0", "uid-0 env-0"), ("preserve-1", "uid-1 env-1")):
        assert slots.release(place.api, HOME, name, holder)
        assert acquire(place, "uid-9 env-9", limit=2) is None
    slots.release(place.api, HOME, "preserve-2", "uid-2 env-2")
    assert at_once(place, [f"uid-{n} env-{n}" for n in range(10, 18)], limit=2).count(None) == 7
    assert len(slots.held(place.api, HOME, PREFIX)) == 2


def test_nobody_gives_back_the_slot_of_another(place: bare.Bare) -> None:
    acquire(place, "uid-1 env-1")
    assert not slots.release(place.api, HOME, "preserve-0", "uid-2 env-2")
    assert slots.release(place.api, HOME, "preserve-0", "uid-1 env-1")
    assert not slots.release(place.api, HOME, "preserve-0", "uid-1 env-1")


def test_the_slot_of_an_environment_that_is_gone_is_free_again_and_no_other(place: bare.Bare) -> None:
    alive = place.made()
    holders = [f"{alive.uid} {alive.namespace}", f"old-uid {alive.namespace}", "written by somebody"]
    for holder in holders:
        acquire(place, holder)
    assert slots.reclaim(place.api, namespace=HOME, prefix=PREFIX, live=()) == ("preserve-1", "preserve-2")
    assert slots.held(place.api, HOME, PREFIX) == {"preserve-0": holders[0]}


def test_other_leases_are_no_slots(place: bare.Bare) -> None:
    place.api.create(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "preserve-janitor", "namespace": HOME},
            "spec": {"holderIdentity": "gone-uid gone"},
        }
    )
    assert slots.held(place.api, HOME, PREFIX) == {}
    assert slots.reclaim(place.api, namespace=HOME, prefix=PREFIX, live=()) == ()
