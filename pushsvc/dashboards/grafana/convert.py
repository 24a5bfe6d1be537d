"""Turns a file from Grafana, or one of our own, into a dashboard."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pushsvc.core.model.duration import parse_duration
from pushsvc.dashboards.grafana.document import Section, classic, is_grafana, sections_of
from pushsvc.dashboards.grafana.layout import bottom, halved
from pushsvc.dashboards.grafana.members import Fields, fields, items, text, within
from pushsvc.dashboards.grafana.panels import panel_of
from pushsvc.dashboards.grafana.remarks import LeftOut, Remarks
from pushsvc.dashboards.grafana.sources import Sources
from pushsvc.dashboards.grafana.templating import Templating
from pushsvc.dashboards.model import (
    COLUMNS,
    MOST_BYTES,
    MOST_PANELS,
    Dashboard,
    Grid,
    Panel,
    read,
    write,
)
from pushsvc.errors import Malformed, Problem, Rejected

MOST_IMPORTED_BYTES: Final = 2 * 1024 * 1024
"""The most bytes of an imported file: much of what Grafana writes is not used here."""
_LONGEST: Final = 6 * 3600
"""The longest window of a page, in seconds."""


class Imported(msgspec.Struct, frozen=True):
    """A dashboard, and what its file had that it hasn't."""

    source: Annotated[
        Literal["grafana", "pushsvc"], Meta(description="What the file was made with.")
    ]
    dashboard: Dashboard
    panels: Annotated[int, Meta(description="That the file has, headings of rows not counted.")]
    taken: Annotated[int, Meta(description="Of these, that the dashboard has.")]
    left_out: list[LeftOut]


def take_in(body: bytes) -> Imported:
    """The dashboard in a file: one of our own, or one of Grafana in its classic schema.

    Raises Malformed if it isn't JSON, Rejected if it isn't a dashboard, or one that can't be read.
    """
    if len(body) > MOST_IMPORTED_BYTES:
        raise Rejected("size", f"the file is larger than {MOST_IMPORTED_BYTES} bytes")
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("json", f"the file is no JSON: {error}") from None
    if not is_grafana(value):
        dashboard = read(body)
        count = len(dashboard.panels)
        return Imported("pushsvc", dashboard, count, count, [])
    return _converted(classic(value))


def _converted(document: Fields) -> Imported:
    remarks = Remarks()
    sources = Sources(document)
    templating = Templating(document, sources, remarks)
    elements = fields(document.get("__elements"))
    sections = sections_of(document)
    panels: list[Panel] = []
    top, count, taken = 0, 0, 0
    for section in sections:
        section.panels = [_from_library(one, elements) for one in section.panels]
        count += len(section.panels)
        if section.row is not None:
            panels.append(_heading(section, len(panels), top, templating, remarks))
            top += 1
        made: list[tuple[Fields, Panel]] = []
        for given in section.panels:
            id_ = f"p{len(panels) + len(made) + 1}"
            panel = panel_of(given, id_, sources, templating, remarks)
            if panel is not None:
                made.append((given, panel))
        grids = halved((given for given, _ in made), top)
        top = bottom(grids, top)
        taken += len(made)
        panels += [
            msgspec.structs.replace(panel, grid=grid)
            for (_, panel), grid in zip(made, grids, strict=True)
        ]
    if len(panels) > MOST_PANELS:
        for panel in panels[MOST_PANELS:]:
            where = panel.id if panel.title is UNSET else panel.title
            remarks.add(where, f"all of it: a dashboard has {MOST_PANELS} panels at the most")
            taken -= panel.kind != "row"
    _note_rest(document, remarks)
    dashboard = Dashboard(
        title=text(document.get("title"))[:200] or "Imported dashboard",
        description=text(document.get("description"))[:2000] or UNSET,
        window=_window(document, remarks),
        variables=templating.variables or UNSET,
        panels=tuple(panels[:MOST_PANELS]),
    )
    return Imported("grafana", _checked(dashboard), count, taken, remarks.listed())


def _checked(dashboard: Dashboard) -> Dashboard:
    """The dashboard as it would be saved: a converted one is checked like any other."""
    body = write(dashboard)
    if len(body) > MOST_BYTES:
        raise Rejected(
            "size", f"the dashboard is larger than {MOST_BYTES} bytes: leave out some of its panels"
        )
    return read(body)


def _heading(
    section: Section, index: int, top: int, templating: Templating, remarks: Remarks
) -> Panel:
    row = section.row or {}
    title = templating.written(text(row.get("title")), strictly=False)[:200] or "…"
    id_ = f"p{index + 1}"
    folded = row.get("collapsed") is True or row.get("collapse") is True
    return Panel(
        id=id_,
        kind="row",
        title=title,
        collapsed=folded or UNSET,
        repeat=templating.repeated(row, title, remarks, id_),
        grid=Grid(0, top, COLUMNS, 1),
    )


def _from_library(panel: Fields, elements: Fields) -> Fields:
    """The panel itself; for a panel of Grafana's library its model, if the file contains it."""
    uid = text(within(panel, "libraryPanel").get("uid"))
    model = within(elements, uid, "model") or within(panel, "libraryPanel", "model")
    return {**model, "gridPos": panel.get("gridPos")} if uid and model else panel


def _window(document: Fields, remarks: Remarks) -> str | UnsetType:
    """The initial window, if the dashboard's time range ends now."""
    time = fields(document.get("time"))
    start = text(time.get("from"))
    if not start:
        return UNSET
    try:
        if not start.startswith("now-") or text(time.get("to")) not in ("now", ""):
            raise Rejected("window", "it isn't up to now")
        seconds = parse_duration(start.removeprefix("now-"), "window")
    except Problem:
        remarks.add("dashboard", f"its time, {start} to {text(time.get('to'))}: it is live")
        return UNSET
    if seconds > _LONGEST:
        remarks.add(
            "dashboard", f"its time, {start.removeprefix('now-')}: 6h are shown at the most"
        )
        return "6h"
    return start.removeprefix("now-") if seconds >= 5 else UNSET


def _note_rest(document: Fields, remarks: Remarks) -> None:
    """Note what else the dashboard has: annotations, links and tags."""
    own = [
        one
        for one in items(within(document, "annotations").get("list"))
        if one.get("builtIn") not in (1, True)
    ]
    if own:
        names = ", ".join(text(one.get("name")) or "?" for one in own)
        remarks.add("dashboard", f"its annotations ({names})")
    if items(document.get("links")):
        remarks.add("dashboard", "its links")
    if items(document.get("tags")) or document.get("tags"):
        remarks.add("dashboard", "its tags")
