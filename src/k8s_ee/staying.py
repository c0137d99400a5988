"""PURE. How long an environment stays, in sentences of Markdown for the comment and the summary.

Each is made from one row of `data["environments"]`: namespace, pr, repositoryId, url, commit (the one seen serving, may
be empty), until (ISO 8601, may be empty), reason (one sentence, may be empty), remedy (a command's name and arguments,
may be empty). Keys that are not there are like empty ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8s_ee import quoting

Row = Mapping[str, Any]
Commit = Callable[[str], str]

TITLES = {
    "preserved": "📌 Preview {name} is preserved",
    "unpreserved": "Preview {name} is not preserved any more",
    "extended": "⏳ Preview {name} stays longer",
    "sleeping": "💤 Preview {name} is asleep",
    "awake": "✅ Preview {name} is ready",
    "expiring": "⏰ Preview {name} will be destroyed soon",
    "lapsing": "⏰ Preview {name} is preserved for a little while only",
    "backing-up": "💾 Preview {name} is backed up, then destroyed",
    "backup-failed": "⚠️ Preview {name} is kept: its backup failed",
}
STATES = frozenset(TITLES)


def paragraphs(state: str, rows: Sequence[Row], *, commit: Commit) -> list[str]:
    """`commit` shows a SHA, with its link where there is one."""
    named = len(rows) > 1
    return [
        f"{quoting.code(str(row.get('namespace', '')))}: {_SENTENCES[state](row, commit)}"
        if named
        else _SENTENCES[state](row, commit)
        for row in rows
    ]


def command(row: Row, words: str) -> str:
    """What to type in a terminal."""
    return quoting.code(f"k8s-ee {words} --pr {row.get('pr', '')} --repository-id {row.get('repositoryId', '')}")


def moment(text: str) -> str:
    """`2026-11-25 19:00 UTC`; what is no time is shown as it is."""
    try:
        when = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        return quoting.one_line(text, limit=40)
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _preserved(row: Row, commit: Commit) -> str:
    return (
        f"{_serving(row, commit)}It stays until {_until(row)}, also when this pull request is closed. "
        f"{command(row, 'unpreserve')} ends that."
    )


def _unpreserved(row: Row, commit: Commit) -> str:
    return (
        f"{_serving(row, commit)}It goes when this pull request is closed"
        + (f", and at the latest {_until(row)} if nothing happens here before" if row.get("until") else "")
        + "."
    )


def _extended(row: Row, commit: Commit) -> str:
    return f"{_serving(row, commit)}It stays until {_until(row)}, unless this pull request is closed before."


def _sleeping(row: Row, _commit: Commit) -> str:
    reason = quoting.markdown(str(row.get("reason") or "it was put to sleep"), limit=300)
    return (
        f"Stopped since {_until(row)}: {reason}. Its databases keep their data. "
        f"The next push wakes it, or {command(row, 'wake')}."
    )


def _awake(row: Row, commit: Commit) -> str:
    return _serving(row, commit).strip() or "It runs again."


def _expiring(row: Row, commit: Commit) -> str:
    reason = quoting.markdown(str(row.get("reason") or ""), limit=300)
    remedy = str(row.get("remedy") or "")
    return (
        f"{_serving(row, commit)}It will be destroyed with its data at {_until(row)}"
        + (f": {reason}" if reason else "")
        + (f". To keep it: {command(row, remedy)}." if remedy else ". A later deploy makes a new one.")
    )


def _lapsing(row: Row, commit: Commit) -> str:
    return (
        f"{_serving(row, commit)}It is preserved until {_until(row)}. After that it is destroyed, with its data, "
        f"as soon as this pull request is closed. To keep it: {command(row, 'preserve')}."
    )


def _backing_up(row: Row, _commit: Commit) -> str:
    reason = quoting.markdown(str(row.get("reason") or ""), limit=300)
    return (
        "Its app is stopped and its databases are being backed up; it is destroyed when that is done"
        + (f" ({reason})" if reason else "")
        + f". The next push to an open pull request brings it back. To destroy it at once, with all data: "
        f"{command(row, 'cleanup --without-backup')}."
    )


def _backup_failed(row: Row, _commit: Commit) -> str:
    reason = quoting.markdown(str(row.get("reason") or "its backup failed"), limit=300)
    return (
        f"State `backup-failed`: {reason}. Its app is stopped, nothing is lost, and nothing is deleted before "
        f"{_until(row)}, when it reaches its highest age. To have the backup tried again: {command(row, 'cleanup')}; "
        f"to back up to a place of your own: {command(row, 'cleanup --backup-to PLACE')}; "
        f"to destroy it without a backup: {command(row, 'cleanup --without-backup')}. A push to an open pull request "
        "brings it back."
    )


def _serving(row: Row, commit: Commit) -> str:
    sha, url = str(row.get("commit") or ""), str(row.get("url") or "")
    if not sha:
        return ""
    where = f"**<{url}>** serves" if url else "Its pods serve"
    return f"{where} commit {commit(sha)} (seen in the cluster). "


def _until(row: Row) -> str:
    return f"**{moment(str(row.get('until') or ''))}**"


_SENTENCES: Mapping[str, Callable[[Row, Commit], str]] = {
    "preserved": _preserved,
    "unpreserved": _unpreserved,
    "extended": _extended,
    "sleeping": _sleeping,
    "awake": _awake,
    "expiring": _expiring,
    "lapsing": _lapsing,
    "backing-up": _backing_up,
    "backup-failed": _backup_failed,
}
