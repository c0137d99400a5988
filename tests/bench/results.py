"""What was measured, held against what is promised, as a table or as JSON. Pure."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench import sides

CREATE, DEPLOY = "create-namespace", "whole deploy"


@dataclasses.dataclass(frozen=True)
class Row:
    """Seconds of each side, round by round. `round_trip` to the API server in seconds."""

    task: str
    round_trip: float
    seconds: Mapping[str, tuple[float, ...]]

    def median(self, side: str) -> float:
        return statistics.median(self.seconds[side])

    def ratio(self, side: str) -> float:
        """How many times as fast as `side` k8s-ee is."""
        return self.median(side) / self.median(sides.OURS)


@dataclasses.dataclass(frozen=True)
class Target:
    """`at_least` or at most `limit`."""

    what: str
    value: float
    limit: float
    unit: str = "x"
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclasses.dataclass(frozen=True)
class Results:
    """`beyond_pods`: seconds of k8s-ee's deploys at 0 ms in which no pod was starting; `slowest_pod`: of one pod there.

    `requests` by task, side and "verb resource"; `differences` by side: lines of a diff against k8s-ee's objects.
    """

    rounds: int
    load: tuple[float, float]
    rows: tuple[Row, ...]
    slowest_pod: tuple[float, ...]
    beyond_pods: tuple[float, ...]
    validate_cpu: tuple[float, ...]
    requests: Mapping[str, Mapping[str, Mapping[str, int]]]
    differences: Mapping[str, Sequence[str]]

    def row(self, task: str, round_trip: float) -> Row:
        return next(row for row in self.rows if (row.task, row.round_trip) == (task, round_trip))


def targets(found: Results) -> tuple[Target, ...]:
    create, create_far = found.row(CREATE, 0.0), found.row(CREATE, 0.025)
    deploys = [found.row(DEPLOY, round_trip) for round_trip in (0.0, 0.025)]
    return (
        Target("create-namespace against A, 0 ms", create.ratio(sides.A), 2),
        Target("create-namespace against A, 25 ms", create_far.ratio(sides.A), 5),
        *(Target(f"whole deploy against A, {_ms(row)}", row.ratio(sides.A), 1.4) for row in deploys),
        *(Target(f"whole deploy against B, {_ms(row)}", row.ratio(sides.B), 1) for row in deploys),
        _at_most("whole deploy beyond its pods' own start, 0 ms", found.beyond_pods, 2),
        _at_most("validate, CPU from process start to exit", found.validate_cpu, 0.3),
        Target("objects that are not the same", sum(map(len, found.differences.values())), 0, "", at_least=False),
    )


def _at_most(what: str, seconds: Sequence[float], limit: float) -> Target:
    return Target(what, statistics.median(seconds), limit, "s", at_least=False)


def text(found: Results) -> str:
    return "\n".join([*_times(found), "", *_targets(found), "", *_requests(found)])


def as_json(found: Results) -> dict[str, Any]:
    rows = [
        {
            **dataclasses.asdict(row),
            "median": {side: row.median(side) for side in row.seconds},
            "ratio": {side: row.ratio(side) for side in row.seconds if side != sides.OURS},
        }
        for row in found.rows
    ]
    judged = [{**dataclasses.asdict(one), "met": one.met} for one in targets(found)]
    return {**dataclasses.asdict(found), "rows": rows, "targets": judged}


def _ms(row: Row) -> str:
    return f"{row.round_trip * 1000:.0f} ms"


def _times(found: Results) -> list[str]:
    load = " to ".join(f"{one:.1f}" for one in found.load)
    lines = [f"median (least to most) of {found.rounds} interleaved rounds; load of the machine {load}", ""]
    lines.append(f"{'':26}{'':12}{'seconds':>24}{'times k8s-ee':>16}")
    for row in found.rows:
        for side, seconds in row.seconds.items():
            lines.append(f"{f'{row.task}, {_ms(row)}':26}{side:12}{_spread(seconds):>24}{row.ratio(side):>16.2f}")
        lines.append("")
    return [
        *lines,
        f"k8s-ee at 0 ms, slowest pod from its creation to ready: {_spread(found.slowest_pod)}",
        f"k8s-ee at 0 ms, seconds in which no pod was starting: {_spread(found.beyond_pods)}",
        f"k8s-ee validate, seconds of CPU: {_spread(found.validate_cpu)}",
    ]


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _targets(found: Results) -> list[str]:
    return [
        f"{'met   ' if one.met else 'MISSED'} {one.what}: {one.value:.2f}{one.unit}"
        f" (wanted {'at least' if one.at_least else 'at most'} {one.limit:g}{one.unit})"
        for one in targets(found)
    ]


def _requests(found: Results) -> list[str]:
    lines = []
    for task, by_side in found.requests.items():
        totals = ", ".join(f"{side} {sum(counts.values())}" for side, counts in by_side.items())
        lines.append(f"requests to the API server, {task}: {totals}")
        lines += [f"  {count:4} {what}" for what, count in sorted(by_side[sides.OURS].items())]
    for side, diff in found.differences.items():
        lines += [f"objects of {side} that are not those of k8s-ee:", *diff] if diff else []
    return lines
