"""Converts places on Grafana's grid to ours: Grafana's has twice as many columns and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pushsvc.dashboards.grafana.document import place_of
from pushsvc.dashboards.grafana.members import Fields
from pushsvc.dashboards.model import COLUMNS, Grid

_MOST_ROWS: Final = 9_999
_MOST_HEIGHT: Final = 100


def halved(panels: Iterable[Fields], top: int) -> list[Grid]:
    """The place of each panel, from row `top` down; no two overlap.

    As in Grafana, each panel moves up as far as possible: files contain gaps that Grafana doesn't
    show.
    """
    places = [place_of(panel) for panel in panels]
    found: dict[int, Grid] = {}
    for index in sorted(range(len(places)), key=lambda at: (places[at][1], places[at][0])):
        x, _, w, h = places[index]
        # Both edges are halved, so that panels that touched still do.
        left, right = _half(x), _half(x + w)
        width = max(1, right - left)
        left = min(left, COLUMNS - width)
        above = [
            other.y + other.h
            for other in found.values()
            if other.x < left + width and left < other.x + other.w
        ]
        y = min(max(above, default=top), _MOST_ROWS)
        found[index] = Grid(left, y, width, min(_half(h), _MOST_HEIGHT))
    return [found[index] for index in range(len(places))]


def bottom(grids: Sequence[Grid], top: int) -> int:
    """The row after the last one in use."""
    return max((grid.y + grid.h for grid in grids), default=top)


def _half(value: int) -> int:
    return (value + 1) // 2
