"""Applies Grafana's overrides of single lines, as far as lines here have these properties.

Grafana finds lines by their names. What is of a query here, such as that it isn't shown, is taken
where an override is for all lines of a query or for none, by their legend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import re2
from msgspec import UNSET

from pushsvc.dashboards.grafana.appearance.colours import colour_of
from pushsvc.dashboards.grafana.appearance.units import unit_of
from pushsvc.dashboards.grafana.members import (
    Fields,
    fields,
    items,
    number,
    regex_of,
    text,
    within,
)
from pushsvc.dashboards.grafana.templating import Templating
from pushsvc.dashboards.model import Line, Query, line_fault
from pushsvc.dashboards.variables import check_asked
from pushsvc.errors import Problem

_LABEL: Final = re.compile(r"\{\{[^{}]*\}\}")
_SAMPLES: Final = ("", "a", "host-1.example:9100", "Zz_0")
"""Values that a label in a legend may have: a pattern has to match with each of them, or none."""
_FIELD_LABEL: Final = re.compile(r"\$\{__field\.labels\.(?:(\w+)|\[?\"([^\"]+)\"\]?)\}")
_OF_PANELS: Final = ("unit", "decimals", "min", "max", "thresholds", "mappings")
"""Properties that a panel has for all of its lines."""
_OWN: Final = ("title", "unit", "decimals", "colour")
_MOST_LINES: Final = 64


class Overridden(msgspec.Struct):
    """A panel after its overrides."""

    panel: Fields
    queries: list[Query]
    lines: list[Line]
    """What single lines have of their own."""
    left: list[str]
    """Properties that are overridden in Grafana only."""


def overridden(
    panel: Fields, queries: Sequence[Query], refs: Sequence[str], templating: Templating
) -> Overridden:
    """The panel and its queries, `refs` being Grafana's names of these, with its overrides."""
    found = Overridden(panel, list(queries), [], [])
    hidden: set[int] = set()
    left: set[str] = set()
    for matcher, properties in _overrides(panel):
        meant = _meant(matcher, queries, refs)
        for name, value in properties:
            if meant is not None and _apply(found, meant, name, value, templating, hidden):
                continue
            if not _apply_to_lines(found, matcher, meant, name, value, templating):
                left.add(name)
    if hidden and len(hidden) < len(queries):
        _leave_out(found, hidden)
    elif hidden:
        left.add("custom.hideFrom")
    found.left = sorted(left)
    return found


def _overrides(panel: Fields) -> list[tuple[Fields, list[tuple[str, object]]]]:
    """The matchers of a panel and what they override; those of old graphs in today's words."""
    found: list[tuple[Fields, list[tuple[str, object]]]] = []
    for one in items(within(panel, "fieldConfig").get("overrides")):
        properties = [
            (text(each.get("id")), each.get("value")) for each in items(one.get("properties"))
        ]
        found.append((fields(one.get("matcher")), properties))
    if panel.get("type") == "graph":
        for one in items(panel.get("seriesOverrides")):
            alias = text(one.get("alias"))
            id_ = "byRegexp" if alias.startswith("/") else "byName"
            properties = [
                ("custom.transform" if name == "transform" else name, value)
                for name, value in one.items()
                if name not in ("alias", "$$hashKey")
            ]
            found.append(({"id": id_, "options": alias}, properties))
        for name, colour in fields(panel.get("aliasColors")).items():
            found.append(({"id": "byName", "options": name}, [("color", colour)]))
    return found


def _meant(matcher: Fields, queries: Sequence[Query], refs: Sequence[str]) -> list[int] | None:
    """The queries whose lines a matcher is for; None if that is for some lines of a query, or
    can't be known."""
    kind, options = text(matcher.get("id")), matcher.get("options")
    if kind == "byFrameRefID":
        return [at for at, ref in enumerate(refs) if ref == options] or None
    judge = _judge(kind, options)
    if judge is None:
        return None
    meant = []
    for at, (query, ref) in enumerate(zip(queries, refs, strict=True)):
        legend = query.legend if isinstance(query.legend, str) else f"Value #{ref}"
        parts = _LABEL.split(legend)
        judged = {judge(sample.join(parts)) for sample in _SAMPLES}
        if len(judged) > 1:
            return None
        if judged == {True}:
            meant.append(at)
    return meant or None


def _judge(kind: str, options: object) -> Callable[[str], bool] | None:
    """Whether a matcher is for a line of a name; None if names don't tell."""
    if kind == "byRegexp":
        return _pattern(text(options))
    if kind == "byName":
        return lambda name: name == options
    if kind == "byNames":
        names = fields(options).get("names")
        listed = names if isinstance(names, list) else []
        excluded = fields(options).get("mode") == "exclude"
        return lambda name: (name in listed) != excluded
    return None


