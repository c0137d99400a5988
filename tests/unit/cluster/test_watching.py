from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from k8s_ee import cluster, errors
from k8s_ee.cluster import client, watching
from tests.wire import kube as wire

PODS = "/api/v1/namespaces/n/pods"
SUBJECT = watching.Subject("Pod", "n")


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def until(watch: watching.Watch, condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        watch.next(1)


def names(watch: watching.Watch) -> set[str]:
    return {item["metadata"]["name"] for item in watch.view.of("Pod")}


def test_what_is_there_and_what_comes_is_seen(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(PODS, pod("old"))
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: names(watch) == {"old"})
        kube.put(PODS, pod("new"))
        kube.remove(PODS, "old")
        until(watch, lambda: names(watch) == {"new"})


def test_only_what_changed_after_the_list_is_fresh(kube: wire.Kube, api: cluster.Cluster) -> None:
    old = kube.put(PODS, pod("old"))
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: watch.complete)
        new = kube.put(PODS, pod("new"))
        until(watch, lambda: "new" in names(watch))
        assert new["metadata"]["uid"] in watch.view.fresh
        assert old["metadata"]["uid"] not in watch.view.fresh


def test_a_watch_that_ends_goes_on_where_it_was_without_a_new_list(kube: wire.Kube, api: cluster.Cluster) -> None:
    with watching.watching(api, [SUBJECT]) as watch:
        kube.await_watches(1)
        kube.drop_watches()
        kube.put(PODS, pod("late"))
        until(watch, lambda: names(watch) == {"late"})
    assert len([seen for seen in kube.of("GET", PODS) if "watch" not in seen.query]) == 1


def test_a_version_that_is_too_old_leads_to_a_new_list(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(PODS, pod("vanishes"))
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: watch.complete)
        kube.await_watches(1)
        with kube.changed:
            kube.remove(PODS, "vanishes")
            kube.history.clear()
            kube.forget_history()
            kube.drop_watches()
        until(watch, lambda: names(watch) == set())


def test_what_a_later_list_shows_as_it_was_is_not_fresh(kube: wire.Kube, api: cluster.Cluster) -> None:
    old, changing = kube.put(PODS, pod("old")), kube.put(PODS, pod("changing"))
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: watch.complete)
        kube.await_watches(1)
        with kube.changed:
            kube.put(PODS, pod("new"))
            kube.put(PODS, changing)
            kube.history.clear()
            kube.forget_history()
            kube.drop_watches()
        until(watch, lambda: "new" in names(watch))
        assert changing["metadata"]["uid"] in watch.view.fresh
        assert old["metadata"]["uid"] not in watch.view.fresh


def test_a_watch_whose_connection_was_lost_is_opened_again_after_some_silence(
    kube: wire.Kube, api: cluster.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_WATCH_SILENCE", 1)
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: watch.complete)
        kube.await_watches(1)
        kube.lose_watches()
        kube.put(PODS, pod("late"))
        until(watch, lambda: names(watch) == {"late"})


def test_a_forbidden_watch_is_told_at_once(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.fail("GET", PODS, 403, times=9, message="cannot list resource")
    began = time.monotonic()
    with pytest.raises(errors.Refused), watching.watching(api, [SUBJECT]) as watch:
        watch.next(10)
    assert time.monotonic() - began < 8


def test_a_quiet_watch_is_stopped_without_waiting_for_it(kube: wire.Kube, api: cluster.Cluster) -> None:
    with watching.watching(api, [SUBJECT]) as watch:
        until(watch, lambda: watch.complete)
        kube.await_watches(1)
        began = time.monotonic()
    assert time.monotonic() - began < 8
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("k8s-ee-watch")]


def test_gone_means_this_uid_and_not_that_name(kube: wire.Kube, api: cluster.Cluster) -> None:
    old = kube.put(PODS, pod("app"))
    uid = old["metadata"]["uid"]

    def replace() -> None:
        kube.await_watches(1)
        kube.remove(PODS, "app")
        kube.put(PODS, pod("app"))

    thread = threading.Thread(target=replace)
    thread.start()
    assert watching.gone(api, "Pod", "app", namespace="n", uid=uid, deadline=time.monotonic() + 10) == {}
    thread.join()


def test_what_is_not_gone_in_time_is_handed_back(kube: wire.Kube, api: cluster.Cluster) -> None:
    found = kube.put(PODS, pod("app", phase="Running"))
    left = watching.gone(
        api, "Pod", "app", namespace="n", uid=found["metadata"]["uid"], deadline=time.monotonic() + 0.3
    )
    assert left["status"] == {"phase": "Running"}


def test_what_went_behind_a_lost_connection_is_seen_at_the_deadline(kube: wire.Kube, api: cluster.Cluster) -> None:
    uid = kube.put(PODS, pod("app"))["metadata"]["uid"]

    def lose() -> None:
        kube.await_watches(1)
        kube.lose_watches()
        kube.remove(PODS, "app")

    thread = threading.Thread(target=lose)
    thread.start()
    assert watching.gone(api, "Pod", "app", namespace="n", uid=uid, deadline=time.monotonic() + 2) == {}
    thread.join()


def test_until_a_deadline_that_is_over_there_is_one_look(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.put(PODS, pod("app"))
    with watching.watching(api, [SUBJECT]) as watch:
        seen = [{one["metadata"]["name"] for one in view.of("Pod")} for view in watch.until(time.monotonic() - 1)]
    assert seen == [{"app"}]
