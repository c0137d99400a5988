"""`make bench`: one table, ratios from one run. Exit code 1 when a target is missed."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from k8s_ee_sandbox import errors
from tests.bench import arena, measuring, results, same, sides

Times = dict[tuple[str, float, str], float]

_SHARED = 1
"""The pull request that every side deploys in the first round, to compare what it leaves."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if not 1 <= options.rounds <= 30:
        _parser().error("--rounds: 1 to 30")
    with tempfile.TemporaryDirectory(prefix="k8s-ee-bench-") as scratch:
        try:
            with arena.arena(pathlib.Path(scratch)) as place:
                found = compare(place, rounds=options.rounds)
        except (errors.SandboxError, measuring.CommandFailed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    print(json.dumps(results.as_json(found), indent=2) if options.output == "json" else results.text(found))
    return 0 if all(target.met for target in results.targets(found)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    return parser


def compare(place: arena.Arena, *, rounds: int) -> results.Results:
    before = os.getloadavg()[0]
    differences = _warm_up(place)
    measured = [_round(place, number) for number in range(rounds)]
    rows = [
        _row(task, round_trip, [times for times, _ in measured])
        for task in (results.CREATE, results.DEPLOY)
        for round_trip in arena.ROUND_TRIPS
    ]
    deploys = [deploy for _, deploy in measured]
    return results.Results(
        rounds=rounds,
        rows=tuple(rows),
        slowest_pod=tuple(one.slowest_pod for one in deploys),
        beyond_pods=tuple(one.spent.wall - one.pod_chain for one in deploys),
        validate_cpu=tuple(place.validate().cpu for _ in range(2 * rounds)),
        requests=_requests(place),
        differences=differences,
        load=(before, os.getloadavg()[0]),
    )


def _warm_up(place: arena.Arena) -> dict[str, list[str]]:
    """Fills every cache, and compares what the sides leave. Nothing of it is timed."""
    left: dict[str, same.Objects] = {}
    wanted = place.pull_request(number=_SHARED)
    for round_trip in arena.ROUND_TRIPS:
        for side in sides.SIDES:
            _say(f"not timed: {side} at {round_trip * 1000:.0f} ms")
            place.deploy(side, wanted, round_trip=round_trip)
            left[side] = place.objects(wanted)
            place.remove([wanted])
    ours = left[sides.OURS]
    place.validate()
    return {side: same.differences(left[side], ours, names=(side, sides.OURS)) for side in (sides.A, sides.B)}


def _row(task: str, round_trip: float, rounds: Sequence[Times]) -> results.Row:
    return results.Row(
        task, round_trip, {side: tuple(times[task, round_trip, side] for times in rounds) for side in sides.SIDES}
    )


def _round(place: arena.Arena, number: int) -> tuple[Times, arena.Deploy]:
    """Every side once, each time in another order; with k8s-ee's deploy at 0 ms."""
    times: Times = {}
    turn = number % len(sides.SIDES)
    order = sides.SIDES[turn:] + sides.SIDES[:turn]
    near = None
    for round_trip in arena.ROUND_TRIPS:
        made = {side: place.pull_request() for side in order}
        for side in order:
            spent = place.create_namespace(side, made[side], round_trip=round_trip)
            times[results.CREATE, round_trip, side] = spent.wall
        place.remove(list(made.values()))
        for side in order:
            wanted = place.pull_request()
            deploy = place.deploy(side, wanted, round_trip=round_trip)
            times[results.DEPLOY, round_trip, side] = deploy.spent.wall
            place.remove([wanted])
            if side == sides.OURS and not round_trip:
                near = deploy
        shown = ", ".join(
            f"{task} {side} {spent:.2f}" for (task, rtt, side), spent in times.items() if rtt == round_trip
        )
        _say(f"round {number + 1} at {round_trip * 1000:.0f} ms: {shown}")
    assert near is not None
    return times, near


def _requests(place: arena.Arena) -> dict[str, dict[str, dict[str, int]]]:
    tasks = {results.CREATE: False, results.DEPLOY: True}
    return {
        task: {side: dict(place.requests(side, whole=whole)) for side in sides.SIDES} for task, whole in tasks.items()
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
