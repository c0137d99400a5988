"""The help of every command ends in an example that the command can read."""

from __future__ import annotations

import re
import shlex

import click.testing
import pytest

from k8s_ee import cli

SANDBOX = ("up", "down", "status")
PATHS = ["", *cli.main.commands, *(f"sandbox {name}" for name in SANDBOX)]


def shown(path: str) -> str:
    done = click.testing.CliRunner().invoke(cli.main, [*path.split(), "--help"], terminal_width=200)
    assert done.exit_code == 0, done.output
    return done.output


def example(path: str) -> list[str]:
    """Words of the first one: it may go over several lines, and what a shell would put in is one word."""
    found = re.search(r"^ *Examples?\b.*:\n +((?:.*\\\n)*.*)", shown(path), re.MULTILINE)
    assert found, "no example"
    return shlex.split(re.sub(r"\$\([^)]*\)", "x", found[1].replace("\\\n", "")), comments=True)


def test_no_command_of_the_sandbox_is_forgotten() -> None:
    assert re.findall(r"^    (\w+) {2,}", shown("sandbox"), re.MULTILINE) == list(SANDBOX)


@pytest.mark.parametrize("path", PATHS)
def test_the_help_of_a_command_has_an_example_of_that_very_command(path: str) -> None:
    program, *words = example(path)
    assert program == "k8s-ee"
    assert words[: len(path.split())] == path.split()


@pytest.mark.parametrize("path", [path for path in PATHS if path])
def test_an_example_has_no_option_that_the_command_does_not_know(path: str) -> None:
    given = [word for word in example(path) if word.startswith("--")]
    assert [word for word in given if word not in shown(path)] == []


@pytest.mark.parametrize("name", sorted(set(cli.main.commands) - {"sandbox"}))
def test_the_command_can_read_its_example(name: str) -> None:
    command = cli.main.commands[name]
    _, _, *arguments = example(name)
    arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments  # the rest is for the shell
    command.make_context(name, arguments).close()
