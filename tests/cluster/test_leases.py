"""One works, the other says so; who was stopped for too long notices before it acts."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent import futures

import pytest

from k8s_ee import cluster
from k8s_ee.cluster import leases
from tests.cluster import bare, environments

pytestmark = pytest.mark.cluster

HOME = "default"
SECONDS = 3.0


@pytest.fixture
def name() -> str:
    return f"janitor-{uuid.uuid4().hex[:8]}"


def take(api: cluster.Cluster, name: str, holder: str) -> leases.Held | leases.Elsewhere:
    return leases.take(api, namespace=HOME, name=name, holder=holder, seconds=SECONDS)


def held(api: cluster.Cluster, name: str, holder: str) -> leases.Held:
    taken = take(api, name, holder)
    assert isinstance(taken, leases.Held)
    return taken


def test_of_two_at_once_one_works_and_the_other_is_told_who(bare_cluster: bare.Bare, name: str) -> None:
    done, gate = threading.Event(), threading.Barrier(2)

    def work(holder: str) -> str:
        gate.wait()
        taken = take(bare_cluster.api, name, holder)
        if isinstance(taken, leases.Elsewhere):
            done.set()
            return f"left to {taken.holder}"
        with taken:
            assert done.wait(20)
            assert taken.still_held()
        return holder

    with futures.ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(work, ["a", "b"]))
    assert said in (["a", "left to a"], ["b", "left to b"])


def test_one_that_is_given_back_is_taken_at_once(bare_cluster: bare.Bare, name: str) -> None:
    with held(bare_cluster.api, name, "a") as first:
        assert first.still_held()
    began = time.monotonic()
    with held(bare_cluster.api, name, "b") as second:
        assert time.monotonic() - began < SECONDS
        assert second.still_held()
        assert not first.still_held()


def test_one_whose_holder_died_is_taken_once_it_stood_still_and_not_before(bare_cluster: bare.Bare, name: str) -> None:
    dead = held(bare_cluster.api, name, "a")  # It is never renewed.
    began = time.monotonic()
    with held(bare_cluster.api, name, "b"):
        assert SECONDS <= time.monotonic() - began < SECONDS * 3
        assert not dead.still_held()


def test_times_that_a_wrong_clock_wrote_do_not_count(bare_cluster: bare.Bare, name: str) -> None:
    with held(bare_cluster.api, name, "a") as first:
        long_ago = '{"spec":{"renewTime":"2001-01-01T00:00:00.000000Z"}}'
        bare_cluster.kubectl("patch", "lease", name, "--type=merge", "-p", long_ago)
        assert isinstance(take(bare_cluster.api, name, "b"), leases.Elsewhere)
        assert first.still_held()


def test_a_renewal_survives_a_write_of_somebody_who_is_not_after_it(bare_cluster: bare.Bare, name: str) -> None:
    with held(bare_cluster.api, name, "a") as first:
        for _ in range(4):
            bare_cluster.kubectl("annotate", "--overwrite", "lease", name, f"seen={uuid.uuid4()}")
            time.sleep(SECONDS / 3)
            assert first.still_held()


def test_who_takes_it_by_hand_has_it(bare_cluster: bare.Bare, name: str) -> None:
    with held(bare_cluster.api, name, "a") as first:
        bare_cluster.kubectl("patch", "lease", name, "--type=merge", "-p", '{"spec":{"holderIdentity":"admin"}}')
        time.sleep(SECONDS)
        assert not first.still_held()
    assert bare_cluster.kubectl("get", "lease", name, "-o", "jsonpath={.spec.holderIdentity}") == "admin"


def test_a_dry_run_holds_it_on_paper(bare_cluster: bare.Bare, name: str) -> None:
    with held(environments.connect(bare_cluster.sandbox, dry_run=True), name, "paper") as first:
        assert first.still_held()
    assert bare_cluster.api.get("Lease", name, HOME) is None


PROCESS = """
import sys
from k8s_ee import cluster, settings
from k8s_ee.cluster import leases

kubeconfig, name, seconds = sys.argv[1:]
api = cluster.connect(settings.Connection(kubeconfig=kubeconfig))
with leases.take(api, namespace="default", name=name, holder=leases.identity(), seconds=float(seconds)) as held:
    print("held", flush=True)
    for _line in sys.stdin:
        print("act" if held.still_held() else "lost", flush=True)
"""


def test_a_process_stopped_past_its_lease_notices_before_it_acts(bare_cluster: bare.Bare, name: str) -> None:
    command = [sys.executable, "-c", PROCESS, str(bare_cluster.sandbox.kubeconfig), name, str(SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        time.sleep(SECONDS * 1.5)  # Long enough to show that it is renewed.
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "act\n"
        os.kill(process.pid, signal.SIGSTOP)
        with held(bare_cluster.api, name, "b") as other:
            print(file=process.stdin, flush=True)
            os.kill(process.pid, signal.SIGCONT)
            assert process.stdout.readline() == "lost\n"
            process.stdin.close()
            assert process.wait(30) == 0
            assert other.still_held()
