"""`make test` sees what is left behind, and only that."""

from __future__ import annotations

import collections
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from scripts import leftovers
from tests import processes

ROOT = pathlib.Path(__file__).parents[3]
NOTHING: leftovers.Counts = {"link": collections.Counter()}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes sandboxes")


def links(*names: str) -> leftovers.Counts:
    return {"link": collections.Counter(names)}


def test_what_was_there_before_is_not_left_behind() -> None:
    assert leftovers.new(links("lo", "ee-dev"), links("lo", "ee-dev")) == []
    assert leftovers.new(links("lo", "ee-dev"), links("lo")) == []


def test_what_has_come_is_named_even_if_there_was_one_like_it() -> None:
    assert leftovers.new(NOTHING, links("ee-test"), ours=["test"]) == ["link ee-test"]
    assert leftovers.new(links("veth"), links("veth", "veth")) == ["link veth"]


@pytest.mark.parametrize(
    "trace",
    [
        "ee-dev",
        "cpu/k8s-ee-dev",
        "/run/netns/k8s-ee-dev-inet",
        "10.210.0.0/20 via 10.209.0.2 dev ee-dev proto static",
        "ee-test-2",
    ],
)
def test_what_others_started_meanwhile_is_theirs(trace: str) -> None:
    assert leftovers.new(NOTHING, links(trace), ours=["test"]) == []
    assert leftovers.new(NOTHING, links(trace), ours=["dev", "test-2"]) == [f"link {trace}"]


def test_what_names_no_sandbox_counts_whoever_made_it() -> None:
    for trace in ("veth0", "/home/me/.cache/k8s-ee/run/x/kubelet", "nat -A POSTROUTING -j MASQUERADE"):
        assert leftovers.new(NOTHING, links(trace)) == [f"link {trace}"]


def test_what_vanishes_while_it_is_counted_is_no_error(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpu/k8s-ee-dev", "cpu/k8s-ee-test", "cpu/system"):
        (tmp_path / name).mkdir(parents=True)
    look = os.scandir

    def scandir(path: str) -> Any:
        if pathlib.Path(path).name == "k8s-ee-dev":
            pathlib.Path(path).rmdir()
        return look(path)

    monkeypatch.setattr(leftovers, "_CGROUPS", tmp_path)
    monkeypatch.setattr(os, "scandir", scandir)
    assert "cpu/k8s-ee-test" in leftovers.count()["control group"]


def test_a_route_that_counts_down_is_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(seconds: int) -> collections.Counter[str]:
        line = f"default via fe80::1 dev eth0 proto ra metric 1024 expires {seconds}sec hoplimit 64 pref medium"
        monkeypatch.setattr(leftovers, "_lines", lambda *command: [line] if "route" in command else [])
        return leftovers.count()["route"]

    assert seen(1793) == seen(12)


def test_counting_twice_finds_nothing_new() -> None:
    first = leftovers.count()
    assert {"mount", "route", "firewall rule", "control group"} <= first.keys()
    assert "/proc" in first["mount"]


@pytest.fixture
def run(tmp_path: pathlib.Path) -> list[str]:
    """The command line of a run whose only test leaves a process behind that has cut all ties."""
    (tmp_path / "test_both.py").write_text(
        textwrap.dedent("""
        import pathlib, subprocess, sys, time

        def test_it():
            daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True); "
            started = subprocess.Popen(
                [sys.executable, "-c", daemon + "time.sleep(60)"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            pathlib.Path(__file__).with_name("daemon").write_text(started.stdout.readline())
            started.wait()
            started.stdout.close()

        def test_slow():
            pathlib.Path(__file__).with_name("slow").touch()
            time.sleep(60)
        """)
    )
    alone = ("-n0", "-p", "no:cacheprovider")
    return [sys.executable, "-m", "scripts.tests", *alone, f"--rootdir={tmp_path}", str(tmp_path)]


@pytest.fixture
def environ(tmp_path: pathlib.Path) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return {**plain, "K8S_EE_CACHE": str(tmp_path / "cache"), "K8S_EE_SANDBOX": "left"}


def daemon_of(folder: pathlib.Path) -> int:
    return int((folder / "daemon").read_text())


@as_root
def test_a_process_that_cut_all_ties_is_found_and_fails_the_run(
    run: list[str], environ: dict[str, str], tmp_path: pathlib.Path
) -> None:
    done = subprocess.run(
        [*run, "-k", "test_it"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    daemon = daemon_of(tmp_path)
    assert processes.gone(daemon), "what is told of is ended"
    assert "1 passed" in done.stdout
    assert done.returncode == 1
    assert f"left behind: process {daemon}: " in done.stderr


@as_root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_it_still_counts(
    number: signal.Signals, run: list[str], environ: dict[str, str], tmp_path: pathlib.Path
) -> None:
    # The shell of a script lets what it starts in the background ignore Ctrl-C.
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *run]
    command = run if number == signal.SIGINT else background
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        until = time.monotonic() + 60
        while not (tmp_path / "slow").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(running.pid, number)  # as a terminal does
        else:
            running.send_signal(number)
        stdout, stderr = running.communicate(timeout=60)
    assert processes.gone(daemon_of(tmp_path))
    assert "KeyboardInterrupt" in stdout
    assert running.returncode == 2
    assert "things left behind" in stderr
