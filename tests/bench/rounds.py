"""What is run, in which order: every side once a round, each round in another order, so that noise meets all alike."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import time
from collections.abc import Sequence

from tests.bench import arena, results, same, sides

_SHARED = 1
"""The pull request that every side deploys before the first round, to compare what it leaves."""


@dataclasses.dataclass
class Round:
    """Seconds by task, round trip and side; `near` is k8s-ee's deploy at 0 ms."""

    seconds: dict[tuple[str, float, str], float] = dataclasses.field(default_factory=dict)
    near: arena.Deploy | None = None


def compare(place: arena.Arena, *, rounds: int) -> results.Results:
    before = os.getloadavg()[0]
    differences = _warm_up(place)
    measured = [_round(place, number) for number in range(rounds)]
    deploys = [one.near for one in measured if one.near]
    return results.Results(
        rounds=rounds,
        rows=tuple(_rows(measured, place.compared)),
        slowest_pod=tuple(one.slowest_pod for one in deploys),
        beyond_pods=tuple(one.spent.wall - one.pod_chain for one in deploys),
        validate_cpu=tuple(place.validate().cpu for _ in range(2 * rounds)),
        load=(before, os.getloadavg()[0]),
        requests=_requests(place),
        differences=differences,
    )


def _warm_up(place: arena.Arena) -> dict[str, list[str]]:
    """Fills every cache, and compares what the sides leave. Nothing of it is timed."""
    left: dict[str, same.Objects] = {}
    wanted = place.pull_request(number=_SHARED)
    for side in place.compared:
        _say(f"not timed: {side}")
        place.deploy(side, wanted, round_trip=0.0)
        left[side] = place.objects(wanted)
        place.remove([wanted])
    place.discover()
    place.validate()
    ours = left.pop(sides.OURS)
    return {side: same.differences(objects, ours, name=side) for side, objects in left.items()}


def _round(place: arena.Arena, number: int) -> Round:
    done = Round()
    for round_trip in arena.ROUND_TRIPS:
        _create_namespaces(place, done, round_trip=round_trip, order=_turned(sides.NAMESPACES, number))
        _deploy(place, done, round_trip=round_trip, order=_turned(place.compared, number))
        shown = [f"{task} {side} {s:.2f}" for (task, apart, side), s in done.seconds.items() if apart == round_trip]
        _say(f"round {number + 1} at {round_trip * 1000:.0f} ms: {', '.join(shown)}")
    return done


def _create_namespaces(place: arena.Arena, done: Round, *, round_trip: float, order: Sequence[str]) -> None:
    wanted = {side: place.pull_request() for side in order}
    for side in order:
        spent = place.create_namespace(side, wanted[side], round_trip=round_trip)
        done.seconds[results.CREATE, round_trip, side] = spent.wall
    place.remove(list(wanted.values()))


def _deploy(place: arena.Arena, done: Round, *, round_trip: float, order: Sequence[str]) -> None:
    wanted = {side: place.pull_request() for side in order}
    for side in order:
        time.sleep(random.random())  # noqa: S311 - where in the kubelet's second it begins must not hang on the side
        deployed = place.deploy(side, wanted[side], round_trip=round_trip)
        done.seconds[results.DEPLOY, round_trip, side] = deployed.spent.wall
        if side == sides.OURS and not round_trip:
            done.near = deployed
    place.remove(list(wanted.values()))


def _turned(order: Sequence[str], number: int) -> Sequence[str]:
    turn = number % len(order)
    return [*order[turn:], *order[:turn]]


def _rows(measured: Sequence[Round], deployed: Sequence[str]) -> list[results.Row]:
    taken = {results.CREATE: sides.NAMESPACES, results.DEPLOY: deployed}
    return [
        results.Row(
            task,
            round_trip,
            {side: tuple(one.seconds[task, round_trip, side] for one in measured) for side in compared},
        )
        for task, compared in taken.items()
        for round_trip in arena.ROUND_TRIPS
    ]


def _requests(place: arena.Arena) -> dict[str, dict[str, dict[str, int]]]:
    tasks = {results.CREATE: False, results.DEPLOY: True}
    return {
        task: {side: dict(place.requests(side, whole=whole)) for side in sides.NAMESPACES}
        for task, whole in tasks.items()
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
