"""What a dashboard is: panels on a grid, as JSON.

Reading is strict, so that a slip is told when it is made and not when somebody looks at the wall:
unknown members, selectors that can't be parsed and panels beside the grid are errors.
`web/src/panels/model.ts` has the same panel for the page; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import shorten
from pushsvc.core.query.selector import parse
from pushsvc.core.standing.asked import read_asked
from pushsvc.errors import Malformed, Problem, Rejected

COLUMNS: Final = 12
"""Of the grid; rows go on as far as panels do."""
MOST_BYTES: Final = 256 * 1024
"""Of one dashboard, as it is sent and as it is kept."""
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_WORD: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"

_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Title = Annotated[str, Meta(max_length=200)]
_Label = Annotated[str, Meta(min_length=1, max_length=256)]
_Selector = Annotated[str, Meta(min_length=1, max_length=4096)]


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `at` on (in the panel's unit) a value is worth a look, or an alarm."""

    at: float
    level: Literal["warning", "critical"]


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place, in columns and rows."""

    x: Annotated[int, Meta(ge=0, lt=COLUMNS)]
    y: Annotated[int, Meta(ge=0, le=9999)]
    w: Annotated[int, Meta(ge=1, le=COLUMNS)]
    h: Annotated[int, Meta(ge=1, le=100)]


class Panel(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """What is shown in one place, and how."""

    id: _Id
    title: _Title | UnsetType = UNSET
    kind: Literal["line", "area", "stacked", "stat", "gauge", "table", "heatmap", "timeline"]
    select: _Selector
    unit: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    thresholds: Annotated[tuple[Threshold, ...], Meta(max_length=16)] | UnsetType = UNSET
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET
    rate: bool | UnsetType = UNSET
    """Whether a counter is shown as its change per second, which it is if left out."""
    by: _Label | UnsetType = UNSET
    """The label whose values are the rows of a heatmap; each series has its own if left out."""
    grid: Grid | UnsetType = UNSET


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice that `$name` inside a selector's quotes stands for.

    The values to choose from are those that `label` has among the series of `select`.
    """

    name: Annotated[str, Meta(pattern=_WORD)]
    label: _Label
    select: _Selector


class Dashboard(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """A page of panels."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    window: Annotated[str, Meta(max_length=32)] | UnsetType = UNSET
    """How much of the past is shown at first: 15m."""
    variables: Annotated[tuple[Variable, ...], Meta(max_length=8)] | UnsetType = UNSET
    panels: Annotated[tuple[Panel, ...], Meta(max_length=100)]


_DECODER: Final = msgspec.json.Decoder(Dashboard)


def read(body: bytes) -> Dashboard:
    """A dashboard out of JSON.

    Raises Malformed for what is no JSON, Rejected for what is no dashboard; `panel` is the index of
    the panel that is wrong.
    """
    try:
        dashboard = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise Rejected("dashboard", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("json", f"the dashboard is no JSON: {error}") from None
    if dashboard.window is not UNSET:
        _seconds(dashboard.window)
    variables = () if dashboard.variables is UNSET else dashboard.variables
    _refuse_doubles("variables", (variable.name for variable in variables))
    for variable in variables:
        _selector(variable.select, f"variable {variable.name}")
    _refuse_doubles("panels", (panel.id for panel in dashboard.panels))
    for index, panel in enumerate(dashboard.panels):
        _check(panel, index)
    return dashboard


def write(dashboard: Dashboard) -> bytes:
    """The JSON that is kept: the same for the same dashboard, and with lines for a diff."""
    return msgspec.json.format(msgspec.json.encode(dashboard), indent=2) + b"\n"


def check_name(name: str) -> str:
    """Raises Malformed for what can't name a dashboard, and so never names another file."""
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


def _check(panel: Panel, index: int) -> None:
    try:
        read_asked(panel.select)
    except Problem as problem:
        raise Rejected(problem.code, f"panel {panel.id}: {problem.detail}", panel=index) from None
    if panel.min is not UNSET and panel.max is not UNSET and panel.min >= panel.max:
        raise Rejected("bounds", f"panel {panel.id}: min must be less than max", panel=index)
    if panel.grid is not UNSET and panel.grid.x + panel.grid.w > COLUMNS:
        raise Rejected(
            "grid", f"panel {panel.id} reaches beyond the {COLUMNS} columns", panel=index
        )


def _selector(text: str, where: str, **extra: Any) -> None:
    try:
        parse(text)
    except Problem as problem:
        raise Rejected("selector", f"{where}: {problem.detail}", **extra) from None


def _seconds(text: str) -> None:
    try:
        parse_duration(text, "window")
    except Problem as problem:
        raise Rejected("window", problem.detail) from None


def _refuse_doubles(what: str, names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise Rejected("double", f"two {what} are called {name}")
        seen.add(name)
