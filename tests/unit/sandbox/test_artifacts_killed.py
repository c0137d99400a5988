"""kill -9 of the process that makes an artefact: the lock is free, the half-made thing is gone, the command is dead."""

import io
import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

from k8s_ee_sandbox import artifacts, artifacts_recipe, errors, logged, progress
from tests import processes

_HALF_WAY = """
import pathlib, sys
from k8s_ee_sandbox import artifacts, artifacts_recipe, progress

def make(workshop):
    (workshop.into / "tool").write_text("half")
    workshop.runner.run(["sh", "-c", f"echo $$ > {sys.argv[2]}; exec sleep 3600"], log=workshop.log, timeout=3600)

recipe = artifacts_recipe.Recipe(name="tool", what="test", make=make, inputs=dict, result="tool")
artifacts.Maker({"tool": recipe}, root=pathlib.Path(sys.argv[1]), progress=progress.Progress()).ensure(["tool"])
"""


def _whole(workshop: artifacts_recipe.Workshop) -> None:
    (workshop.into / "tool").write_text("whole")


def _maker(root: pathlib.Path) -> artifacts.Maker:
    recipe = artifacts_recipe.Recipe(name="tool", what="test", make=_whole, inputs=dict, result="tool")
    return artifacts.Maker({"tool": recipe}, root=root, progress=progress.Progress(io.StringIO()))


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the embedded cluster is for Linux")
def test_the_next_run_makes_it_whole(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", _HALF_WAY, tmp_path, pipe], stderr=subprocess.DEVNULL) as maker:
        command = os.pidfd_open(int(pipe.read_text()))
        maker.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([command], [], [], 30)
    os.close(command)
    assert ended, "the command outlived its maker"
    assert [entry.name[:6] for entry in (tmp_path / "artifacts").iterdir()] == [".tool."]

    assert _maker(tmp_path).ensure(["tool"])["tool"].read_text() == "whole"
    assert [entry.name[:5] for entry in (tmp_path / "artifacts").iterdir()] == ["tool-"]


def test_a_failed_command_names_its_log_and_quotes_the_last_twenty_lines(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "logs" / "tool.log"
    with pytest.raises(errors.SandboxError) as caught:
        logged.Runner().run(["sh", "-c", "seq 100 140; exit 3"], log=log, timeout=60)
    first, *quoted = caught.value.message.splitlines()
    assert first == f"sh -c 'seq 100 140; exit 3' failed with exit code 3; the end of {log}:"
    assert quoted == [f"  {number}" for number in range(121, 141)]


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "tool.log"
    with pytest.raises(errors.SandboxError, match="did not finish within 3 s"):
        logged.Runner().run(["sh", "-c", "sleep 3600 & echo $!; wait"], log=log, timeout=3)
    assert processes.gone(int(log.read_text().splitlines()[-1]))


def test_a_stopped_runner_starts_nothing_more(tmp_path: pathlib.Path) -> None:
    runner = logged.Runner()
    runner.stop()
    with pytest.raises(errors.SandboxError, match="another step failed"):
        runner.run(["true"], log=tmp_path / "log", timeout=60)
