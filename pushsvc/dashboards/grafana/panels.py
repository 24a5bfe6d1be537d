"""Converts one panel of Grafana to one of ours."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET

from pushsvc.dashboards.grafana.appearance.levels import levels_of
from pushsvc.dashboards.grafana.appearance.links import links_of
from pushsvc.dashboards.grafana.appearance.mappings import mappings_of
from pushsvc.dashboards.grafana.appearance.overrides import overridden
from pushsvc.dashboards.grafana.appearance.units import unit_of
from pushsvc.dashboards.grafana.members import Fields, fields, items, number, text, within
from pushsvc.dashboards.grafana.queries import queries_of
from pushsvc.dashboards.grafana.remarks import Remarks
from pushsvc.dashboards.grafana.sources import Sources
from pushsvc.dashboards.grafana.templating import Templating, is_plain
from pushsvc.dashboards.model import Panel, check_panel
from pushsvc.errors import Problem

_KINDS: Final = {
    "timeseries": "line",
    "graph": "line",
    "stat": "stat",
    "singlestat": "stat",
    "gauge": "gauge",
    "bargauge": "bars",
    "table": "table",
    "table-old": "table",
    "heatmap": "heatmap",
    "state-timeline": "timeline",
    "status-history": "timeline",
    "text": "text",
    "barchart": "bars",
    "piechart": "pie",
    "grafana-piechart-panel": "pie",
}
_REDUCED: Final = ("stat", "gauge", "bargauge", "singlestat", "piechart")
"""Those that show one value of each line."""
_DENSE: Final = 50
"""A panel with a fill opacity of at least this many percent becomes an area, otherwise a line."""
_NEWEST: Final = ("last", "lastNotNull", "current", "")
_LOST: Final = re.compile(
    r"<(?:style|script|iframe|form|input|svg|video|object|embed)\b|\sstyle\s*=", re.IGNORECASE
)
"""What of HTML the page doesn't show."""
_BUCKETS: Final = re.compile(r"\bby\s*\([^)]*\ble\b")


def panel_of(
    given: Fields,
    id_: str,
    sources: Sources,
    templating: Templating,
    remarks: Remarks,
) -> Panel | None:
    """The panel, without its place; None if nothing of it could be converted.

    Parts that could not be converted are noted in `remarks`.
    """
    kind = text(given.get("type"))
    title = templating.written(text(given.get("title")), strictly=False)[:200]
    where = title or f"panel {text(given.get('id')) or given.get('id', id_)}"
    ours = _KINDS.get(kind)
    if ours is None:
        what = f"a panel of the kind {kind}" if kind else "a panel from Grafana's library"
        remarks.add(where, f"{what}, which there is none of here")
        return None
    description = text(given.get("description"))[:2000]
    common: dict[str, Any] = {
        "id": id_,
        "title": title or UNSET,
        "description": description or UNSET,
    }
    links, lost = links_of(given.get("links"), templating)
    common["links"] = tuple(links) or UNSET
    for reason in lost:
        remarks.add(where, reason, id_)
    common["repeat"] = templating.repeated(given, where, remarks, id_)
    if common["repeat"] is not UNSET:
        across = number(given.get("maxPerRow")) or 4
        down = given.get("repeatDirection") == "v"
        common["across"] = 1 if down else int(min(12, max(1, across)))
    if ours == "text":
        return _of_text(given, where, common, templating, remarks)
    queries = queries_of(given, sources, templating)
    if not queries.taken:
        for reason in queries.reasons or ["it asks for nothing"]:
            remarks.add(where, f"all of it: {reason}")
        return None
    changed = overridden(given, queries.taken, queries.refs, templating)
    given, (first, *others) = changed.panel, changed.queries
    reasons = [*queries.reasons, *_lost(given, kind)]
    if changed.left:
        reasons.append(f"overrides for some of its lines ({', '.join(changed.left)})")
    min_, max_ = _bounds(given, kind)
    if min_ is not None and max_ is not None and min_ >= max_:
        min_ = max_ = None
    levels = levels_of(given, min_, max_)
    if levels.reason:
        reasons.append(levels.reason)
    mappings, unmapped = mappings_of(given)
    reasons += unmapped
    data_links, unled = links_of(within(given, "fieldConfig", "defaults").get("links"), templating)
    reasons += unled
    unit = _unit(given, kind)
    ours_unit = None if unit == "" else unit_of(unit)
    if unit and ours_unit is None:
        reasons.append(f"the unit {unit}")
    plain = any(is_plain(one.select) for one in changed.queries)
    buckets = ours == "heatmap" and all(_BUCKETS.search(one.select) for one in changed.queries)
    made = Panel(
        **common,
        kind=_kind(given, kind, ours),  # type: ignore[arg-type]
        select=first.select,
        legend=first.legend,
        also=tuple(others) or UNSET,
        unit=UNSET if ours_unit is None else ours_unit,
        thresholds=tuple(levels.thresholds) or UNSET,
        **_drawing(given, kind),
        data_links=tuple(data_links) or UNSET,
        mappings=tuple(mappings) or UNSET,
        lines=tuple(changed.lines) or UNSET,
        min=UNSET if min_ is None else min_,
        max=UNSET if max_ is None else max_,
        decimals=_decimals(given, kind),
        # Grafana draws the values of a counter as they are.
        rate=False if plain else UNSET,
        by="le" if buckets else UNSET,
    )
    for reason in reasons:
        remarks.add(where, reason, id_)
    try:
        check_panel(made, templating.variables, 0)
    except Problem as problem:
        remarks.add(where, f"all of it: {problem.detail}")
        return None
    return made


