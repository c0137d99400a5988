"""What the numbers are made of, and when a target counts as missed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.bench import counting, measuring, results, same, sides


def row(task: str, round_trip: float, *, a: float, ours: float) -> results.Row:
    seconds = {sides.A: (a, a, 99.0), sides.B: (a, a, 99.0), sides.OURS: (ours, ours, 99.0)}
    return results.Row(task, round_trip, seconds)


GOOD = results.Results(
    rounds=3,
    load=(0.5, 1.0),
    rows=(
        row(results.CREATE, 0.0, a=2.0, ours=0.5),
        row(results.CREATE, 0.025, a=4.0, ours=0.5),
        row(results.DEPLOY, 0.0, a=14.0, ours=8.0),
        row(results.DEPLOY, 0.025, a=16.0, ours=8.0),
    ),
    slowest_pod=(4.0,),
    beyond_pods=(1.0, 1.5, 9.0),
    validate_cpu=(0.2,),
    requests={results.CREATE: {sides.A: {"patch pods": 2}, sides.OURS: {"create namespaces": 1}}},
    differences={sides.A: [], sides.B: []},
)


def missed(found: results.Results) -> list[str]:
    return [target.what for target in results.targets(found) if not target.met]


def test_ratios_are_of_medians_so_that_one_bad_round_decides_nothing() -> None:
    assert GOOD.row(results.CREATE, 0.025).ratio(sides.A) == 8
    assert not missed(GOOD)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"beyond_pods": (2.1,)}, "beyond its pods"),
        ({"validate_cpu": (0.31,)}, "validate"),
        ({"differences": {sides.B: ["-Service app"]}}, "not the same"),
        ({"rows": (row(results.CREATE, 0.0, a=1.9, ours=1), *GOOD.rows[1:])}, "create-namespace against A, 0 ms"),
    ],
)
def test_a_missed_target_is_named(changed: dict[str, Any], named: str) -> None:
    (what,) = missed(dataclasses.replace(GOOD, **changed))
    assert named in what
    assert f"MISSED {what}" in results.text(dataclasses.replace(GOOD, **changed))


def test_json_has_every_round_and_the_verdicts() -> None:
    shown = results.as_json(GOOD)
    assert shown["rows"][0]["seconds"]["A"] == (2.0, 2.0, 99.0)
    assert {one["met"] for one in shown["targets"]} == {True}


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [([], 0), ([(1, 3)], 2), ([(1, 3), (2, 5)], 4), ([(1, 9), (2, 5)], 8), ([(4, 5), (1, 2)], 2)],
)
def test_time_in_which_several_pods_start_counts_once(intervals: list[tuple[float, float]], seconds: float) -> None:
    assert measuring.covered(intervals) == seconds


def test_a_pod_is_started_when_it_is_ready_or_has_done_its_work() -> None:
    def pod(name: str, phase: str = "Pending", **condition: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "status": {"phase": phase, "conditions": [condition] if condition else []}}

    seen = measuring.Starts()
    seen.note([pod("app"), pod("job")], 1.0)
    seen.note([pod("app", "Running", type="Ready", status="False"), pod("job", "Succeeded")], 3.0)
    seen.note([pod("app", "Running", type="Ready", status="True"), pod("job", "Succeeded")], 4.0)
    assert (seen.slowest, seen.chain) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", "/api/v1/namespaces/shop-pr-7", "get namespaces"),
        ("PATCH", "/api/v1/namespaces/shop-pr-7?fieldManager=k8s-ee", "patch namespaces"),
        ("GET", "/api/v1/namespaces/shop-pr-7/pods?limit=500", "list pods"),
        ("GET", "/apis/apps/v1/namespaces/shop-pr-7/deployments?watch=1", "watch deployments"),
        ("GET", "/apis/apps/v1/namespaces/shop-pr-7/deployments?watch=true", "watch deployments"),
        ("POST", "/apis/batch/v1/namespaces/shop-pr-7/jobs", "create jobs"),
        ("DELETE", "/api/v1/namespaces/shop-pr-7/pods", "deletecollection pods"),
        ("GET", "/api/v1/namespaces/shop-pr-7/pods/app/log", "get pods/log"),
        ("GET", "/version", "get /version"),
        ("GET", "/openapi/v3/apis/apps/v1?hash=1", "get /openapi"),
    ],
)
def test_requests_are_named_as_rbac_names_them(method: str, target: str, name: str) -> None:
    assert counting.named(method, target) == name


def secret(name: str, *, kind: str = "Opaque", **data: str) -> dict[str, Any]:
    return {"kind": "Secret", "type": kind, "metadata": {"name": name, "uid": data.get("password", "1")}, "data": data}


def test_passwords_may_differ_and_their_names_may_not() -> None:
    ours = same.normalised([secret("postgresql-credentials-v1", password="a")])
    assert same.differences(same.normalised([secret("postgresql-credentials-v1", password="b")]), ours) == []
    assert same.differences(same.normalised([secret("postgresql-credentials-v1", token="a")]), ours)
    assert same.differences(same.normalised([secret("other", password="a")]), ours)


def test_what_helm_keeps_for_itself_is_not_compared() -> None:
    assert same.normalised([secret("sh.helm.release.v1.app.v1", kind="helm.sh/release.v1")]) == {}
