"""Plain SVG of the sizes over the cycles. Pure but for the files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 24, 48
_LINES = (
    ("kept", "file", "never compacted: file", "#c2410c", ""),
    ("compacted", "file", "compacted: file", "#1d4ed8", ""),
    ("compacted", "used", "compacted: in use", "#1d4ed8", "4 4"),
)
_MEBIBYTE = 2**20

Samples = Mapping[str, Sequence[Mapping[str, Any]]]


def write(data: pathlib.Path) -> None:
    data.with_suffix(".svg").write_text(svg(json.loads(data.read_text())))


def svg(samples: Samples) -> str:
    cycles = max(one["cycles"] for run in samples.values() for one in run)
    top = _ceiling(max(one["file"] for run in samples.values() for one in run) / _MEBIBYTE)

    def place(one: Mapping[str, Any], size: str) -> tuple[float, float]:
        across = one["cycles"] / cycles * (_WIDTH - _LEFT - _RIGHT)
        return _LEFT + across, _up(one[size] / _MEBIBYTE / top)

    parts = [*_axes(cycles=cycles, top=top)]
    for index, (run, size, label, colour, dashes) in enumerate(_LINES):
        growing = [place(one, size) for one in samples[run] if not one["after"]]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in growing)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        parts += _legend(index, label, colour, dashed)
    parts += _maintained([one for one in samples["kept"] if one["after"]], place)
    view = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    style = 'font-family="system-ui, sans-serif" font-size="12" fill="#334155"'
    body = "\n".join(["<title>Size of etcd over create/delete cycles</title>", *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view} {style}>\n{_background()}\n{body}\n</svg>\n'


def _background() -> str:
    return f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'


def _axes(*, cycles: int, top: int) -> Iterator[str]:
    for step in range(5):
        y, value = _up(step / 4), top * step // 4
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e8f0"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value} MiB</text>'
        x = _LEFT + step / 4 * (_WIDTH - _LEFT - _RIGHT)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{cycles * step // 4}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">environments made and destroyed</text>'


def _legend(index: int, label: str, colour: str, dashed: str) -> Iterator[str]:
    x, y = _WIDTH - _RIGHT + 24, _TOP + 10 + 22 * index
    yield f'<line x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"{dashed}/>'
    yield f'<text x="{x + 28}" y="{y + 4}">{label}</text>'


def _maintained(samples: Sequence[Mapping[str, Any]], place: Any) -> Iterator[str]:
    """At the end of the run that was never compacted."""
    for one in samples:
        x, y = place(one, "file")
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#c2410c"/>'
        yield f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">after {one["after"]}</text>'


def _up(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _ceiling(size: float) -> int:
    """The next multiple of 20, so that four steps are whole numbers."""
    return max(20, -int(-size // 20) * 20)
