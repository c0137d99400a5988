"""Kubernetes quantities ("100m", "1.5Gi") as numbers, and back."""

from __future__ import annotations

import fractions
import re
from collections.abc import Iterable

from k8s_ee import errors

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", re.ASCII)
_UNITS = {
    "m": fractions.Fraction(1, 1000),
    "": fractions.Fraction(1),
    **{unit: fractions.Fraction(1000**power) for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": fractions.Fraction(1024**power) for power, unit in enumerate("KMGT", start=1)},
}


def parse(text: str) -> fractions.Fraction:
    """Cores or bytes. Raises InputError for what is not a quantity."""
    found = _QUANTITY.fullmatch(text)
    if not found or found[2] not in _UNITS:
        raise errors.InputError(f"{text!r} is not a quantity", hint="for example 500m, 2, 256Mi, 1Gi")
    return fractions.Fraction(found[1]) * _UNITS[found[2]]


def cpu(cores: fractions.Fraction) -> str:
    """Rounded up to whole millicores."""
    return f"{-(-cores * 1000 // 1)}m"


def memory(size: fractions.Fraction) -> str:
    """Rounded up to whole MiB, so that a sum of any units stays readable."""
    return f"{-(-size // 1024**2)}Mi"


def largest(texts: Iterable[str]) -> str:
    return max(texts, key=parse)
