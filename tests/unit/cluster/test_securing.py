"""While a database is backed up it runs and nobody writes; afterwards it sleeps as before, unless somebody came."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest

from k8s_ee import backups, cluster, environment, errors
from k8s_ee.cluster import securing, sleeping
from tests.unit.cluster import test_sleeping
from tests.unit.cluster.test_sleeping import NOW, OURS, STAMP, STORES, marks_of, replicas, settle, workload
from tests.unit.cluster.test_sleeping import observe as observe  # noqa: PLC0414 - the fixture
from tests.wire import kube as wire

PODS = "/api/v1/namespaces/shop-pr-7/pods"
Observe = Callable[[], environment.Observed]


def roused(kube: wire.Kube, api: cluster.Cluster, observed: environment.Observed, *, seconds: float = 3) -> Any:
    """With controllers that follow."""
    settle(kube)
    deadline = time.monotonic() + seconds
    return securing.roused(api, observed, deadline=deadline, progress=lambda _line: settle(kube), redact=str)


def test_who_asks_stops_the_app_and_its_route_and_leaves_the_databases(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    asked = securing.ask(api, observe(), NOW)
    assert replicas(kube) == {"app": 0, "postgresql": 1, "by-hand": 1}
    assert backups.wanted_at(asked) == NOW
    assert sleeping.is_stopped(asked), "and `wake` brings the app back"
    awake = test_sleeping.wake(kube, api, asked)
    assert replicas(kube)["app"] == 2
    assert awake.active_at == NOW
    assert backups.wanted_at(awake) is None, "its backup would be of other data"


def test_what_sleeps_is_only_asked_for(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    asked = securing.ask(api, asleep, NOW)
    assert (asked.asleep_since, backups.wanted_at(asked)) == (NOW, NOW)
    assert replicas(kube) == {"app": 0, "postgresql": 0, "by-hand": 1}


@pytest.mark.parametrize("written", ["apps/v1/.*/deployments/app/scale", "v1/namespaces/shop-pr-7$"])
def test_whoever_deploys_meanwhile_finds_it_running(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe, written: str
) -> None:
    def deploy() -> None:
        marks_of(kube)[environment.ACTIVE_AT] = STAMP

    observed = observe()
    kube.meanwhile("PATCH", written, deploy)
    with pytest.raises(sleeping.Woken):
        securing.ask(api, observed, NOW)
    assert replicas(kube)["app"] == 2
    assert environment.BACKUP_WANTED_AT not in marks_of(kube)


def test_sleeping_databases_are_woken_alone_and_put_back_whatever_happens(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    kube.put(STORES, workload("redis", 1))
    asleep = sleeping.sleep(api, observe(), NOW)
    with roused(kube, api, asleep):
        assert replicas(kube) == {"app": 0, "postgresql": 1, "redis": 1, "by-hand": 1}
    assert replicas(kube) == {"app": 0, "postgresql": 0, "redis": 0, "by-hand": 1}
    with pytest.raises(errors.NotReady), roused(kube, api, asleep):
        raise errors.NotReady("the storage is away")
    assert replicas(kube)["postgresql"] == 0
    assert marks_of(kube)[environment.ASLEEP_SINCE] == STAMP
    assert environment.ACTIVE_AT not in marks_of(kube), "that is no use of it"


def test_those_that_ran_go_on(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    with roused(kube, api, observe()):
        pass
    assert replicas(kube) == {"app": 2, "postgresql": 1, "by-hand": 1}
    assert kube.of("PATCH", "scale") == []


def test_one_that_does_not_start_is_named_and_put_back(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    settle(kube)
    never = securing.roused(api, asleep, deadline=time.monotonic() + 0.5, progress=lambda _line: None, redact=str)
    with pytest.raises(errors.NotReady, match="postgresql"), never:
        raise AssertionError("it is not ready")
    assert replicas(kube)["postgresql"] == 0


def test_whoever_woke_it_in_between_keeps_it(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    asleep = sleeping.sleep(api, observe(), NOW)
    with roused(kube, api, asleep):
        marks_of(kube)[environment.ACTIVE_AT] = STAMP
    assert replicas(kube)["postgresql"] == 1
    del marks_of(kube)[environment.ACTIVE_AT]
    kube.put(STORES, workload("postgresql", 0))

    def deploy() -> None:
        marks_of(kube)[environment.ACTIVE_AT] = STAMP

    with roused(kube, api, asleep):
        kube.meanwhile("PATCH", "postgresql/scale", deploy)
    assert replicas(kube)["postgresql"] == 1, "it came while we stopped it"


def test_the_pods_of_the_app_and_of_its_migration_have_ended_before(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    def owned(kind: str) -> dict[str, Any]:
        owners = [{"kind": kind, "name": "x", "uid": "u"}]
        return {"metadata": {"name": f"of-a-{kind.lower()}", "labels": OURS, "ownerReferences": owners}}

    kube.put(PODS, owned("ReplicaSet") | {"status": {"phase": "Running"}})
    kube.put(PODS, owned("Job") | {"status": {"phase": "Running"}})
    kube.put(PODS, owned("StatefulSet") | {"status": {"phase": "Running"}})
    observed = observe()
    for kind in ("ReplicaSet", "Job"):
        began = time.monotonic()
        # They are waited for, though not for ever: then its time is up, or just not yet.
        with contextlib.suppress(errors.NotReady), roused(kube, api, observed, seconds=0.5):
            assert time.monotonic() - began >= 0.5, "nobody may write"
        assert time.monotonic() - began >= 0.5
        kube.put(PODS, owned(kind) | {"status": {"phase": "Succeeded"}})
    with roused(kube, api, observed):
        pass


def test_what_became_of_it_is_noted_though_its_end_was_asked_for_meanwhile(
    kube: wire.Kube, api: cluster.Cluster, observe: Observe
) -> None:
    observed = securing.ask(api, observe(), NOW)
    marks_of(kube)[environment.DESTROY_REQUESTED_AT] = STAMP
    noted = securing.note(api, observed, backups.begun(observed, NOW))
    assert backups.attempts(noted).number == 1
    with pytest.raises(sleeping.Woken):
        securing.note(api, observed, backups.begun(observed, NOW + datetime.timedelta(seconds=1)))
    marks_of(kube)[environment.CLEANUP_REQUESTED_AT] = STAMP
    with pytest.raises(sleeping.Woken):
        securing.note(api, noted, backups.made(noted, NOW, "/b"))


def test_an_answer_that_got_lost_counts(kube: wire.Kube, api: cluster.Cluster, observe: Observe) -> None:
    observed = observe()
    changes = backups.begun(observed, NOW)
    marks_of(kube)[environment.BACKUP_ATTEMPTS] = str(changes[environment.BACKUP_ATTEMPTS])
    assert backups.attempts(securing.note(api, observed, changes)).number == 1
