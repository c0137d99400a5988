"""Actions, their environment variables and the command line say the same."""

from __future__ import annotations

import copy
import pathlib
import re
from typing import Any

import click
import pytest

from k8s_ee import cli
from tests.contract import actionfiles

FACTS = {"pr", "repository", "repository-id", "owner-id", "head-sha", "branch"}
"""Which pull request: in a workflow the event says it, and an input could only contradict it."""

LAPTOP = {"output", "debug", "registry-insecure"}
NOT_OFFERED = {
    "validate-config": {"dry-run", "timeout"},  # it changes nothing and waits for nothing
    "report": {"dry-run", "timeout"},
    "build": {"platform-file"},  # it knows no cluster
    "cleanup": {"backup-to", "s3-endpoint"},  # the key to the storage is the platform's
}


def _name(path: pathlib.Path) -> str:
    return path.relative_to(actionfiles.ROOT).parent.name or "action.yml"


every_action = pytest.mark.parametrize("path", actionfiles.ACTIONS, ids=_name)
every_command = pytest.mark.parametrize("path", actionfiles.COMMANDS, ids=_name)


def _command(action: actionfiles.Yaml) -> click.Command:
    found = re.fullmatch(r"exec k8s-ee ([a-z-]+)", actionfiles.steps(action)[-1]["run"])
    assert found, "the last step is one `exec k8s-ee <command>`"
    return cli.main.commands[found[1]]


def _options(command: click.Command) -> dict[str, click.Option]:
    """By the name an input would have."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    return {max(one.opts, key=len).removeprefix("--"): one for one in options}


@every_command
def test_an_action_is_one_command_started_with_exec(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    assert [step["uses"] for step in actionfiles.steps(action)[:-1]] == ["$/actions/setup"]
    assert _command(action)


@every_command
def test_each_input_is_an_option_of_the_command(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    options = _options(_command(action))
    inputs = set(action["inputs"]) - {"github-token"}
    assert inputs <= set(options)
    assert {options[name].envvar for name in inputs} == {actionfiles.variable(name) for name in inputs}


@every_command
def test_each_option_is_an_input_or_has_a_reason_not_to_be_one(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    reasons = FACTS | LAPTOP | NOT_OFFERED.get(_name(path), set())
    assert set(_options(_command(action))) - set(action["inputs"]) <= reasons


@every_command
def test_a_default_written_in_an_action_is_the_one_of_the_command(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    options = _options(_command(action))
    written = {name: one["default"] for name, one in action["inputs"].items() if one.get("default")}
    for name in written.keys() & options.keys():
        if "${{" not in written[name]:
            known = "false" if options[name].is_flag else str(options[name].default)
            assert written[name] == known, name


@every_command
def test_what_a_command_requires_is_a_required_input(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    required = {name for name, option in _options(_command(action)).items() if option.required}
    assert required == {name for name, one in action["inputs"].items() if one.get("required")}


@every_command
def test_each_input_reaches_the_command_by_its_variable_alone(path: pathlib.Path) -> None:
    assert actionfiles.unforwarded(actionfiles.load(path)) == []


@every_command
def test_each_output_is_the_one_the_command_writes(path: pathlib.Path) -> None:
    assert actionfiles.unmapped(actionfiles.load(path)) == []


@every_action
def test_each_input_and_output_is_described(path: pathlib.Path) -> None:
    assert actionfiles.undescribed(actionfiles.load(path)) == []


@every_action
def test_no_expression_is_pasted_into_a_script(path: pathlib.Path) -> None:
    assert actionfiles.interpolated(actionfiles.load(path)) == []


@every_action
def test_everything_used_is_pinned_by_commit_and_exists(path: pathlib.Path) -> None:
    action = actionfiles.load(path)
    assert actionfiles.unpinned(action) == []
    assert actionfiles.missing_targets(action) == []


@every_action
def test_an_action_is_a_thin_adapter(path: pathlib.Path) -> None:
    assert len(path.read_text().splitlines()) <= 80
    assert actionfiles.shell_lines(actionfiles.load(path)) <= 8


def test_nothing_reads_the_variables_that_act_sets_and_github_does_not() -> None:
    folders = (actionfiles.ROOT / "actions", actionfiles.ROOT / "src")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".sh", ".yml"}]
    assert [path for path in files if "INPUT_" in path.read_text(encoding="utf-8")] == []


def _broken(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    action = copy.deepcopy(actionfiles.load(actionfiles.ROOT / "actions" / "deploy-app" / "action.yml"))
    part: Any = action
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return action


def test_a_forgotten_or_misspelt_variable_is_found() -> None:
    env = ("runs", "steps", 1, "env")
    assert actionfiles.unforwarded(_broken((*env, "K8S_EE_TIMEOUT"), "")) == ["K8S_EE_TIMEOUT"]
    assert actionfiles.unforwarded(_broken((*env, "K8S_EE_EXTRA"), "1")) == ["K8S_EE_EXTRA"]


def test_an_expression_in_a_script_is_found() -> None:
    assert actionfiles.interpolated(_broken(("runs", "steps", 1, "run"), "exec k8s-ee ${{ inputs.image }}"))


def test_an_action_pinned_by_tag_is_found() -> None:
    assert actionfiles.unpinned(_broken(("runs", "steps", 0, "uses"), "actions/checkout@v7")) == ["actions/checkout@v7"]


def test_an_output_of_another_name_is_found() -> None:
    assert actionfiles.unmapped(_broken(("outputs", "url", "value"), "${{ steps.run.outputs.link }}")) == ["url"]
