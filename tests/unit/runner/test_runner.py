from __future__ import annotations

import base64
import io
import pathlib
import re
import subprocess
import sys

import pytest

from k8s_ee import errors, runner, settings


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def given(tmp_path: pathlib.Path) -> settings.Settings:
    return settings.Settings(is_actions=True, output_path=tmp_path / "output", summary_path=tmp_path / "summary")


@pytest.fixture
def actions(given: settings.Settings, stream: io.StringIO) -> runner.Runner:
    return runner.Runner(given, stream=stream)


def read_outputs(text: str) -> dict[str, str]:
    """As the runner reads the file."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        while (one := next(lines)) != delimiter:
            value.append(one)
        found[name] = "\n".join(value)
    return found


def test_outputs_come_back_as_they_were(actions: runner.Runner, given: settings.Settings) -> None:
    values = {"url": "https://x.example", "config": '{"a": 1}', "many": "one\ntwo", "evil": "x\nEOF\nadmin=true"}
    actions.outputs(values)
    actions.outputs({"more": "1"})
    assert given.output_path
    text = given.output_path.read_text(encoding="utf-8")
    assert read_outputs(text) == {**values, "more": "1"}
    assert len(set(re.findall(r"<<(\S+)", text))) == 5


def test_an_output_file_that_can_not_be_written_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="GITHUB_OUTPUT"):
        runner.Runner(settings.Settings(is_actions=True, output_path=tmp_path)).outputs({"a": "b"})


def test_a_summary_too_long_for_the_runner_is_cut(actions: runner.Runner, given: settings.Settings) -> None:
    actions.summary("é" * 400_000)
    actions.summary("x" * 400_000)
    actions.summary("never seen")
    assert given.summary_path
    data = given.summary_path.read_bytes()
    assert len(data) <= runner.SUMMARY_BYTES
    assert b"The rest was cut" in data
    data.decode()


def test_a_mask_covers_every_encoding_once(actions: runner.Runner, stream: io.StringIO) -> None:
    actions.mask("hunter 22%")
    actions.mask("hunter 22%")
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(set(lines))
    assert "::add-mask::hunter 22%25" in lines
    assert f"::add-mask::{base64.b64encode(b'hunter 22%').decode()}" in lines
    assert "::add-mask::hunter%252022%2525" in lines


def test_a_mask_is_out_before_a_child_prints() -> None:
    code = """
import subprocess, sys
from k8s_ee import runner, settings
runner.Runner(settings.Settings(is_actions=True)).mask("hunter22")
subprocess.run([sys.executable, "-c", "print('child')"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines.index("::add-mask::hunter22") < lines.index("child")


def test_an_annotation_has_only_the_properties_it_has(actions: runner.Runner, stream: io.StringIO) -> None:
    actions.error("wrong", file="k8s-ee.yaml", line=3, column=5)
    actions.warning("odd")
    actions.notice("whole file", file="k8s-ee.yaml", column=5)
    assert stream.getvalue().splitlines() == [
        "::error file=k8s-ee.yaml,line=3,col=5::wrong",
        "::warning::odd",
        "::notice file=k8s-ee.yaml::whole file",
    ]


def test_text_of_a_pull_request_can_not_become_a_command(actions: runner.Runner, stream: io.StringIO) -> None:
    actions.error("a\n::set-env name=X::y\r\n::warning::z", title="t,line=9", file="a::b")
    assert stream.getvalue() == ("::error title=t%2Cline=9,file=a%3A%3Ab::a%0A::set-env name=X::y%0D%0A::warning::z\n")


def test_from_the_eleventh_on_annotations_are_lines(actions: runner.Runner, stream: io.StringIO) -> None:
    actions.problems(tuple(errors.Problem("k8s-ee.yaml", n, 1, f"::bad {n}") for n in range(1, 13)))
    actions.warning("still shown")
    lines = stream.getvalue().splitlines()
    assert len([one for one in lines if one.startswith("::error ")]) == 10
    assert lines[10] == "error: k8s-ee.yaml:11: ::bad 11"
    assert lines[-1] == "::warning::still shown"


def test_what_a_tool_prints_is_not_obeyed(actions: runner.Runner, stream: io.StringIO) -> None:
    with pytest.raises(RuntimeError), actions.foreign_output():
        raise RuntimeError
    first, second = stream.getvalue().splitlines()
    token = first.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert second == f"::{token}::"


def test_a_group_ends_whatever_happens(actions: runner.Runner, stream: io.StringIO) -> None:
    with pytest.raises(RuntimeError), actions.group("build"):
        raise RuntimeError
    assert stream.getvalue() == "::group::build\n::endgroup::\n"


def test_on_a_laptop_nothing_is_printed_or_written(stream: io.StringIO) -> None:
    here = runner.Runner(settings.Settings(), stream=stream)
    here.mask("hunter22")
    here.error("x")
    here.outputs({"a": "b"})
    here.summary("s")
    with here.group("g"), here.foreign_output():
        pass
    assert stream.getvalue() == ""