def _pattern(given: str) -> Callable[[str], bool] | None:
    """Whether a text has a match of a regular expression, which is written as Grafana does."""
    try:
        found = re2.compile(regex_of(given))
    except re2.error:
        return None

    def judge(name: str) -> bool:
        return found.search(name) is not None

    return judge


def _apply(
    found: Overridden,
    meant: list[int],
    name: str,
    value: object,
    templating: Templating,
    hidden: set[int],
) -> bool:
    """Whether a property could be overridden."""
    if name == "custom.hideFrom" and fields(value).get("viz") is True:
        hidden.update(meant)
        return True
    if name == "custom.transform" and value == "negative-Y":
        return all(_negate(found, at, templating) for at in meant)
    if name == "displayName" and (shown := text(value)):
        legend = _titled(shown, templating)
        for at in meant:
            found.queries[at] = msgspec.structs.replace(found.queries[at], legend=legend)
        return True
    if name in _OF_PANELS and len(meant) == len(found.queries):
        defaults = {**within(found.panel, "fieldConfig", "defaults"), name: value}
        config = {**fields(found.panel.get("fieldConfig")), "defaults": defaults}
        found.panel = {**found.panel, "fieldConfig": config}
        return True
    return False


def _apply_to_lines(
    found: Overridden,
    matcher: Fields,
    meant: list[int] | None,
    name: str,
    value: object,
    templating: Templating,
) -> bool:
    """Whether lines could have a property of their own."""
    own = _own(name, value, templating)
    those = _those(matcher, meant, templating)
    if own is None or not those:
        return False
    lines = [Line(**one, **own) for one in those]
    if any(map(line_fault, lines)) or len(found.lines) + len(lines) > _MOST_LINES:
        return False
    for line in lines:
        _add(found.lines, line)
    return True


def _own(name: str, value: object, templating: Templating) -> dict[str, Any] | None:
    """What of a line is overridden; None for what lines here don't have."""
    if name == "color":
        mode = fields(value).get("mode")
        given = value if isinstance(value, str) else fields(value).get("fixedColor")
        colour = colour_of(given) if mode in (None, "fixed", "shades") else None
        return None if colour is None else {"colour": colour}
    if name == "unit":
        unit = unit_of(text(value))
        return None if unit is None else {"unit": unit}
    if name == "decimals":
        digits = number(value)
        return {"decimals": int(digits)} if digits is not None and 0 <= digits <= 10 else None
    if name == "displayName" and text(value):
        return {"title": _titled(text(value), templating)}
    return None


def _those(
    matcher: Fields, meant: list[int] | None, templating: Templating
) -> list[dict[str, Any]]:
    """The lines that a matcher is for: of queries, or by name."""
    if meant is not None:
        return [{"query": at + 1} for at in meant]
    kind, options = text(matcher.get("id")), matcher.get("options")
    names = fields(options).get("names") if kind == "byNames" else [options]
    if kind == "byRegexp":
        return [{"regex": regex_of(text(options))}]
    if kind in ("byName", "byNames") and fields(options).get("mode") != "exclude":
        listed = names if isinstance(names, list) else []
        found = [templating.written(text(one), strictly=False) for one in listed]
        # Lines without a legend are called by all of their labels there, and otherwise here.
        return [{"name": one[:200]} for one in found if one and "=" not in one]
    return []


def _add(lines: list[Line], line: Line) -> None:
    """Add what a line has of its own to what the line before has, if that is the same."""
    if lines and all(
        getattr(lines[-1], name) == getattr(line, name) for name in ("query", "name", "regex")
    ):
        own = {name: one for name in _OWN if (one := getattr(line, name)) is not UNSET}
        lines[-1] = msgspec.structs.replace(lines[-1], **own)
    else:
        lines.append(line)


def _leave_out(found: Overridden, hidden: set[int]) -> None:
    """Leave out the queries that are hidden; others have their numbers then."""
    rest = [at for at in range(len(found.queries)) if at not in hidden]
    found.queries = [found.queries[at] for at in rest]
    numbers = {at + 1: number for number, at in enumerate(rest, 1)}
    found.lines = [
        line if line.query is UNSET else msgspec.structs.replace(line, query=numbers[line.query])
        for line in found.lines
        if line.query is UNSET or line.query in numbers
    ]


def _titled(shown: str, templating: Templating) -> str:
    """The name that is overridden, with labels as a legend here has them."""
    shown = _FIELD_LABEL.sub(lambda match: f"{{{{{match[1] or match[2]}}}}}", shown)
    return templating.written(shown, strictly=False)[:200]


def _negate(found: Overridden, at: int, templating: Templating) -> bool:
    """Whether the lines of a query could be drawn downwards."""
    select = f"-({found.queries[at].select})"
    try:
        if len(select) > 4096:
            return False
        check_asked(select, templating.variables, "query")
    except Problem:
        return False
    found.queries[at] = msgspec.structs.replace(found.queries[at], select=select)
    return True
