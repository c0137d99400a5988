"""When hundreds of pull requests close at once, the end of all their environments begins within seconds."""

import functools
import time
from concurrent import futures

import pytest

from k8s_ee import cluster
from k8s_ee.cluster import pool
from tests.cluster import bare, environments

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("count", [50, pytest.param(300, marks=pytest.mark.long)])
def test_all_deletions_are_asked_for_within_ten_seconds(bare_cluster: bare.Bare, count: int) -> None:
    with futures.ThreadPoolExecutor(pool.SIZE) as makers:
        made = {one.result().uid for one in [makers.submit(bare_cluster.made) for _ in range(count)]}
    closed = [one for one in cluster.environments(bare_cluster.api) if one.uid in made]
    began = time.monotonic()
    known = cluster.destroy.survey(bare_cluster.api)
    begin = functools.partial(cluster.destroy.begin, bare_cluster.api, progress=environments.quiet, known=known)
    begun = pool.side_by_side([functools.partial(begin, one) for one in closed])
    seconds = time.monotonic() - began
    print(f"{count} begun in {seconds:.1f} s")
    assert len(begun) == count
    assert seconds < 10
    there = [one for one in cluster.environments(bare_cluster.api) if one.uid in made]
    assert all(one.terminating for one in there)
    began = time.monotonic()
    receipts = cluster.destroy.finish(
        bare_cluster.api, begun, deadline=environments.soon(240), progress=environments.quiet
    )
    print(f"{count} gone {time.monotonic() - began:.1f} s later")
    assert all(receipt.deleted and not receipt.left for receipt in receipts)
