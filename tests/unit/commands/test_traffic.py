"""Requests through the ingress count as use, where somebody counts them."""

from __future__ import annotations

from k8s_ee import environment
from tests.unit.commands import sweeps
from tests.unit.commands.sweeps import CREATED, DAY, HOUR
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import prometheus


def counted_by(world: sweeps.World, address: str) -> None:
    world.platform.write_text(f"domain: preview.test\ntraffic: {{prometheus: '{address}'}}\n")


def test_one_that_is_visited_stays_awake_and_one_that_is_not_sleeps(world: sweeps.World) -> None:
    visited, forgotten = world.put(7), world.put(8)
    with prometheus.answering(
        prometheus.vector(prometheus.SCRAPED, prometheus.row(prometheus.at(CREATED + 3 * HOUR), namespace=visited))
    ) as (address, asked):
        counted_by(world, address)
        world.sweep(after=14 * HOUR)
        assert len(asked) == 1, "once a pass"
        assert world.annotation(visited, environment.ASLEEP_SINCE) is None
        assert world.annotation(forgotten, environment.ASLEEP_SINCE)
        world.sweep(after=16 * HOUR)
    assert world.annotation(visited, environment.ASLEEP_SINCE)


def test_nothing_sleeps_and_nothing_is_warned_of_disuse_while_the_traffic_is_not_known(world: sweeps.World) -> None:
    names = [world.put(7), world.put(8, "closed")]
    with prometheus.answering(b"<html>", status=502) as (address, _):
        counted_by(world, address)
        for after in (14 * HOUR, 7 * DAY):
            outcome = world.sweep(after=after)
    assert (outcome.state, outcome.data["summary"]["kept"]) == ("swept", 1)
    assert "no environment counted as unused: Prometheus: it answered 502" in outcome.notes
    assert [world.there(name) for name in names] == [True, False], "a closed one goes all the same"
    assert world.annotation(names[0], environment.ASLEEP_SINCE) is None
    assert world.annotation(names[0], environment.WARNED_AT) is None
