"""`k8s-ee sandbox`, as far as it goes without a cluster."""

import os
import pathlib
import subprocess
import sys

import pytest

from k8s_ee_sandbox import __main__ as command
from k8s_ee_sandbox import state


@pytest.fixture(autouse=True)
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [[], ["sideways"], ["up", "--profile", "huge"], ["up", "--name", "Too Long A Name"], ["down", "--profile", "node"]],
)
def test_wrong_input_ends_with_2_and_says_what_it_takes(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "usage: k8s-ee sandbox" in capsys.readouterr().err


def test_the_products_command_hands_everything_on() -> None:
    installed = pathlib.Path(sys.executable).with_name("k8s-ee")
    helped = subprocess.run(
        [installed, "sandbox", "up", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--profile {api,node,policy}" in helped.stdout
    wrong = subprocess.run(
        [installed, "sandbox", "up", "--nome"], capture_output=True, text=True, timeout=60, check=False
    )
    assert wrong.returncode == 2


def test_the_help_shows_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    assert "k8s-ee sandbox down --all" in capsys.readouterr().out


def test_one_that_does_not_run_is_unavailable(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["status", "--name", "nothing"]) == 5
    assert capsys.readouterr().err == "sandbox nothing is not running\n"


def test_all_are_those_with_a_folder_whether_they_run_or_not(cache: pathlib.Path) -> None:
    for name in ("b", "a", "not a name"):
        (cache / "run" / name).mkdir(parents=True)
    (cache / "run" / "file").touch()
    assert state.known() == ["a", "b"]


def test_where_none_was_ever_started_there_is_nothing_to_stop() -> None:
    assert command.main(["down", "--all"]) == 0


def test_progress_goes_on_when_nobody_reads_it_any_more() -> None:
    program = "from k8s_ee_sandbox import progress\nwith progress.Progress().step('long'): print('at work')"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writing, timeout=60, check=False
    )
    os.close(writing)
    assert done.stdout == b"at work\n"
