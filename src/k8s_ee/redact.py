"""Takes secrets out of text that other people read: known values first, then whatever looks like one."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator

from k8s_ee import outcome

HIDDEN = "***"

# Shorter values would turn every log line into stars, and a password of three letters guards nothing.
SHORTEST = 4

_LOOKS_SECRET = (
    re.compile(r"\bgh[a-z]_[A-Za-z0-9_]{16,}"),
    re.compile(r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"),
    re.compile(r"(?i)(?<=authorization: )(?:bearer|basic|token)?\s*[^\s\"']+"),
    re.compile(r"(?i)(?<=authorization\": \")[^\"]+"),
    re.compile(r"(?i)\b(?<=bearer )[A-Za-z0-9._~+/=:-]{16,}"),
)

# Of a key whose beginning is not there, as in the last lines of a log. Nothing that was matched is tried another way:
# a log of blank lines would take for ever.
_KEY_END = re.compile(r"(?:^[ \t]*+[A-Za-z0-9+/=]*+[ \t]*+\n){0,200}+^.*-----END [A-Z ]*PRIVATE KEY-----", re.MULTILINE)


def encodings(value: str) -> Iterator[str]:
    """Every form in which a value may turn up in a log: itself, each line of it, base64, URL-quoted, inside JSON."""
    lines = value.splitlines() if len(value.splitlines()) > 1 else []
    for one in (value, *(line.strip() for line in lines)):
        raw = one.encode("utf-8", "surrogateescape")
        yield one
        yield base64.b64encode(raw).decode()
        yield base64.urlsafe_b64encode(raw).decode()
        yield urllib.parse.quote(raw, safe="")
        yield urllib.parse.quote_plus(raw)
        yield json.dumps(one)[1:-1]
        yield json.dumps(one, ensure_ascii=False)[1:-1]


class Redactor:
    """Safe to use from several threads: values may be added while others are redacting."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern = re.compile(r"(?!)")
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hides these values from now on, in all their encodings. Values under four characters are left alone."""
        found = {form for value in values for form in encodings(value) if len(form) >= SHORTEST}
        with self._lock:
            self._known |= found
            if self._known:
                longest_first = sorted(self._known, key=len, reverse=True)
                self._pattern = re.compile("|".join(re.escape(one) for one in longest_first))

    def redact(self, text: str) -> str:
        text = self._pattern.sub(HIDDEN, text)
        for pattern in _LOOKS_SECRET:
            text = pattern.sub(HIDDEN, text)
        return _KEY_END.sub(HIDDEN, text) if "PRIVATE KEY-----" in text else text

    def outcome(self, result: outcome.Outcome) -> outcome.Outcome:
        """To be done before a report is written: quoting for Markdown or JSON changes how a secret looks."""
        failure = result.failure and dataclasses.replace(
            result.failure,
            message=self.redact(result.failure.message),
            hint=self.redact(result.failure.hint),
            evidence=tuple(self.redact(line) for line in result.failure.evidence),
        )
        problems = tuple(
            dataclasses.replace(one, message=self.redact(one.message), hint=self.redact(one.hint))
            for one in result.problems
        )
        notes = tuple(self.redact(note) for note in result.notes)
        outputs = {key: self.redact(value) for key, value in result.outputs.items()}
        return dataclasses.replace(result, failure=failure, problems=problems, notes=notes, outputs=outputs)
