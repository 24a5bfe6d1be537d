"""Applies Grafana's overrides, as far as they are for whole queries.

Grafana overrides fields of single lines, which it finds by their names. Here they are found by the
legend of their query: an override is taken where it is for all lines of a query or for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import re2

from pushsvc.dashboards.grafana.members import Fields, fields, items, regex_of, text, within
from pushsvc.dashboards.grafana.templating import Templating
from pushsvc.dashboards.model import Query
from pushsvc.dashboards.variables import check_asked
from pushsvc.errors import Problem

_LABEL: Final = re.compile(r"\{\{[^{}]*\}\}")
_SAMPLES: Final = ("", "a", "host-1.example:9100", "Zz_0")
"""Values that a label in a legend may have: a pattern has to match with each of them, or none."""
_FIELD_LABEL: Final = re.compile(r"\$\{__field\.labels\.(?:(\w+)|\[?\"([^\"]+)\"\]?)\}")
_OF_PANELS: Final = ("unit", "decimals", "min", "max", "thresholds", "mappings")
"""Properties that a panel has for all of its lines."""


class Overridden(msgspec.Struct):
    """A panel after its overrides."""

    panel: Fields
    queries: list[Query]
    left: list[str]
    """Properties that are overridden in Grafana only."""


def overridden(
    panel: Fields, queries: Sequence[Query], refs: Sequence[str], templating: Templating
) -> Overridden:
    """The panel and its queries, `refs` being Grafana's names of these, with its overrides."""
    found = Overridden(panel, list(queries), [])
    hidden: set[int] = set()
    left: set[str] = set()
    for matcher, properties in _overrides(panel):
        meant = _meant(matcher, queries, refs)
        for name, value in properties:
            if meant is None or not _apply(found, meant, name, value, templating, hidden):
                left.add(name)
    if hidden and len(hidden) < len(queries):
        found.queries = [one for at, one in enumerate(found.queries) if at not in hidden]
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
        shown = _FIELD_LABEL.sub(lambda match: f"{{{{{match[1] or match[2]}}}}}", shown)
        legend = templating.written(shown, strictly=False)[:200]
        for at in meant:
            found.queries[at] = msgspec.structs.replace(found.queries[at], legend=legend)
        return True
    if name in _OF_PANELS and len(meant) == len(found.queries):
        defaults = {**within(found.panel, "fieldConfig", "defaults"), name: value}
        config = {**fields(found.panel.get("fieldConfig")), "defaults": defaults}
        found.panel = {**found.panel, "fieldConfig": config}
        return True
    return False


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
