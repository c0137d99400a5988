"""Nothing runs in one that sleeps; woken, it is what it was, whoever was cut off in between and wherever."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors
from k8s_ee.cluster import sleeping
from tests.unit.cluster import conftest
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
APPS = "/apis/apps/v1/namespaces/shop-pr-7/deployments"
STORES = "/apis/apps/v1/namespaces/shop-pr-7/statefulsets"
NOW = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC)
OURS = {environment.MANAGED_BY: environment.MANAGER}
STAMP = NOW.isoformat(timespec="seconds")


def workload(name: str, replicas: int, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """As its controller leaves it: with as many pods as were asked for."""
    status = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), replicas)
    revision = {"currentRevision": "1", "updateRevision": "1"}
    metadata = {"name": name, "labels": OURS if labels is None else labels}
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": status | revision}


def replicas(kube: wire.Kube) -> dict[str, int]:
    return {name: item["spec"]["replicas"] for (where, name), item in kube.objects.items() if where in (APPS, STORES)}


def marks_of(kube: wire.Kube) -> dict[str, str]:
    found: dict[str, str] = kube.objects[(NS, "shop-pr-7")]["metadata"]["annotations"]
    return found


@pytest.fixture
def observe(kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]) -> Callable[[], environment.Observed]:
    kube.put(NS, manifest)
    kube.put(APPS, workload("app", 2))
    kube.put(STORES, workload("postgresql", 1))
    kube.put(APPS, workload("by-hand", 1, labels={}))

    def now() -> environment.Observed:
        (found,) = cluster.environments(api)
        return found

    return now


def settle(kube: wire.Kube) -> None:
    """What the controllers do: as many pods as are asked for."""
    for where, name in list(kube.objects):
        if where in (APPS, STORES):
            found = kube.objects[(where, name)]
            kube.put(where, workload(name, found["spec"]["replicas"], labels=found["metadata"]["labels"]))


def wake(kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed) -> environment.Observed:
    settle(kube)
    deadline = time.monotonic() + 3
    return sleeping.wake(api, observed, NOW, deadline=deadline, progress=lambda _line: settle(kube), redact=str)


Observe = Callable[[], environment.Observed]


def test_what_runs_is_recorded_first_then_stopped_then_called_asleep(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    assert replicas(kube) == {"app": 0, "postgresql": 0, "by-hand": 1}
    assert asleep.asleep_since == NOW
    assert json.loads(asleep.annotations[environment.REPLICAS]) == {"Deployment/app": 2, "StatefulSet/postgresql": 1}
    paths = [seen.path for seen in kube.writes]
    assert (paths[0], sorted(paths[1:3]), paths[3]) == (
        f"{NS}/shop-pr-7",
        [f"{APPS}/app/scale", f"{STORES}/postgresql/scale"],
        f"{NS}/shop-pr-7",
    )


def test_woken_it_is_what_it_was_databases_first(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    sleeping.sleep(api, observe(), NOW)
    del kube.seen[:]
    awake = wake(kube, api, observe())
    assert replicas(kube) == {"app": 2, "postgresql": 1, "by-hand": 1}
    assert [seen.path for seen in kube.of("PATCH", "/scale")] == [f"{STORES}/postgresql/scale", f"{APPS}/app/scale"]
    assert not {environment.ASLEEP_SINCE, environment.REPLICAS} & set(awake.annotations)
    assert awake.active_at == NOW


def test_one_that_sleeps_and_one_that_is_awake_are_left_as_they_are(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    first = observe()
    assert wake(kube, api, first) is first
    asleep = sleeping.sleep(api, first, NOW)
    del kube.seen[:]
    assert sleeping.sleep(api, asleep, NOW + datetime.timedelta(hours=1)) is asleep
    assert not kube.writes


@pytest.mark.parametrize("cut", range(4))
def test_a_sleep_that_is_cut_off_is_finished_by_the_next(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe, cut: int
) -> None:
    _cut_off(kube, at=cut)
    with pytest.raises(errors.Refused):
        sleeping.sleep(api, observe(), NOW)
    _mend(kube)
    asleep = sleeping.sleep(api, observe(), NOW)
    assert replicas(kube) == {"app": 0, "postgresql": 0, "by-hand": 1}
    assert json.loads(asleep.annotations[environment.REPLICAS]) == {"Deployment/app": 2, "StatefulSet/postgresql": 1}


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("first", ["sleep", "wake"])
def test_a_wake_finishes_whatever_was_cut_off_before_it(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe, cut: int, first: str
) -> None:
    if first == "wake":
        sleeping.sleep(api, observe(), NOW)
    _cut_off(kube, at=cut)
    with pytest.raises(errors.Refused):
        wake(kube, api, observe()) if first == "wake" else sleeping.sleep(api, observe(), NOW)
    _mend(kube)
    awake = wake(kube, api, observe())
    assert replicas(kube) == {"app": 2, "postgresql": 1, "by-hand": 1}
    assert not sleeping.is_stopped(awake)


def _cut_off(kube: wire.Kube, *, at: int) -> None:
    """Everything after the first `at` writes is refused: as good as a process that was killed."""
    kube.fail("PATCH", ".", 403, times=99, after=at)


def _mend(kube: wire.Kube) -> None:
    kube.faults.clear()


def test_who_deploys_meanwhile_wins_and_what_was_stopped_runs_again(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    judged = observe()
    kube.meanwhile("PATCH", "/scale$", lambda: api.annotate("shop-pr-7", judged.uid, {environment.ACTIVE_AT: STAMP}))
    with pytest.raises(sleeping.Woken):
        sleeping.sleep(api, judged, NOW)
    assert replicas(kube) == {"app": 2, "postgresql": 1, "by-hand": 1}
    assert environment.ASLEEP_SINCE not in marks_of(kube)


def test_one_that_was_used_since_it_was_judged_idle_is_not_touched(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    judged = observe()
    api.annotate("shop-pr-7", judged.uid, {environment.DEPLOYED_AT: STAMP})
    with pytest.raises(sleeping.Woken):
        sleeping.sleep(api, judged, NOW)
    assert not kube.of("PATCH", "/scale")


def test_a_workload_that_a_deploy_changed_is_not_stopped_any_more(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    judged = observe()

    def deploy() -> None:
        api.annotate("shop-pr-7", judged.uid, {environment.ACTIVE_AT: STAMP})
        kube.put(APPS, workload("app", 3))

    kube.meanwhile("PATCH", "/scale$", deploy)
    with pytest.raises(sleeping.Woken):
        sleeping.sleep(api, judged, NOW)
    assert replicas(kube)["app"] == 3


def test_one_that_is_put_to_sleep_while_it_wakes_keeps_its_record(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    settle(kube)
    later = NOW + datetime.timedelta(minutes=1)
    said: list[str] = []

    def sleep_again(line: str) -> None:
        if not said:
            said.append(line)
            sleeping.sleep(api, observe(), later)

    with pytest.raises(sleeping.Woken):
        sleeping.wake(api, asleep, NOW, deadline=time.monotonic() + 3, progress=sleep_again, redact=str)
    assert replicas(kube) == {"app": 0, "postgresql": 0, "by-hand": 1}
    assert json.loads(marks_of(kube)[environment.REPLICAS]) == {"Deployment/app": 2, "StatefulSet/postgresql": 1}


@pytest.mark.parametrize("record", ["", "{", "[]", '{"Deployment/app": "2"}'])
def test_a_record_that_was_lost_is_one_of_each(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe, record: str
) -> None:
    sleeping.sleep(api, observe(), NOW)
    api.annotate("shop-pr-7", observe().uid, {environment.REPLICAS: record or None})
    wake(kube, api, observe())
    assert replicas(kube) == {"app": 1, "postgresql": 1, "by-hand": 1}


@pytest.mark.parametrize("mark", [environment.CLEANUP_REQUESTED_AT, environment.DESTROY_REQUESTED_AT])
def test_one_that_is_being_destroyed_is_neither_stopped_nor_started(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe, mark: str
) -> None:
    awake = observe()
    api.annotate("shop-pr-7", awake.uid, {mark: STAMP})
    with pytest.raises(errors.Refused, match="being destroyed"):
        sleeping.sleep(api, awake, NOW)
    api.annotate("shop-pr-7", awake.uid, {environment.ASLEEP_SINCE: STAMP})
    with pytest.raises(errors.Refused, match="being destroyed"):
        wake(kube, api, observe())
    assert not kube.of("PATCH", "/scale")


def test_what_does_not_start_keeps_its_record_and_can_be_tried_again(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    settle(kube)
    with pytest.raises(errors.NotReady):
        sleeping.wake(api, asleep, NOW, deadline=time.monotonic() + 1, progress=lambda _line: None, redact=str)
    assert environment.REPLICAS in marks_of(kube)
    assert not sleeping.is_stopped(wake(kube, api, observe()))


def test_a_dry_run_asks_for_every_step_and_changes_nothing(
    kube: wire.Kube, connect: conftest.Connect, api: cluster.Cluster, observe: Observe
) -> None:
    paper = connect(dry_run=True)
    assert sleeping.sleep(paper, observe(), NOW).asleep_since == NOW
    assert len(kube.of("PATCH")) == 4
    sleeping.sleep(api, observe(), NOW)
    before = replicas(kube)
    assert wake(kube, paper, observe()).asleep_since is None
    assert replicas(kube) == before


def test_that_nobody_told_of_a_sleep_is_noted_with_it_and_forgotten_with_it(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    asleep = sleeping.sleep(api, observe(), NOW, untold="its room was needed")
    assert (asleep.sleep_untold, len(kube.of("PATCH", f"{NS}/"))) == ("its room was needed", 2)
    wake(kube, api, observe())
    assert observe().sleep_untold == ""
    assert sleeping.sleep(api, observe(), NOW + datetime.timedelta(hours=1)).sleep_untold == ""
