import dataclasses
import os
import pathlib
import stat
import subprocess

import pytest

from k8s_ee_sandbox import cluster, errors, progress, state


@pytest.fixture
def where(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> state.Place:
    monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path))
    place = state.place("dev")
    place.run.mkdir(parents=True)
    return place


def _state(pid: int, started: str) -> state.State:
    return state.State(
        name="dev", profile="node", slot=3, pid=pid, started=started, registry_user="u", registry_password="hidden"
    )


def test_what_is_written_is_read(where: state.Place) -> None:
    written = dataclasses.replace(_state(1, "2"), images={"base": "r/base@sha256:0"}, complete=True)
    state.write(where, written)
    assert state.read(where) == written


def test_only_root_reads_the_password(where: state.Place) -> None:
    state.write(where, _state(1, "2"))
    assert stat.S_IMODE(where.state.stat().st_mode) == 0o600
    assert "hidden" not in repr(_state(1, "2"))


@pytest.mark.parametrize("content", ["", "{", "{}", '{"name": "dev"}'])
def test_a_damaged_state_counts_as_none(where: state.Place, content: str) -> None:
    where.state.write_text(content)
    assert state.read(where) is None


def test_no_state_is_none(where: state.Place) -> None:
    assert state.read(where) is None


def test_a_process_lives_only_under_its_own_start_time() -> None:
    started = state.started(os.getpid())
    assert started
    assert state.alive(_state(os.getpid(), started))
    assert not state.alive(_state(os.getpid(), "1"))


def test_a_process_that_only_waits_to_be_reaped_does_not_live() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert state.started(child.pid) is None


def test_one_that_runs_without_an_image_that_is_wanted_is_not_taken_for_one_that_has_it(where: state.Place) -> None:
    own = _state(os.getpid(), state.started(os.getpid()) or "")
    state.write(where, dataclasses.replace(own, complete=True, images={"base": "r/base@sha256:0"}))
    with pytest.raises(errors.SandboxError, match="runs without the images postgresql"):
        cluster.up("dev", "node", progress.Progress(), images=("base", "postgresql"))
