"""The way from text to model."""

from __future__ import annotations

import re

from k8s_ee import environment, errors
from k8s_ee.config import building, checking, document, fit, model, problems, rules, syntax


def config(text: bytes | str, *, path: str, platform: model.Platform | None) -> model.Config:
    """Raises ConfigError with every problem."""
    found = problems.Problems(path)
    try:
        values, marks = _checked("k8s-ee", text, found)
    except errors.ConfigError as error:
        error.project = _project(text)
        raise
    result = building.config(values, path=path, marks=marks)
    rules.check(result, found)
    if platform is not None:
        fit.add(result, platform, found)
    found.raise_if_any(project=result.project)
    return result


def _project(text: bytes | str) -> str:
    """Of a file that is no YAML: its mistake is elsewhere, and somebody has to hear of it. "" when no line says so."""
    written = text if isinstance(text, str) else text[: document.MAX_BYTES].decode(errors="replace")
    named = rf"""^projectId:[ ]+(["']?)({environment.PROJECT_ID.pattern})\1[ \t]*(?:\#.*)?\r?$"""
    found = re.findall(named, written.removeprefix("\ufeff"), re.MULTILINE | re.ASCII)
    return str(found[0][1]) if len(found) == 1 else ""


def platform(text: bytes | str, *, path: str) -> model.Platform:
    """Raises ConfigError with every problem."""
    found = problems.Problems(path)
    values, marks = _checked("platform", text, found)
    result = building.platform(values)
    rules.check_platform(result, found, marks)
    found.raise_if_any()
    return result


def _checked(
    name: str, text: bytes | str, found: problems.Problems
) -> tuple[building.Values, dict[str, problems.Mark]]:
    schema = checking.schema(name)
    checker = checking.Checker(schema, found)
    smallest = syntax.SMALLEST_PLATFORM if name == "platform" else syntax.SMALLEST
    root = document.parse(_decoded(text, found), found, smallest=smallest)
    values: building.Values = checker.check(root, schema)
    return values, checker.marks


def _decoded(text: bytes | str, found: problems.Problems) -> str:
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > document.MAX_BYTES:
            found.fail(None, f"larger than {document.MAX_BYTES // 1024} KiB", hint="is this the right file?")
        return data.decode("utf-8-sig")
    except UnicodeError:
        found.fail(None, "not UTF-8 text", hint="save the file as UTF-8; is it a text file at all?")
