"""PURE. As much of Prometheus' text format as is needed.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

PREFIX = "k8s_ee_"


@dataclasses.dataclass(frozen=True)
class Gauge:
    """`values` by the value of `label`; without a label there is one, under ""."""

    name: str
    help: str
    values: Mapping[str, float]
    label: str = ""


def text(gauges: Iterable[Gauge]) -> str:
    """Ends with a newline, as both the node exporter and the Pushgateway require."""
    return "".join(f"{line}\n" for gauge in gauges for line in _lines(gauge))


def carried_over(gauges: Sequence[Gauge], before: str) -> list[Gauge]:
    """Where there is no value now, the one from the text before: a time of what did not happen this time stays."""
    return [one if one.values else dataclasses.replace(one, values=_found(one.name, before)) for one in gauges]


def _lines(gauge: Gauge) -> list[str]:
    if not gauge.values:
        return []
    name = PREFIX + gauge.name
    shown = [f'{name}{{{gauge.label}="{_escaped(key)}"}}' if gauge.label else name for key in gauge.values]
    values = [f"{one} {value:.15g}" for one, value in zip(shown, gauge.values.values(), strict=True)]
    return [f"# HELP {name} {gauge.help}", f"# TYPE {name} gauge", *values]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _found(name: str, before: str) -> dict[str, float]:
    """Of gauges without a label."""
    found = re.search(rf"^{PREFIX}{re.escape(name)} ([0-9]+(\.[0-9]+)?)$", before, re.MULTILINE | re.ASCII)
    return {"": float(found[1])} if found else {}
