"""A command's connection, as far as no container is needed for it; tests/cluster/test_remote.py has the rest."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from k8s_ee import cluster, errors
from k8s_ee.cluster import remote
from tests.wire import commands
from tests.wire import kube as wire


def run(
    api: cluster.Cluster, stdin: Iterable[bytes] = (b"in",), stdout: Callable[[bytes], object] = lambda _chunk: None
) -> remote.Ended:
    deadline = time.monotonic() + 5
    return remote.run(api, "shop-pr-7", "redis-0", "cat", stdin=stdin, stdout=stdout, deadline=deadline)


def full(*_chunk: bytes) -> Iterator[bytes]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    yield b""


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


def test_a_connection_that_breaks_is_told_from_what_is_at_its_ends(kube: wire.Kube, api: cluster.Cluster) -> None:
    kube.run = lambda command: commands.Ended(stdout=command.stdin)
    with pytest.raises(OSError, match="No space left"):
        run(api, stdout=lambda chunk: next(full(chunk)))
    with pytest.raises(OSError, match="No space left"):
        run(api, stdin=full())
    kube.run = lambda _command: commands.Ended(int("x"))  # which ends the connection
    with pytest.raises(errors.ClusterUnavailable, match="the connection to pod redis-0 broke"):
        run(api)
