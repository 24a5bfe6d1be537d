"""A Grafana dashboard out of any of the files that it is exported to, and its panels in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pushsvc.dashboards.grafana.members import Fields, fields, items, number, text, within
from pushsvc.errors import Rejected

_COLUMNS: Final = 24
"""Of Grafana's grid."""
_SPANS: Final = 12
"""Of a row, in files from before the grid."""
_PIXELS: Final = 38
"""That a row of the grid takes, with what is between two of them."""


class Section(msgspec.Struct):
    """A row with a heading, and what stands below it; without one before the first row."""

    row: Fields | None
    panels: list[Fields]


def is_grafana(value: Any) -> bool:
    """Whether this is a file of Grafana's rather than anything else."""
    document = _unwrapped(value)
    return (
        _is_new(document)
        or any(name in document for name in ("schemaVersion", "templating", "__inputs", "rows"))
        or any("type" in panel for panel in items(document.get("panels")))
    )


def classic(value: Any) -> Fields:
    """The dashboard itself, whatever it is wrapped in. Raises Rejected for the schema that can't be
    read."""
    document = _unwrapped(value)
    if _is_new(document):
        raise Rejected(
            "grafana_v2",
            "this is Grafana's new schema (v2, with elements and a layout), which is not read: "
            "export it from Grafana as Classic (Export, Model: Classic), and import that",
        )
    return document


def _unwrapped(value: Any) -> Fields:
    """Out of what Grafana's API answers, or of a resource as Kubernetes has them."""
    document = fields(value)
    if isinstance(document.get("dashboard"), dict):
        document = document["dashboard"]
    version = text(document.get("apiVersion"))
    if version.startswith("dashboard.grafana.app/") and "/v2" not in version:
        return within(document, "spec")
    return document


def _is_new(document: Fields) -> bool:
    version = text(document.get("apiVersion"))
    return version.startswith("dashboard.grafana.app/v2") or isinstance(
        document.get("elements"), dict
    )


def sections_of(document: Fields) -> list[Section]:
    """The panels, row by row, each with a gridPos; rows that are folded are unfolded."""
    sections = [Section(None, [])]
    for panel in items(document.get("panels")):
        if panel.get("type") == "row":
            sections.append(Section(panel, items(panel.get("panels"))))
        else:
            sections[-1].panels.append(panel)
    for row in items(document.get("rows")):
        heading = row if row.get("showTitle") or row.get("collapse") else None
        sections.append(Section(heading, list(_in_spans(row))))
    return sections


def _in_spans(row: Fields) -> Iterator[Fields]:
    """The panels of an old row, side by side, as far as there is room."""
    height = max(1, round((number(text(row.get("height")).removesuffix("px")) or 250) / _PIXELS))
    x = y = 0
    for panel in items(row.get("panels")):
        width = min(_SPANS, max(1, round(number(panel.get("span")) or _SPANS / 2)))
        if x + width > _SPANS:
            x, y = 0, y + height
        place = {"x": x * 2, "y": y, "w": width * 2, "h": height}
        yield {**panel, "gridPos": place}
        x += width


def place_of(panel: Fields) -> tuple[int, int, int, int]:
    """x, y, width and height on Grafana's grid, within it."""
    given = fields(panel.get("gridPos"))
    numbers = [number(given.get(name)) for name in "xywh"]
    x, y, w, h = (
        default if value is None else int(max(-1e6, min(1e6, value)))
        for value, default in zip(numbers, (0, 0, 12, 8), strict=True)
    )
    x = max(0, min(x, _COLUMNS - 1))
    return x, max(0, y), max(1, min(w, _COLUMNS - x)), max(1, h)
