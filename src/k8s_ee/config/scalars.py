"""What YAML readers make of a value that is written without quotes.

YAML 1.1, which many tools still speak, sees numbers, dates and truth values where people wrote text; YAML 1.2 sees
others. A value is taken as a number or truth value only where both agree.
"""

from __future__ import annotations

import json
import re
from typing import Literal, NamedTuple

Kind = Literal["text", "integer", "number", "boolean", "nothing", "surprise"]


class Reading(NamedTuple):
    """`phrase` continues "it is …", for messages."""

    kind: Kind
    phrase: str


TEXT = Reading("text", "text")

_NUMBER = "a number to YAML"
_READINGS: tuple[tuple[str, Reading], ...] = (
    (r"|~|null|Null|NULL", Reading("nothing", "nothing (null) to YAML")),
    (r"true|True|TRUE|false|False|FALSE", Reading("boolean", "a truth value to YAML")),
    (r"yes|Yes|YES|on|On|ON", Reading("surprise", "the truth value true to YAML 1.1")),
    (r"no|No|NO|off|Off|OFF", Reading("surprise", "the truth value false to YAML 1.1")),
    (r"-?(0|[1-9][0-9]*)", Reading("integer", _NUMBER)),
    (r"-?(0|[1-9][0-9]*)\.[0-9]+", Reading("number", _NUMBER)),
    (r"[-+]?0[0-7_]+|[-+]?0o[0-7]+", Reading("surprise", "an octal number to YAML")),
    (r"[-+]?0x[0-9a-fA-F_]+", Reading("surprise", "a hexadecimal number to YAML")),
    (r"[-+]?0b[01_]+", Reading("surprise", "a binary number to YAML 1.1")),
    (r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", Reading("surprise", "a number in base 60 to YAML 1.1")),
    (r"[-+]?(\.inf|\.Inf|\.INF)", Reading("surprise", "infinity to YAML")),
    (r"\.nan|\.NaN|\.NAN", Reading("surprise", '"not a number" to YAML')),
    (r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?", Reading("surprise", _NUMBER)),
    (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?", Reading("surprise", "a date to YAML 1.1")),
    (r"=|<<", Reading("surprise", "a special value to YAML 1.1")),
)
_PATTERNS = tuple((re.compile(pattern, re.ASCII), reading) for pattern, reading in _READINGS)
_FIRST = frozenset("~nNtTfFyYoO-+.0123456789=<")


def read(text: str) -> Reading:
    """What a plain scalar is."""
    if text and text[0] not in _FIRST:
        return TEXT
    return next((reading for pattern, reading in _PATTERNS if pattern.fullmatch(text)), TEXT)


def quoted(text: str) -> str:
    """The text as it is to be written in YAML so that it stays text."""
    return json.dumps(text, ensure_ascii=False)
