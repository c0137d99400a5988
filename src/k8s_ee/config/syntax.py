"""YAML's own complaints, in words for the person who wrote the file."""

from __future__ import annotations

import re

import yaml

from k8s_ee import environment
from k8s_ee.config import problems

SMALLEST = "the smallest file is one line: `projectId: my-app`"
SMALLEST_PLATFORM = "the least there must be is one line: `domain: preview.example.com`"

# What YAML does not allow, and what it alone takes for the end of a line: from there on it would count other lines.
_UNREADABLE = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_HINTS = (
    ("cannot start any token", "text that starts with @, `, % or a tab needs quotes; indent with spaces, not tabs"),
    ("mapping values are not allowed", "text that contains ': ' needs quotes; or is this line indented too far?"),
    ("could not find expected ':'", "a key needs a colon and a space after it: `key: value`"),
    ("did not find expected key", "is the indentation the same as in the lines before?"),
    ("did not find expected '-' indicator", "is the indentation the same as in the lines before?"),
    ("did not find expected ',' or", "a '[' or '{' is not closed; text that starts with one of them needs quotes"),
    ("expected ',' or", "a '[' or '{' is not closed; text that starts with one of them needs quotes"),
    ("unexpected end of stream", "a quote is opened and never closed"),
    ("unknown escape character", "a backslash in double quotes starts an escape: use single quotes, or write it twice"),
    ("alphabetic or numeric character", "text that starts with '*' or '&' needs quotes"),
)


def unreadable(text: str) -> tuple[problems.Mark, str, str] | None:
    """(place, message, hint) of the first character that can't stand in a file."""
    found = _UNREADABLE.search(text)
    if found is None:
        return None
    if "\0" in text:
        return _mark_of(text, text.index("\0")), "found a NUL byte", "this is not a text file"
    code = f"{ord(found[0]):04x}"
    written = "" if environment.UNWRITABLE.search(found[0]) else f", or write `\\u{code}` in double quotes"
    return _mark_of(text, found.start()), f"found the invisible character U+{code.upper()}", f"remove it{written}"


def _mark_of(text: str, index: int) -> problems.Mark:
    before = text[:index]
    return problems.Mark(before.count("\n") + 1, index - before.rfind("\n"))


def explain(error: yaml.YAMLError) -> tuple[problems.Mark | None, str, str]:
    """(place, message, hint)"""
    if not isinstance(error, yaml.MarkedYAMLError):
        return None, f"not valid YAML: {problems.quote(str(error))}", ""
    what = error.problem or error.context or "unreadable"
    start = error.problem_mark or error.context_mark
    mark = problems.Mark(start.line + 1, start.column + 1) if start else None
    hint = next((hint for part, hint in _HINTS if part in what), "")
    return mark, f"not valid YAML: {what}{_context(error)}", hint


def _context(error: yaml.MarkedYAMLError) -> str:
    if not (error.context and error.problem and error.context_mark):
        return ""
    return f" {error.context} that starts on line {error.context_mark.line + 1}"
