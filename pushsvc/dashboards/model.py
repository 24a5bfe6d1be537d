"""The format of a dashboard: panels on a grid, as JSON.

Parsing is strict, so that a mistake is reported when a dashboard is saved and not when it is shown:
unknown members, selectors and expressions that can't be parsed, and panels outside the grid are
errors. `web/src/panels/model.ts` has the same panel for the page; a test keeps the two in step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import re2
from msgspec import UNSET, Meta, UnsetType

from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import shorten
from pushsvc.dashboards.variables import Variable, check_asked, check_variables
from pushsvc.errors import Malformed, Problem, Rejected

COLUMNS: Final = 12
"""The columns of the grid; it has as many rows as its panels need."""
MOST_PANELS: Final = 250
MOST_BYTES: Final = 256 * 1024
"""The most bytes of one dashboard, as sent and as saved."""
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")

_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Title = Annotated[str, Meta(max_length=200)]
_Label = Annotated[str, Meta(min_length=1, max_length=256)]
_Selector = Annotated[str, Meta(min_length=1, max_length=4096)]
_Legend = Annotated[str, Meta(min_length=1, max_length=200)]
_Colour = Annotated[str, Meta(pattern=r"^#[0-9A-Fa-f]{6}$")]
_REPEATED: Final = re.compile(r"\)[*+?{]|[*+}][*+]")
_MOST_REPETITIONS: Final = 3
"""The most repetitions of a pattern that pages match: they have an engine that tries all ways."""


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """From `at` on (in the panel's unit), or below it, a value is worth a look, or an alarm."""

    at: float
    level: Literal["warning", "critical"]
    below: bool = False


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What some values are shown as: those of `value`, from `min` to `max`, in which `regex` is
    found, or none at all. The first mapping that a value meets counts."""

    value: float | str | UnsetType = UNSET
    """A number, or a state as it is written."""
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    """With either end or both, which belong to it."""
    regex: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    """Found anywhere in the value as it is written; `text` may have its groups, as `$1`."""
    special: Literal["none"] | UnsetType = UNSET
    """Where there is no value: null, or what is no finite number."""
    text: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    """Shown instead; the value itself if left out."""
    colour: _Colour | UnsetType = UNSET
    """As `#rrggbb`; the page makes it darker or lighter, so that it can be read in its theme."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How some lines of a panel differ from the others: those of one of its queries, of a name,
    or in whose names `regex` is found. Of several the last one counts, for each property."""

    query: Annotated[int, Meta(ge=1, le=16)] | UnsetType = UNSET
    """1 is the panel's `select`, 2 the first in `also`."""
    name: _Legend | UnsetType = UNSET
    """As the legend has it, before any `title`."""
    regex: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    title: _Legend | UnsetType = UNSET
    """What they are called, with labels in it as in `legend`."""
    unit: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    decimals: Annotated[int, Meta(ge=0, le=10)] | UnsetType = UNSET
    colour: _Colour | UnsetType = UNSET


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a panel, or a value in it, leads: `{{label}}` in the address is that of the value."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    """http, https, or relative to the service."""


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place, in columns and rows."""

    x: Annotated[int, Meta(ge=0, lt=COLUMNS)]
    y: Annotated[int, Meta(ge=0, le=9999)]
    w: Annotated[int, Meta(ge=1, le=COLUMNS)]
    h: Annotated[int, Meta(ge=1, le=100)]


class Query(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What a panel shows besides its `select`."""

    select: _Selector
    legend: _Legend | UnsetType = UNSET


class Panel(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What is shown in one place, and how."""

    id: _Id
    title: _Title | UnsetType = UNSET
    kind: Literal[
        "line",
        "area",
        "stacked",
        "stat",
        "gauge",
        "table",
        "heatmap",
        "timeline",
        "bars",
        "pie",
        "text",
        "row",
    ]
    select: _Selector | UnsetType = UNSET
    """A selector or an expression: what every panel but one of text shows."""
    legend: _Legend | UnsetType = UNSET
    """How its lines are called: `{{host}} reads` has the label's value in it. What tells them apart
    if left out."""
    also: Annotated[tuple[Query, ...], Meta(max_length=15)] | UnsetType = UNSET
    """What is shown on the same axis."""
    text: Annotated[str, Meta(min_length=1, max_length=20_000)] | UnsetType = UNSET
    """Of a panel of text, in Markdown; of HTML in it, what is harmless is shown."""
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    """What stands below the title; the help of the metric if left out."""
    unit: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    thresholds: Annotated[tuple[Threshold, ...], Meta(max_length=16)] | UnsetType = UNSET
    mappings: Annotated[tuple[Mapping, ...], Meta(max_length=100)] | UnsetType = UNSET
    """What some values are shown as."""
    lines: Annotated[tuple[Line, ...], Meta(max_length=64)] | UnsetType = UNSET
    """What single lines have of their own."""
    links: Annotated[tuple[Link, ...], Meta(max_length=20)] | UnsetType = UNSET
    """Where the panel leads."""
    data_links: Annotated[tuple[Link, ...], Meta(max_length=20)] | UnsetType = UNSET
    """Where each of its values leads."""
    areas: bool | UnsetType = UNSET
    """Whether a chart shows thresholds as areas, too."""
    style: Literal["points", "steps", "bars"] | UnsetType = UNSET
    """How a chart draws its lines, if not as lines."""
    log: bool | UnsetType = UNSET
    """Whether the axis of lines or areas is logarithmic; values that aren't above zero are left
    out."""
    percent: bool | UnsetType = UNSET
    """Whether a stack is of shares of the sum."""
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    """Ends of the axis or scale, which goes on where values do."""
    decimals: Annotated[int, Meta(ge=0, le=10)] | UnsetType = UNSET
    """Digits behind the point; three digits in all if left out."""
    rate: bool | UnsetType = UNSET
    """Whether a counter is shown as its change per second, which it is if left out."""
    collapsed: bool | UnsetType = UNSET
    """Whether a row is folded at first: the panels below it, up to the next row, aren't there."""
    repeat: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    """The variable for each of whose chosen values the panel is there once; a row with its
    panels."""
    across: Annotated[int, Meta(ge=1, le=COLUMNS)] | UnsetType = UNSET
    """How many of these stand beside each other at the most; four if left out. A row stands
    alone."""
    by: _Label | UnsetType = UNSET
    """The label whose values are the rows of a heatmap; each series has its own if left out."""
    grid: Grid | UnsetType = UNSET


class Dashboard(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """A page of panels."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    window: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    """How much of the past is shown at first: 15m."""
    interval: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    """How often its series have samples, 15s if left out: `$__rate_interval` is four times that."""
    variables: Annotated[tuple[Variable, ...], Meta(max_length=32)] | UnsetType = UNSET
    panels: Annotated[tuple[Panel, ...], Meta(max_length=MOST_PANELS)]


_DECODER: Final = msgspec.json.Decoder(Dashboard)


def read(body: bytes) -> Dashboard:
    """Parse a dashboard from JSON.

    Raises Malformed if it isn't JSON, Rejected if it isn't a valid dashboard; `panel` is the index
    of the panel that is wrong.
    """
    try:
        dashboard = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise Rejected("dashboard", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("json", f"the dashboard is no JSON: {error}") from None
    for name in ("window", "interval"):
        if (text := getattr(dashboard, name)) is not UNSET:
            _seconds(text, name)
    variables = () if dashboard.variables is UNSET else dashboard.variables
    _refuse_doubles("variables", (variable.name for variable in variables))
    check_variables(variables)
    _refuse_doubles("panels", (panel.id for panel in dashboard.panels))
    for index, panel in enumerate(dashboard.panels):
        check_panel(panel, variables, index)
    return dashboard


def write(dashboard: Dashboard) -> bytes:
    """The JSON to be saved: equal dashboards give equal bytes, in lines that are easy to diff."""
    return msgspec.json.format(msgspec.json.encode(dashboard), indent=2) + b"\n"


def check_name(name: str) -> str:
    """Raises Malformed if this isn't a valid name, so that a name can never lead to another
    file."""
    if _NAME.fullmatch(name) is None:
        raise Malformed(
            "name",
            f"{shorten(name)} can't name a dashboard: that takes 1 to 64 of a-z, 0-9 and -, with "
            "no - at either end",
        )
    return name


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dashboard."""
    found = msgspec.json.schema(Dashboard)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A dashboard of pushsvc",
        **found,
    }


def check_panel(panel: Panel, variables: Sequence[Variable], index: int) -> None:
    """Raises Rejected if the panel can't be shown; `index` is its index, for the answer."""
    where = f"panel {panel.id}"
    if panel.kind == "row":
        if panel.title is UNSET:
            raise Rejected("row", f"{where} is a row, and lacks a title", panel=index)
        if not panel.select is panel.also is panel.text is UNSET:
            raise Rejected("row", f"{where} is a row, and shows nothing itself", panel=index)
    elif panel.collapsed is not UNSET:
        raise Rejected("row", f"{where} is collapsed, which takes kind: row", panel=index)
    elif panel.kind == "text":
        if panel.select is not UNSET or panel.also is not UNSET:
            raise Rejected("text", f"{where} is text, and shows no series", panel=index)
        if panel.text is UNSET and panel.title is UNSET:
            raise Rejected("text", f"{where} has neither a text nor a title", panel=index)
    elif panel.select is UNSET:
        raise Rejected("dashboard", f"{where} lacks select: what it shows", panel=index)
    elif panel.text is not UNSET:
        raise Rejected("text", f"{where} has a text, which takes kind: text", panel=index)
    else:
        check_asked(panel.select, variables, where, panel=index)
    for query in () if panel.also is UNSET else panel.also:
        check_asked(query.select, variables, where, panel=index)
    if panel.percent is not UNSET and panel.kind != "stacked":
        raise Rejected("stack", f"{where}: percent takes kind: stacked", panel=index)
    if panel.min is not UNSET and panel.max is not UNSET and panel.min >= panel.max:
        raise Rejected("bounds", f"{where}: min must be less than max", panel=index)
    for number, mapping in enumerate(() if panel.mappings is UNSET else panel.mappings, 1):
        reason = mapping_fault(mapping)
        if reason:
            raise Rejected("mapping", f"{where}, mapping {number}: {reason}", panel=index)
    if panel.repeat is not UNSET and all(one.name != panel.repeat for one in variables):
        detail = f"{where} is repeated for {panel.repeat}, which is no variable"
        raise Rejected("repeat", detail, panel=index)
    for links in (panel.links, panel.data_links):
        for link in () if links is UNSET else links:
            reason = link_fault(link)
            if reason:
                raise Rejected("link", f"{where}, link {link.title}: {reason}", panel=index)
    count = 1 + (0 if panel.also is UNSET else len(panel.also))
    for number, line in enumerate(() if panel.lines is UNSET else panel.lines, 1):
        reason = line_fault(line, count)
        if reason:
            raise Rejected("line", f"{where}, line {number}: {reason}", panel=index)
    if panel.grid is not UNSET and panel.grid.x + panel.grid.w > COLUMNS:
        raise Rejected("grid", f"{where} reaches beyond the {COLUMNS} columns", panel=index)


def mapping_fault(mapping: Mapping) -> str:
    """Why a mapping can't be used; empty if it can."""
    bounds = mapping.min is not UNSET or mapping.max is not UNSET
    others = (one is not UNSET for one in (mapping.value, mapping.regex, mapping.special))
    if sum(others) + bounds != 1:
        return "it takes one of value, min and max, regex, and special"
    if mapping.text is UNSET and mapping.colour is UNSET:
        return "it takes a text, a colour, or both"
    if mapping.min is not UNSET and mapping.max is not UNSET and mapping.min > mapping.max:
        return "min must not be more than max"
    return "" if mapping.regex is UNSET else _pattern_fault(mapping.regex)


def line_fault(line: Line, queries: int = 16) -> str:
    """Why what lines have of their own can't be used, in a panel of so many queries; empty if it
    can."""
    if sum(one is not UNSET for one in (line.query, line.name, line.regex)) != 1:
        return "it takes one of query, name and regex"
    own = (line.title, line.unit, line.decimals, line.colour)
    if all(one is UNSET for one in own):
        return "it takes a title, a unit, decimals or a colour"
    if line.query is not UNSET and line.query > queries:
        return f"there is no query {line.query}"
    return "" if line.regex is UNSET else _pattern_fault(line.regex)


def link_fault(link: Link) -> str:
    """Why an address can't be a link's; empty if it can. Pages look again at what they fill in."""
    scheme = re.match(r"[\x00-\x20]*([^/?#:]*):", link.url)
    if scheme is None or re.fullmatch("https?", scheme[1], re.IGNORECASE):
        return ""
    return f"its address begins with {shorten(scheme[1])}: that takes http:, https:, or a path"


def _pattern_fault(pattern: str) -> str:
    """Why pages don't match a pattern; empty if they do."""
    try:
        re2.compile(pattern)
    except re2.error as error:
        return f"its regex: {error}"
    plain = re.sub(r"\\.|\[(?:\\.|[^\]])*\]", "_", pattern).replace("(?:", "(").replace("(?i)", "")
    if _REPEATED.search(plain) or len(re.findall(r"[*+{]", plain)) > _MOST_REPETITIONS:
        return "its regex repeats a group, or more than three times: that may take pages very long"
    return ""


def _seconds(text: str, name: str) -> None:
    try:
        parse_duration(text, name)
    except Problem as problem:
        raise Rejected(name, problem.detail) from None


def _refuse_doubles(what: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise Rejected("double", f"two {what} are called {name}")
        seen.add(name)
