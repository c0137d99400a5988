"""The errors drawn in the module's docstring are all there are, and every exit code says one thing."""

from __future__ import annotations

import inspect
import pathlib
import re

import click.testing
import pytest

from k8s_ee import cli, errors

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _classes() -> dict[str, type[errors.K8sEEError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: one for name, one in found if issubclass(one, errors.K8sEEError)}


def _drawn() -> dict[str, str]:
    """Name → exit code, as the tree in the docstring has it; empty where a class inherits it."""
    lines = re.findall(r"^[ │├└─]*([A-Z]\w+)[ ]*([0-9/]*)", errors.__doc__ or "", re.MULTILINE)
    return {name: code for name, code in lines if name in _classes() or code}


def test_the_tree_in_the_docstring_is_complete() -> None:
    assert set(_drawn()) == set(_classes())


@pytest.mark.parametrize("name", sorted(set(_classes()) - {"K8sEEError", "Interrupted"}))
def test_every_class_exits_as_the_tree_says(name: str) -> None:
    drawn = _drawn()[name]
    parent = _classes()[name].__mro__[1]
    code = _classes()[name].exit_code
    assert code == int(drawn) if drawn else code == getattr(parent, "exit_code", None)


def test_every_family_of_errors_has_an_exit_code_of_its_own() -> None:
    families = [one for one in errors.K8sEEError.__subclasses__() if one is not errors.Interrupted]
    codes = [one.exit_code for one in families]
    assert sorted(codes) == [2, 3, 4, 5]


def test_interrupted_is_what_a_shell_would_say() -> None:
    assert [errors.Interrupted(number).exit_code for number in (2, 15)] == [130, 143]


def test_the_help_and_the_guide_name_every_exit_code() -> None:
    shown = click.testing.CliRunner().invoke(cli.main, ["--help"]).output
    guide = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for code in ("0", "2", "3", "4", "5", "130", "143"):
        assert re.search(rf"\b{code}\b", shown), code
        assert re.search(rf"\b{code}\b", guide), code
