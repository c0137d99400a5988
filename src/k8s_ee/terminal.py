"""PURE. Outcome → the lines a person reads in a terminal or a log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from k8s_ee import outcome, quoting, sweeping

_TABLES = frozenset(
    {"listed", "preserved", "unpreserved", "extended", "sleeping", "awake", "expiring", "rotated", "saved"}
)
_NOT_TEXT = re.compile(r"[yn]|[-+]?0x[0-9a-f_]+|[-+]?(0[ob])?[0-9._]+(e[-+]?[0-9]+)?", re.ASCII | re.IGNORECASE)
"""To some reader of YAML: kubectl takes 1e3 for a number and y for true, and this one does not."""
_GREEN, _RED, _DIM, _END = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def text(result: outcome.Outcome, *, colour: bool) -> str:
    if "manifests" in result.data and not result.failure:
        return _yaml(result.data["manifests"])
    shown = quoting.plain("\n".join(_lines(result)))
    head, newline, rest = shown.partition("\n")
    if not colour:
        return shown
    return f"{_RED if result.failure else _GREEN}{head}{_END}{newline}{rest}"


def _lines(result: outcome.Outcome) -> Iterator[str]:
    if "lines" in result.data:
        yield from result.data["lines"]
        return
    yield _head(result)
    if "summary" in result.data:
        yield from sweeping.lines(result.data)
    for problem in result.problems:
        yield f"  {problem}"
    if result.failure:
        yield from _failure(result.failure)
    yield from (f"  note: {note}" for note in result.notes)
    if result.phases:
        steps = " · ".join(f"{one.name} {one.seconds:.1f} s" for one in result.phases)
        yield f"  {steps} · total {sum(one.seconds for one in result.phases):.1f} s"
    if "environments" in result.data and result.state in _TABLES:
        yield from _table(result.data["environments"])
    if "plan" in result.data:
        yield from (f"  {line}" for line in _yaml([result.data["plan"]]).splitlines())


def _head(result: outcome.Outcome) -> str:
    target = result.environment
    about = target.namespace if target else result.outputs.get("namespace", "")
    name = f" {about}" if about else ""
    if result.failure:
        older = result.serving_sha if target and result.serving_sha != target.head_sha else ""
        still = f" ({older[:7]} still serves)" if older else ""
        return f"{result.command}{name} failed: {result.failure.message}{still}"
    if result.state == "ready":
        where = result.outputs.get("url") or "its Service"
        seen = {"runner": "asked through the link", "cluster": "seen in the cluster"}.get(result.verified_from, "")
        return f"{result.command}{name} ready: {where} serves {result.serving_sha[:7]}" + (f", {seen}" if seen else "")
    dry = " (dry run: nothing was changed)" if result.dry_run else ""
    return f"{result.command}{name} {result.state}{dry}"


def _failure(failure: outcome.Failure) -> Iterator[str]:
    if failure.hint:
        yield f"  {failure.hint}"
    yield from (f"  | {line}" for line in failure.evidence)


def _table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "  none"
        return
    cells = [[str(key).upper() for key in rows[0]], *([_cell(row.get(key)) for key in rows[0]] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    for row in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    shown = ",".join(str(one)[:7] for one in value) if isinstance(value, list) else str(value)
    return quoting.one_line(shown, limit=80) or "-"


def _yaml(documents: list[Any]) -> str:
    """Exactly these once the line is ended, and no command to a terminal or a runner.

    What would be one is in double quotes, where it has escapes for all of it.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Block style where it is text of several lines; the emitter takes quotes where that is not exact."""

    def scalar(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        is_risky = quoting.plain(value) != value or _NOT_TEXT.fullmatch(value)
        style = '"' if is_risky else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, scalar)
    # A folded line could begin with what is a command at the beginning of a line.
    text = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    escaped = quoting.BIDIRECTIONAL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))
    return escaped.replace("##[", "\\x23#[").removesuffix("\n")
