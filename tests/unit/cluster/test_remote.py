"""A command's connection, as far as no container is needed for it; tests/cluster/test_remote.py has the rest."""

from __future__ import annotations

import time

import pytest

from k8s_ee import cluster, errors
from k8s_ee.cluster import remote
from tests.wire import commands
from tests.wire import kube as wire


def run(api: cluster.Cluster, *, seconds: float = 10) -> remote.Ended:
    return remote.run(api, "shop-pr-7", "redis-0", "cat", stdin=[b"in"], deadline=time.monotonic() + seconds)


def test_input_output_and_end_are_those_of_the_command(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.run = lambda command: commands.Ended(7, stderr=command.stdin)
    assert run(api) == remote.Ended(7, "in")


def test_nobody_else_is_given_the_token_whoever_redirects(kube: wire.Kube, api: cluster.Cluster) -> None:
    other = wire.Kube()
    server, url = wire.serve(other)
    kube.fail("GET", "/exec", 302, times=9, location=f"{url.replace('http', 'ws')}/api/v1/namespaces/n/pods/p/exec")
    with pytest.raises(errors.ClusterUnavailable):
        run(api)
    server.shutdown()
    server.server_close()
    assert other.seen == []
