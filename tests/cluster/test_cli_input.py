"""A k8s-ee.yaml that can't be used: every problem in one go, each at its line, in under a second or two."""

import json
import os
import pathlib
from collections.abc import Callable

import pytest

from tests.cluster import cli

_PATIENCE = 5.0
_ANYWHERE = 0

# The content, the line of the problem, what is said, and what to do about it.
TEXTS: dict[str, tuple[bytes, int, str, str]] = {
    "empty": (b"", _ANYWHERE, "is empty", "projectId: my-app"),
    "only a comment": (b"# nothing yet\n", _ANYWHERE, "is empty", "projectId: my-app"),
    "huge": (b"a: b\n" * 60_000, _ANYWHERE, "larger than 256 KiB", "the right file"),
    "binary": (bytes(range(256)), _ANYWHERE, "not UTF-8 text", "save the file as UTF-8"),
    "UTF-16": ("projectId: shop\n".encode("utf-16"), _ANYWHERE, "not UTF-8 text", "save the file as UTF-8"),
    "a NUL byte": (b"projectId: a\0b\n", 1, "NUL byte", "not a text file"),
    "not closed": (b"projectId: shop\napp: {port: 1\n", 3, "not valid YAML", "not closed"),
    "indented with a tab": (b"projectId: shop\napp:\n\tport: 1\n", 3, "not valid YAML", "not tabs"),
    "a key twice": (b"projectId: shop\nprojectId: two\n", 2, "is here twice, first on line 1", "keep one"),
    "an alias": (b"projectId: shop\nenv:\n  X: *a\n", 3, "found the alias `*a`", "write the value out"),
    "a tag": (b"projectId: !!python/name:os.system x\n", 1, "found the tag", "quotes"),
    "two documents": (b"projectId: a\n---\nprojectId: b\n", 2, "second document", "remove `---`"),
    "a list": (b"- projectId: shop\n", 1, "found a list", "projectId: my-app"),
    "nested without end": (b"a: " + b"[" * 3000, 1, "levels deep", "indentation"),
    "an unknown key": (b"projectId: shop\napp: {prot: 1}\n", 2, "unknown key `prot`", "did you mean `port`?"),
    "a key in another case": (b"projectID: shop\n", 1, "unknown key `projectID`", "did you mean `projectId`?"),
    "a database there is not": (b"projectId: a\ndatabases: {mysql: true}\n", 2, "unknown key `mysql`", "postgresql"),
    "another type": (b"projectId: shop\napp: {port: many}\n", 2, "found `many`", "expected a whole number"),
    "out of range": (b"projectId: shop\napp: {port: 99999}\n", 2, "found `99999`", "from 1 to 65535"),
    "a truth value": (b"projectId: no\n", 1, "truth value", 'write it in quotes: "no"'),
    "an octal number": (b"projectId: 010\n", 1, "octal", 'write it in quotes: "010"'),
    "a name too long": (b"projectId: " + b"a" * 40 + b"\n", 1, "1 to 20 of a-z", "guestbook"),
    "a name with capitals": (b"projectId: Shop\n", 1, "found `Shop`", "a-z, 0-9"),
    "a variable that is ours": (b"projectId: shop\nenv: {PORT: '1'}\n", 2, "`PORT` is set by", "another name"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_wrong_is_said_at_its_line_with_a_way_out(
    runner: cli.Installed, tmp_path: pathlib.Path, name: str
) -> None:
    content, line, says, hint = TEXTS[name]
    (tmp_path / "k8s-ee.yaml").write_bytes(content)
    done = runner.start(tmp_path, "validate").end()
    assert (done.code, "Traceback" in done.said) == (2, False), done.said
    assert f"k8s-ee.yaml:{line}:" in done.stderr if line else "k8s-ee.yaml: " in done.stderr
    assert says in done.stderr
    assert hint in done.stderr
    assert done.seconds < _PATIENCE


def test_all_problems_are_reported_in_one_go_and_as_annotations(runner: cli.Installed, tmp_path: pathlib.Path) -> None:
    (tmp_path / "k8s-ee.yaml").write_text("projectId: Shop\napp: {prot: 1, port: x}\ndatabases: {mysql: true}\n")
    done = runner.start(tmp_path, "validate", "--output", "json").end()
    problems = json.loads(done.stdout)["problems"]
    assert [(one["line"], one["column"]) for one in problems] == [(1, 12), (2, 7), (2, 22), (3, 13)]
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)}
    shown = runner.start(tmp_path, "validate", **environ).end().stdout
    assert shown.count("::error ") >= len(problems)
    assert "file=k8s-ee.yaml,line=2,col=7" in shown.replace("column", "col")


def _nothing(_path: pathlib.Path) -> None:
    pass


def _link(path: pathlib.Path) -> None:
    path.symlink_to("/etc/hostname")


FILES: dict[str, tuple[Callable[[pathlib.Path], object], str]] = {
    "missing": (_nothing, "no such file"),
    "a directory": (pathlib.Path.mkdir, "is not a file"),
    "a pipe": (os.mkfifo, "is not a file"),
    "a link": (_link, "is a symbolic link"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_is_named(runner: cli.Installed, tmp_path: pathlib.Path, name: str) -> None:
    make, says = FILES[name]
    make(tmp_path / "k8s-ee.yaml")
    done = runner.start(tmp_path, "validate").end()
    assert (done.code, "Traceback" in done.said) == (2, False), done.said
    assert f"k8s-ee.yaml: {says}" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "one line what, one line what to do"


def test_validating_needs_nothing_but_the_file(runner: cli.Installed, tmp_path: pathlib.Path) -> None:
    (tmp_path / "k8s-ee.yaml").write_text("projectId: shop\n")
    done = runner.start(tmp_path, "validate", PATH="/nonexistent", K8S_EE_KUBECONFIG="", HOME="").end()
    assert done.code == 0, done.said
