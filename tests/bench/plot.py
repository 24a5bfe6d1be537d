"""Plots of costs: both axes logarithmic, as SVG that stands by itself.

A line whose slope is one costs as much more as there is more to do. Colours are of the reader's
theme, lines differ by their marks as well, and what is shown is told in words to those who can't
see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path

import msgspec

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 52, 56
_KEY = 18
"""Pixels of a line of the key."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.a { color: #0550ae } .b { color: #a0410d } .c { color: #116329 }
.d { color: #8250df } .e { color: #57606a } .f { color: #a40e26 }
.line { stroke: currentColor } .mark { fill: currentColor }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .grid { stroke: #30363d } .back { fill: #0d1117 }
  .a { color: #79c0ff } .b { color: #ffa657 } .c { color: #7ee787 }
  .d { color: #d2a8ff } .e { color: #b1bac4 } .f { color: #ff9492 }
}
"""
_MARKS = (
    "M-4-4h8v8h-8z",
    "M0-5l5 5-5 5-5-5z",
    "M0-5l5 9h-10z",
    "M0 5l5-9h-10z",
    "M-5-1.5h10v3h-10zM-1.5-5h3v10h-3z",
    "M-2-5h4v10h-4z",
)


class Line(msgspec.Struct, frozen=True):
    """What one thing costs, by how much there is of something."""

    name: str
    points: list[tuple[float, float]]

    @property
    def slope(self) -> float:
        """By which power the cost grows at the end: from the last but one to the last point."""
        (x, y), (x_last, y_last) = self.points[-2:]
        return log10(y_last / y) / log10(x_last / x)


class Plot(msgspec.Struct, frozen=True):
    """A picture of lines; the units stand in the titles of the axes."""

    title: str
    x: str
    y: str
    lines: list[Line]

    def svg(self) -> str:
        key = len(self.lines) * _KEY
        height = _HEIGHT + key
        xs = _decades([x for line in self.lines for x, _ in line.points])
        ys = _decades([y for line in self.lines for _, y in line.points])
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

        def at(x: float, y: float) -> tuple[float, float]:
            across = (log10(x) - xs[0]) / (xs[-1] - xs[0])
            up = (log10(y) - ys[0]) / (ys[-1] - ys[0])
            return _LEFT + across * (right - _LEFT), bottom - up * (bottom - _TOP)

        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="desc">{escape(self.words())}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
            f'<text class="title" x="{_LEFT}" y="28">{escape(self.title)}</text>',
        ]
        for power in xs:
            across, _ = at(10**power, 10 ** ys[0])
            parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{bottom}"/>')
            parts.append(_text(across, bottom + 18, _number(10**power), "middle"))
        for power in ys:
            _, down = at(10 ** xs[0], 10**power)
            parts.append(f'<path class="grid" d="M{_LEFT} {down:.1f}H{right}"/>')
            parts.append(_text(_LEFT - 8, down + 4, _number(10**power), "end"))
        parts.append(_text((_LEFT + right) / 2, bottom + 40, self.x, "middle"))
        parts.append(_text(_LEFT, 46, self.y, "start"))
        for number, line in enumerate(self.lines):
            colour, mark = "abcdef"[number % 6], _MARKS[number % 6]
            places = [at(x, y) for x, y in line.points]
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            parts.append(f'<g class="{colour}"><path class="line" d="M{way}"/>')
            below = _HEIGHT + number * _KEY
            for x, y in [*places, (_LEFT + 4, below - 4)]:
                parts.append(
                    f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{mark}"/>'
                )
            parts.append("</g>" + _text(_LEFT + 18, below, line.name, "start"))
        return "\n".join([*parts, "</svg>", ""])

    def words(self) -> str:
        """What is to be seen, for those who can't see it."""
        told = [f"{self.y}, by {self.x}; both axes are logarithmic."]
        for line in self.lines:
            points = ", ".join(f"{_number(y)} at {_number(x)}" for x, y in line.points)
            told.append(f"{line.name}: {points}.")
        return " ".join(told)

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.svg(), encoding="utf-8")


def _decades(values: Sequence[float]) -> range:
    """Powers of ten around the values, two at the least."""
    low = floor(log10(min(values)) + 1e-9)
    high = ceil(log10(max(values)) - 1e-9)
    return range(low, max(high, low + 1) + 1)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Three digits, with thousands set apart."""
    short = float(f"{value:.3g}")
    return f"{short:,.0f}" if short >= 100 else f"{short:g}"