def _of_text(
    given: Fields, where: str, common: dict[str, Any], templating: Templating, remarks: Remarks
) -> Panel | None:
    options = fields(given.get("options"))
    mode = text(options.get("mode")) or text(given.get("mode")) or "markdown"
    content = text(options.get("content")) or text(given.get("content"))
    if mode == "html":
        # It is the same in Markdown where no line is empty or indented.
        content = "\n".join(filter(None, map(str.strip, content.splitlines())))
        if _LOST.search(content) is not None:
            remarks.add(where, "its HTML: without looks, scripts and frames", common["id"])
    elif mode == "code":
        content = f"~~~\n{content}\n~~~"
    written = templating.written(content, strictly=False)
    if len(written) > 20_000:
        remarks.add(where, "its text beyond 20,000 characters", common["id"])
    if not written and common["title"] is UNSET:
        remarks.add(where, "all of it: there is no text in it")
        return None
    return Panel(**common, kind="text", text=written[:20_000] or UNSET)


def _kind(given: Fields, kind: str, ours: str) -> str:
    """Our kind of panel; for some of Grafana's it also depends on their options."""
    if kind == "timeseries":
        custom = within(given, "fieldConfig", "defaults", "custom")
        if within(custom, "stacking").get("mode") in ("normal", "percent"):
            return "stacked"
        return "area" if (number(custom.get("fillOpacity")) or 0) >= _DENSE else "line"
    if kind == "graph":
        if given.get("stack") is True:
            return "stacked"
        return "area" if (number(given.get("fill")) or 0) * 10 >= _DENSE else "line"
    if kind == "singlestat" and within(given, "gauge").get("show") is True:
        return "gauge"
    return ours


def _style(given: Fields, kind: str) -> str:
    """How the lines of a chart are drawn; empty for lines."""
    if kind == "graph":
        if given.get("steppedLine") is True:
            return "steps"
        if given.get("bars") is True:
            return "bars"
        return "points" if given.get("points") is True and given.get("lines") is False else ""
    custom = within(given, "fieldConfig", "defaults", "custom")
    style = text(custom.get("drawStyle"))
    stepped = text(custom.get("lineInterpolation")) in ("stepBefore", "stepAfter")
    return "steps" if stepped and style in ("", "line") else style.replace("line", "")


def _drawing(given: Fields, kind: str) -> dict[str, Any]:
    """How a chart is drawn: its style, its axis, its thresholds."""
    if kind not in ("timeseries", "graph"):
        return {}
    custom = within(given, "fieldConfig", "defaults", "custom")
    if kind == "graph":
        log = (number(_axis(given).get("logBase")) or 1) != 1
        percent = given.get("percentage") is True
        areas = any(one.get("fill") is True for one in items(given.get("thresholds")))
    else:
        log = within(custom, "scaleDistribution").get("type") == "log"
        percent = within(custom, "stacking").get("mode") == "percent"
        areas = "area" in text(within(custom, "thresholdsStyle").get("mode"))
    if _kind(given, kind, "") == "stacked":
        return {"percent": percent or UNSET}
    style = _style(given, kind)
    return {
        "style": style if style in ("points", "steps", "bars") else UNSET,
        "log": log or UNSET,
        "areas": areas or UNSET,
    }


def _axis(given: Fields) -> Fields:
    """The left axis of an old graph."""
    axes = items(given.get("yaxes"))
    return axes[0] if axes else {}


def _bounds(given: Fields, kind: str) -> tuple[float | None, float | None]:
    if kind == "graph":
        axis = _axis(given)
        return number(axis.get("min")), number(axis.get("max"))
    if kind == "singlestat":
        gauge = fields(given.get("gauge"))
        if gauge.get("show") is not True:
            return None, None
        return number(gauge.get("minValue")), number(gauge.get("maxValue"))
    defaults = within(given, "fieldConfig", "defaults")
    return number(defaults.get("min")), number(defaults.get("max"))


def _unit(given: Fields, kind: str) -> str:
    if kind == "graph":
        return text(_axis(given).get("format"))
    if kind == "singlestat":
        return text(given.get("format"))
    return text(within(given, "fieldConfig", "defaults").get("unit"))


def _decimals(given: Fields, kind: str) -> int | msgspec.UnsetType:
    if kind in ("graph", "singlestat"):
        found = number(_axis(given).get("decimals") if kind == "graph" else given.get("decimals"))
    else:
        found = number(within(given, "fieldConfig", "defaults").get("decimals"))
    return int(found) if found is not None and 0 <= found <= 10 else UNSET


def _lost(given: Fields, kind: str) -> list[str]:
    """The features of a panel, other than queries, that have no counterpart."""
    options = fields(given.get("options"))
    found = []
    transformations = [text(one.get("id")) for one in items(given.get("transformations"))]
    if transformations:
        found.append(f"transformations ({', '.join(sorted(set(transformations)))})")
    calcs = within(options, "reduceOptions").get("calcs")
    calc = calcs[0] if isinstance(calcs, list) and calcs else given.get("valueName")
    if kind in _REDUCED and text(calc) not in _NEWEST:
        found.append(f"its value, the {text(calc)}: it is the newest")
    style = _style(given, kind)
    if style in ("bars", "points") and _kind(given, kind, "") == "stacked":
        found.append(f"its {style}: they are areas")
    for name, what in (
        ("alert", "its alert"),
        ("timeFrom", "a time of its own"),
        ("timeShift", "a time of its own"),
    ):
        if given.get(name):
            found.append(what)
    if kind == "heatmap" and options.get("calculate") is True:
        found.append("its buckets, worked out from values: it has a row for each line")
    return list(dict.fromkeys(found))
