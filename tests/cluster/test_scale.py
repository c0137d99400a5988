"""A thousand environments, of which three hundred close at once: one pass of the janitor, and what it costs."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import threading
import time
from collections.abc import Iterator

import pytest

from k8s_ee import cluster
from k8s_ee.cluster import watching
from tests.cluster import bare, crowd, kwok, passes

pytestmark = pytest.mark.cluster

_METRICS = 64 * 2**20
_BUCKET = re.compile(r'apiserver_request_duration_seconds_bucket\{(?P<labels>.*),le="(?P<le>[^"]+)"\} (?P<count>\S+)')
_ENDLESS = re.compile(r'verb="(WATCH|CONNECT)"')


@dataclasses.dataclass
class Ends:
    """When each namespace was first seen on its way out, on the monotonic clock."""

    began: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return max(self.began.values()) - min(self.began.values())


@pytest.fixture
def alone() -> Iterator[bare.Bare]:
    """Nobody else's environments are there, and its metrics are of this test only."""
    with bare.up("scale") as made:
        yield made


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(1500)])])
def test_a_pass_over_many_environments_is_quick_small_and_no_burden(
    alone: bare.Bare, tmp_path: pathlib.Path, count: int
) -> None:
    api, numbers = alone.api, range(1, 1 + count)
    closed = range(1, 1 + count * 3 // 10)
    with kwok.node(alone.sandbox, api) as node, passes.hub(numbers) as hub:
        began = time.monotonic()
        names = _fill(api, numbers, node)
        print(f"\n{count} environments made in {time.monotonic() - began:.0f} s")
        assert passes.run(alone.sandbox.kubeconfig, hub, tmp_path).summary["kept"] == count
        hub.log.clear()
        passes.close(hub, closed)
        before = _durations(api)
        with _ends(api) as ends:
            done = passes.run(alone.sandbox.kubeconfig, hub, tmp_path)
        slow = _quantile(before, _durations(api), 0.99)
        asked = hub.count("/graphql")
        signing = hub.count("/app/installations.*")
        told = sum(one["method"] in {"POST", "PATCH"} for one in hub.log if one["path"].startswith("/repos/"))
        _report(done, ends, asked=asked, signing=signing, told=told, slow=slow)
        left = {one.number for one in cluster.environments(api) if one.namespace in names}
        crowd.remove(api, names)
    assert done.code == 0, done.outcome["failure"]
    assert (done.summary["checked"], done.summary["deleted"], done.summary["kept"]) == (
        count,
        len(closed),
        count - len(closed),
    )
    assert left == set(numbers) - set(closed)
    assert asked + signing < 15
    assert told <= min(len(closed), 80), "GitHub takes no more in a minute"
    assert done.phase("decide") < 5
    assert len(ends.began) == len(closed)
    assert ends.seconds < 10
    assert done.memory < 150 * 2**20
    assert slow <= 1


def _fill(api: cluster.Cluster, numbers: range, node: str) -> set[str]:
    """Their names, once all of their pods run."""
    wanted = [crowd.wanted(number) for number in numbers]
    crowd.create(api, [[*crowd.fence(one), crowd.pod(one, node)] for one in wanted])
    names = {str(one.namespace) for one in wanted}
    crowd.until(lambda: crowd.running(api, names) == len(names))
    return names


def _report(done: passes.Passed, ends: Ends, *, asked: int, signing: int, told: int, slow: float) -> None:
    phases = ", ".join(f"{one['name']} {one['seconds']:.1f} s" for one in done.outcome["phases"])
    print(f"the pass: {done.wall:.1f} s ({phases}), {done.cpu:.1f} s of CPU, {done.memory / 2**20:.0f} MiB")
    print(f"{asked} questions to GitHub to decide, {signing} requests to sign in, {told} ends told")
    print(f"{len(ends.began)} ends begun within {ends.seconds:.1f} s; 99 % of the API server's answers in {slow:g} s")


@contextlib.contextmanager
def _ends(api: cluster.Cluster) -> Iterator[Ends]:
    found, stop = Ends(), threading.Event()

    def look() -> None:
        with watching.watching(api, [watching.Subject("Namespace")]) as watch:
            while not stop.is_set():
                watch.next(0.2)
                for one in watch.view.of("Namespace"):
                    if "deletionTimestamp" in one["metadata"]:
                        found.began.setdefault(one["metadata"]["uid"], time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _durations(api: cluster.Cluster) -> dict[float, float]:
    """How many requests took at most so many seconds, since the API server started; watches left out."""
    text = api.text("/metrics", {}, what="the API server's metrics", limit=_METRICS).decode()
    found: dict[float, float] = {}
    for line in text.splitlines():
        bucket = _BUCKET.match(line)
        if bucket and not _ENDLESS.search(bucket["labels"]):
            found[float(bucket["le"])] = found.get(float(bucket["le"]), 0) + float(bucket["count"])
    return found


def _quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """Upper end of the bucket that it falls into, in seconds."""
    grown = {limit: count - before.get(limit, 0) for limit, count in after.items()}
    return min(limit for limit, count in grown.items() if count >= share * grown[float("inf")])
