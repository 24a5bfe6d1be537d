"""Places on our grid for what stood on Grafana's, which has twice as many columns and rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pushsvc.dashboards.grafana.document import place_of
from pushsvc.dashboards.grafana.members import Fields
from pushsvc.dashboards.model import COLUMNS, Grid

_MOST_ROWS: Final = 9_999
_MOST_HEIGHT: Final = 100


def halved(panels: Iterable[Fields], top: int) -> list[Grid]:
    """The place of each, from the row `top` on; none lies on another."""
    places = [place_of(panel) for panel in panels]
    first = min((y for _, y, _, _ in places), default=0)
    found: dict[int, Grid] = {}
    for index in sorted(range(len(places)), key=lambda at: (places[at][1], places[at][0])):
        x, y, w, h = places[index]
        y -= first
        # Edges that were shared still are.
        left, right = _half(x), _half(x + w)
        above, below = _half(y), _half(y + h)
        width = max(1, right - left)
        left = min(left, COLUMNS - width)
        grid = Grid(left, top + above, width, max(1, min(below - above, _MOST_HEIGHT)))
        found[index] = _below(grid, found.values())
    return [found[index] for index in range(len(places))]


def bottom(grids: Sequence[Grid], top: int) -> int:
    """The row after the last one that is taken."""
    return max((grid.y + grid.h for grid in grids), default=top)


def _below(grid: Grid, others: Iterable[Grid]) -> Grid:
    """The same place, or the next one down that is free."""
    y = grid.y
    for other in sorted(others, key=lambda one: one.y):
        beside = other.x + other.w <= grid.x or grid.x + grid.w <= other.x
        if not beside and y < other.y + other.h and other.y < y + grid.h:
            y = other.y + other.h
    return Grid(grid.x, min(y, _MOST_ROWS), grid.w, grid.h)


def _half(value: int) -> int:
    return (value + 1) // 2
