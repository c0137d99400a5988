"""Kubernetes quantities as exact numbers: cores for processors, bytes for memory and storage."""

from __future__ import annotations

import decimal
import re

from k8s_ee import errors

_QUANTITY = re.compile(
    r"([0-9]{1,20}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([-+]?[0-9]{1,2}))?", re.ASCII
)
_BINARY = {f"{letter}i": decimal.Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    suffix: decimal.Decimal(10) ** power
    for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_SUFFIXES = {"": decimal.Decimal(1), **_BINARY, **_DECIMAL}


def parse(text: str) -> decimal.Decimal:
    """`500m` → 0.5, `1Gi` → 1073741824. Raises InputError for what is not a quantity, negative ones included."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise errors.InputError(f"{text!r} is not a quantity", hint="write it as Kubernetes does: 500m, 256Mi, 1Gi")
    number, suffix, exponent = match.groups()
    return decimal.Decimal(number) * _SUFFIXES[suffix or ""] * decimal.Decimal(10) ** int(exponent or 0)


def cpu(cores: decimal.Decimal) -> str:
    """0.5 → `500m`, 2 → `2`. What is finer than a thousandth is rounded up."""
    thousandths = _whole(cores * 1000)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def memory(size: decimal.Decimal) -> str:
    """Bytes with the largest binary suffix that divides them: 1610612736 → `1536Mi`. Parts of a byte are rounded up."""
    whole = _whole(size)
    for suffix, factor in reversed(_BINARY.items()):
        if whole and whole % int(factor) == 0:
            return f"{whole // int(factor)}{suffix}"
    return str(whole)


def _whole(value: decimal.Decimal) -> int:
    return int(value.to_integral_value(rounding=decimal.ROUND_CEILING))
