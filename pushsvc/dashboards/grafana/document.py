"""Finds the Grafana dashboard in any form of exported file, and its panels in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pushsvc.dashboards.grafana.members import Fields, fields, items, number, text, within
from pushsvc.errors import Rejected

_COLUMNS: Final = 24
"""The columns of Grafana's grid."""
_SPANS: Final = 12
"""The width of a row in files from before the grid."""
_PIXELS: Final = 38
"""The height of a grid row, with the gap to the next one."""


class Section(msgspec.Struct):
    """A row with its heading, and the panels below it; `row` is None for panels before the first
    row."""

    row: Fields | None
    panels: list[Fields]


def is_grafana(value: Any) -> bool:
    """Whether this is a file from Grafana."""
    document = _unwrapped(value)
    return (
        _is_new(document)
        or any(name in document for name in ("schemaVersion", "templating", "__inputs", "rows"))
        or any("type" in panel for panel in items(document.get("panels")))
    )


def classic(value: Any) -> Fields:
    """The dashboard itself, without any wrapping. Raises Rejected for Grafana's new schema, which
    can't be read."""
    document = _unwrapped(value)
    if _is_new(document):
        raise Rejected(
            "grafana_v2",
            "this is Grafana's new schema (v2, with elements and a layout), which is not read: "
            "export it from Grafana as Classic (Export, Model: Classic), and import that",
        )
    return document


def _unwrapped(value: Any) -> Fields:
    """The dashboard inside an answer of Grafana's API, or inside a resource in the form of
    Kubernetes."""
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
    """The panels, row by row, each with a gridPos."""
    sections = [Section(None, [])]
    for panel in items(document.get("panels")):
        if panel.get("repeatPanelId") is not None:
            continue  # a copy that was saved with the one that is repeated
        if panel.get("type") == "row":
            sections.append(Section(panel, items(panel.get("panels"))))
        else:
            sections[-1].panels.append(panel)
    for row in items(document.get("rows")):
        heading = row if row.get("showTitle") or row.get("collapse") else None
        sections.append(Section(heading, list(_in_spans(row))))
    return sections


def _in_spans(row: Fields) -> Iterator[Fields]:
    """The panels of an old row, side by side, wrapped when the width is full."""
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
