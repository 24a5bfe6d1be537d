"""Converts Grafana's thresholds, which have colours, to ours, which have levels."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from pushsvc.dashboards.grafana.appearance.colours import channels
from pushsvc.dashboards.grafana.members import Fields, fields, items, number, text, within
from pushsvc.dashboards.model import Threshold

Level = Literal["warning", "critical"]
_MOST: Final = 16
_RED: Final = 18
"""A hue within this many degrees of 0, on either side, is red."""
_YELLOW: Final = 75
"""From there up to this many degrees, a hue is orange or yellow."""


class Levels(msgspec.Struct):
    """The thresholds of a panel, and which of them could not be converted."""

    thresholds: list[Threshold]
    reason: str = ""


def levels_of(panel: Fields, least: float | None, most: float | None) -> Levels:
    """The thresholds that a panel shows. Files also have thresholds for panels that don't show
    them."""
    kind = text(panel.get("type"))
    defaults = within(panel, "fieldConfig", "defaults")
    if kind == "graph":
        return _of_graph(panel)
    if kind == "singlestat":
        return _of_singlestat(panel)
    if kind == "timeseries":
        style = text(within(defaults, "custom", "thresholdsStyle").get("mode"))
        if style in ("", "off"):
            return Levels([])
    elif within(defaults, "color").get("mode") not in (None, "thresholds"):
        return Levels([])
    if kind == "stat" and within(panel, "options").get("colorMode") == "none":
        return Levels([])
    given = fields(defaults.get("thresholds"))
    steps = [(number(step.get("value")), step.get("color")) for step in items(given.get("steps"))]
    if given.get("mode") == "percentage":
        if least is None or most is None:
            return Levels([], "thresholds in percent of a scale that has no ends")
        scale = (most - least) / 100
        steps = [(None if at is None else least + at * scale, colour) for at, colour in steps]
    return _rising([(at, level_of(colour)) for at, colour in steps])


def _rising(steps: Sequence[tuple[float | None, Level | None]]) -> Levels:
    """The thresholds of rising steps: those before the first normal one hold below the next one's
    value, those after it from their own on. Others can't be converted."""
    levels = [level for _, level in steps]
    normal = levels.index(None) if None in levels else 0
    rest = steps[normal + 1 :] if None in levels else steps
    found = [
        Threshold(at, level, below=True)
        for level, (at, _) in zip(levels[:normal], steps[1 : normal + 1], strict=True)
        if level is not None and at is not None
    ]
    for at, level in rest:
        if level is None or at is None:
            return Levels([], "thresholds between which values are normal, or of all values")
        found.append(Threshold(at, level))
    return Levels(found[:_MOST])


def _of_graph(panel: Fields) -> Levels:
    found, others = [], False
    for one in items(panel.get("thresholds")):
        at, level = number(one.get("value")), one.get("colorMode")
        below = one.get("op") == "lt"
        if at is not None and level in ("warning", "critical"):
            found.append(Threshold(at, level, below=below))
        else:
            others = True
    reason = "thresholds of colours of one's own" if others else ""
    return Levels(sorted(found, key=lambda one: one.at)[:_MOST], reason)


def _of_singlestat(panel: Fields) -> Levels:
    coloured = ("colorValue", "colorBackground")
    if not (any(panel.get(name) for name in coloured) or within(panel, "gauge").get("show")):
        return Levels([])
    given = panel.get("colors")
    colours = given if isinstance(given, list) else []
    ats = [number(part) for part in text(panel.get("thresholds")).split(",") if part.strip()]
    return _rising(list(zip([None, *ats], map(level_of, colours), strict=False)))


def level_of(colour: object) -> Level | None:
    """The level of a colour: red is critical, orange and yellow are a warning."""
    name = text(colour).lower()
    for word, level in (("red", "critical"), ("orange", "warning"), ("yellow", "warning")):
        if word in name:
            return level  # type: ignore[return-value]
    parts = channels(name)
    if parts is None:
        return None
    hue, lightness, saturation = colorsys.rgb_to_hls(*parts)
    degrees = hue * 360
    if saturation < 0.25 or not 0.1 < lightness < 0.95:
        return None
    if degrees <= _RED or degrees >= 360 - _RED:
        return "critical"
    return "warning" if degrees <= _YELLOW else None
