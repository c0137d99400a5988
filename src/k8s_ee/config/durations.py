"""Lengths of time as people write them: `90m`, `24h`, `7d`."""

from __future__ import annotations

import datetime
import re

from k8s_ee import errors

OFF = "off"
_MINUTES = {"d": 1440, "h": 60, "m": 1}


def parse(text: str) -> datetime.timedelta | None:
    """None for `off`. Raises InputError for what is not a length of time."""
    if text == OFF:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})(m|h|d)", text, re.ASCII)
    if found is None:
        raise errors.InputError(f"{text!r} is not a length of time", hint="write a number and m, h or d, as in 24h")
    return datetime.timedelta(minutes=int(found[1]) * _MINUTES[found[2]])
