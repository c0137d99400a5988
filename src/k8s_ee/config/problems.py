"""Gathers what is wrong with one file, so that all of it can be said at once."""

from __future__ import annotations

import json
from typing import NamedTuple, NoReturn

from k8s_ee import errors

LIMIT = 100
_LONGEST_QUOTE = 60


class Mark(NamedTuple):
    """A place in a file. Both count from 1."""

    line: int
    column: int


class Problems:
    """`path` is what the file is called in messages and annotations."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._found: list[errors.Problem] = []
        self._keys: set[str] = set()
        self._stopped = False

    def add(self, mark: Mark | None, message: str, *, hint: str = "", key: str = "") -> None:
        """`key` is the dotted path of what can't be relied on. Raises ConfigError at LIMIT."""
        self._keys.add(key)
        line, column = mark or (0, 0)
        self._found.append(errors.Problem(path=self.path, line=line, column=column, message=message, hint=hint))
        if len(self._found) >= LIMIT:
            self._stopped = True
            raise self.error()

    def fail(self, mark: Mark | None, message: str, *, hint: str = "") -> NoReturn:
        """For what makes the rest of the file unreadable. Raises ConfigError with all problems found so far."""
        self.add(mark, message, hint=hint)
        raise self.error()

    def under(self, key: str) -> bool:
        """Whether a value at or below this dotted path is among the problems."""
        return any(found == key or found.startswith(f"{key}.") for found in self._keys)

    def error(self, *, project: str = "") -> errors.ConfigError:
        hint = f"reading stopped after {LIMIT} problems" if self._stopped else ""
        return errors.ConfigError(tuple(sorted(self._found)), hint=hint, project=project)

    def raise_if_any(self, *, project: str = "") -> None:
        """Raises ConfigError."""
        if self._found:
            raise self.error(project=project)


def quote(text: str) -> str:
    """Text from a file as it may stand in a message: one short line, nothing invisible in it."""
    short = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    inner = visible(json.dumps(short, ensure_ascii=False)[1:-1].replace('\\"', '"'))
    return f"`{inner}`"


def visible(text: str) -> str:
    """Every character that nobody can see as the escape that YAML has for it."""
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
