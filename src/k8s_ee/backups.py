"""PURE. Whether an environment may go: one with `backup: onDestroy` only once its databases are backed up.

    BACKUP             every deploy notes it, and takes all the others off: the environment lives again
    BACKUP_WANTED_AT   who wants to destroy it notes it, once nobody writes to its databases any more
    BACKUP_ATTEMPTS    the keeper notes each attempt before it begins, so that one that was killed counts
    BACKUP_ERROR       and why it failed, after that
    BACKED_UP          and the backup, once it is in its place

A wake or deploy voids both a wish and a backup from before it: what is in the databases may be other data by then.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Literal

from k8s_ee import environment

ATTEMPTS = 3
NOTES = (
    environment.BACKUP_WANTED_AT,
    environment.BACKUP_ATTEMPTS,
    environment.BACKUP_ERROR,
    environment.BACKUP_FAILED_AT,
    environment.BACKED_UP,
)
"""All but what the last deploy noted."""
_PAUSES = 4
"""Between the beginnings of two attempts lies that part of the deadline: what is away for minutes may come back."""
_ERROR_CHARACTERS = 200

Time = datetime.datetime
Changes = dict[str, str | None]
Kind = Literal["not wanted", "due", "failed", "made"]


@dataclasses.dataclass(frozen=True)
class Standing:
    """`reason` is why it failed, else empty."""

    kind: Kind
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Attempts:
    """How many were begun, and when the last one was."""

    number: int = 0
    at: datetime.datetime | None = None


def standing(observed: environment.Observed, deadline: datetime.timedelta, now: Time) -> Standing:
    """ "failed" when there is no attempt left, or the `deadline` since it was wanted is over."""
    if environment.BACKUP not in observed.annotations:
        return Standing("not wanted")
    if place(observed) is not None:
        return Standing("made")
    wanted = wanted_at(observed)
    if wanted is None:
        return Standing("due")
    begun, error = attempts(observed).number, observed.annotations.get(environment.BACKUP_ERROR, "")
    # The last one counts as failed once that is noted: until then it may be at work.
    if now - wanted < deadline and not (begun >= ATTEMPTS and error):
        return Standing("due")
    if not begun:
        return Standing("failed", "its backup was not begun in time: is the keeper running?")
    return Standing("failed", f"its backup failed: {error}" if error else "its backup did not end in time")


def is_due_now(observed: environment.Observed, deadline: datetime.timedelta, now: Time) -> bool:
    """Whether the keeper has to begin an attempt."""
    before = attempts(observed)
    if wanted_at(observed) is None or standing(observed, deadline, now).kind != "due" or before.number >= ATTEMPTS:
        return False
    return before.at is None or now - before.at >= deadline / _PAUSES


def time_left(observed: environment.Observed, deadline: datetime.timedelta, now: Time) -> datetime.timedelta:
    """For an attempt that begins now: no longer than its share, as there are others that wait for their turn."""
    return min(deadline / ATTEMPTS, (wanted_at(observed) or now) + deadline - now)


def wanted_at(observed: environment.Observed) -> Time | None:
    """Since when; None when nobody wants it, or somebody used the environment since."""
    found = observed.backup_wanted_at
    return found if found is not None and not _used_since(observed, found) else None


def place(observed: environment.Observed) -> str | None:
    """Where its backup is, empty when there was nothing to back up; None when there is none of what it is now."""
    text, _, where = observed.annotations.get(environment.BACKED_UP, "").partition(" ")
    made = environment.read_time(text)
    return where if made is not None and not _used_since(observed, made) else None


def attempts(observed: environment.Observed) -> Attempts:
    found = re.fullmatch(r"([0-9]{1,9}) (\S+)", observed.annotations.get(environment.BACKUP_ATTEMPTS, ""), re.ASCII)
    return Attempts(int(found[1]), environment.read_time(found[2])) if found else Attempts()


def asked(observed: environment.Observed, now: Time) -> Changes:
    """What to note on the namespace (None = remove), as in all of the following."""
    return {**dict.fromkeys(NOTES), environment.BACKUP_WANTED_AT: environment.write_time(_after_use(observed, now))}


def begun(observed: environment.Observed, now: Time) -> Changes:
    number = attempts(observed).number + 1
    return {environment.BACKUP_ATTEMPTS: f"{number} {environment.write_time(now)}", environment.BACKUP_ERROR: None}


def failed(why: str) -> Changes:
    """`why` must be redacted: whoever may see the environment may see it."""
    return {environment.BACKUP_ERROR: " ".join(why.split())[:_ERROR_CHARACTERS] or "nothing was said"}


def made(observed: environment.Observed, at: Time, where: str) -> Changes:
    """`at`: of which moment it is. That is when it was begun: what was written later may not be in it."""
    return {
        environment.BACKED_UP: f"{environment.write_time(_after_use(observed, at))} {where}",
        environment.BACKUP_ERROR: None,
    }


def forgotten(observed: environment.Observed) -> Changes:
    """Nobody wants it to go any more. A backup stays one for as long as nobody uses the environment."""
    return dict.fromkeys(one for one in NOTES if one in observed.annotations and one != environment.BACKED_UP)


def _used_since(observed: environment.Observed, when: Time) -> bool:
    """Or in the same second."""
    return any(one >= when for one in _uses(observed))


def _after_use(observed: environment.Observed, when: Time) -> Time:
    """Seconds are all that is noted: who came after the last use must be seen to have."""
    return max([when, *(one + datetime.timedelta(seconds=1) for one in _uses(observed))])


def _uses(observed: environment.Observed) -> list[Time]:
    return [one for one in (observed.active_at, observed.deployed_at) if one is not None]
