"""YAML's own complaints, in words for the person who wrote the file."""

from __future__ import annotations

import yaml
from yaml import reader

from k8s_ee.config import problems

SMALLEST = "the smallest file is one line: `projectId: my-app`"
SMALLEST_PLATFORM = "the least there must be is one line: `domain: preview.example.com`"

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


def explain(error: yaml.YAMLError, text: str) -> tuple[problems.Mark | None, str, str]:
    """(place, message, hint)"""
    if isinstance(error, reader.ReaderError):
        return _unprintable(text)
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


def _unprintable(text: str) -> tuple[problems.Mark | None, str, str]:
    allowed = {"\n", "\r", "\t", "\x85", "\ufeff"}
    for number, line in enumerate(text.split("\n"), start=1):
        for column, character in enumerate(line, start=1):
            if not character.isprintable() and character not in allowed and not character.isspace():
                mark = problems.Mark(number, column)
                return mark, f"found the invisible character U+{ord(character):04X}", "remove it"
    return None, "found a character that YAML does not allow", "remove characters that can't be seen"
