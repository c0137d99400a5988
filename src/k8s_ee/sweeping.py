"""PURE. What a pass of the janitor did, in lines for a terminal and in Markdown for the job summary.

Both are made from the Outcome's data: `summary` counts environments by what was done ("checked" is all of them,
"reasons" says why pull requests are unknown), and `environments` has one row for each: namespace, repository, pr,
decision, reason, deadline, done, detail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k8s_ee import quoting

Row = Mapping[str, Any]

DONE = (
    *("kept", "warned", "slept", "expired", "deleted", "ending", "gone", "passed on", "planned"),
    *("backing up", "backup failed", "stuck", "failed"),
)
"""Each environment is counted as one of these; as unknown besides."""

_QUIET = frozenset({"kept"})
_ROWS = 200


def lines(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {counts(data['summary'])}"
    for reason, count in data["summary"]["reasons"].items():
        yield f"  unknown, {count} times: {quoting.one_line(reason, limit=200)}"
    shown = _news(data["environments"])
    for row in shown[:_ROWS]:
        yield f"  {row['namespace']}: {said(row)}"
    if len(shown) > _ROWS:
        yield f"  and {len(shown) - _ROWS} more"


def markdown(data: Mapping[str, Any]) -> list[str]:
    """Paragraphs."""
    parts = [counts(data["summary"])]
    reasons = data["summary"]["reasons"].items()
    parts.append("\n".join(f"- unknown, {count} times: {quoting.markdown(why, limit=300)}" for why, count in reasons))
    shown = _news(data["environments"])
    if shown:
        rows = [
            f"| {quoting.code(str(row['namespace']))} | {row['done']} | {quoting.markdown(said(row), limit=500)} |"
            for row in shown[:_ROWS]
        ]
        parts.append("\n".join(["| Environment | Done | Why |", "|---|---|---|", *rows]))
    if len(shown) > _ROWS:
        parts.append(f"and {len(shown) - _ROWS} more")
    return [part for part in parts if part]


def counts(summary: Mapping[str, Any]) -> str:
    """`checked 12: kept 8, deleted 4 (unknown 1)`."""
    done = ", ".join(f"{name} {summary[name]}" for name in DONE if summary.get(name)) or "nothing there"
    unknown = f" (unknown {summary['unknown']})" if summary.get("unknown") else ""
    return f"checked {summary['checked']}: {done}{unknown}"


def said(row: Row) -> str:
    """`deleted, because its pull request is closed`."""
    why = f": {row['reason']}" if row.get("reason") else ""
    detail = f" ({row['detail']})" if row.get("detail") else ""
    intended = f"{row['decision']}, " if row["done"] in {"failed", "passed on", "planned"} else ""
    return f"{intended}{row['done']}{why}{detail}"


def _news(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["done"] not in _QUIET]
