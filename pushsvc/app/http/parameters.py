"""Reading and checking the query parameters of the read side."""

from __future__ import annotations

import math
from collections.abc import Collection

from werkzeug.datastructures import MultiDict

from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import shorten
from pushsvc.core.query.selector import EVERY_SERIES, Selector, parse
from pushsvc.core.resources.limits import Limits
from pushsvc.core.standing.asked import Asked, read_asked
from pushsvc.errors import Malformed


def refuse_unknown(args: MultiDict[str, str], known: Collection[str]) -> None:
    """Raise Malformed for a parameter that isn't known here, since it is probably misspelt."""
    for name in args:
        if name not in known:
            raise Malformed(
                "parameter", f"unknown parameter {shorten(name)}: there are {', '.join(known)}"
            )


def selectors(
    args: MultiDict[str, str], limits: Limits, name: str = "select"
) -> tuple[Selector, ...]:
    """The parameters of this name; all series if there are none."""
    return tuple(parse(text, limits) for text in args.getlist(name) or [EVERY_SERIES])


def asked(args: MultiDict[str, str], limits: Limits) -> list[Asked]:
    """The selectors and expressions of `select`; all series if there are none."""
    return [read_asked(text, limits) for text in args.getlist("select") or [EVERY_SERIES]]


def number(args: MultiDict[str, str], name: str) -> float | None:
    """A finite positive number, or None if the parameter isn't there."""
    text = args.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise Malformed(name, f"{name} must be a positive number, not {shorten(text)}")
    return value


def seconds(args: MultiDict[str, str], name: str) -> float | None:
    """A duration (`15m`, `90`), in seconds, or None if the parameter isn't there."""
    text = args.get(name)
    return None if text is None else parse_duration(text, name)


def moment(args: MultiDict[str, str], name: str) -> int | None:
    """A time in Unix milliseconds, or None if the parameter isn't there."""
    value = number(args, name)
    return None if value is None else round(value)


def points(args: MultiDict[str, str]) -> int | None:
    """How many points of each series are enough, or None if the parameter isn't there."""
    value = number(args, "points")
    return None if value is None else whole_points(value)


def whole_points(value: float) -> int:
    """The number of points per series, which must be enough to draw a line. Raises Malformed."""
    if value < 4 or value != int(value):
        raise Malformed("points", "points must be a whole number, 4 or more")
    return int(value)


def limit(args: MultiDict[str, str]) -> int | None:
    """The largest number of items in the answer, or None if the parameter isn't there."""
    value = number(args, "limit")
    if value is not None and (value < 1 or value != int(value)):
        raise Malformed("limit", "limit must be a whole number, 1 or more")
    return None if value is None else int(value)


def boolean(args: MultiDict[str, str], name: str, default: bool) -> bool:
    """`true` or `false`."""
    text = args.get(name)
    if text not in (None, "true", "false"):
        raise Malformed(name, f"{name} must be true or false, not {shorten(text)}")
    return default if text is None else text == "true"


def spec(args: MultiDict[str, str], hub: Hub, limits: Limits) -> ViewSpec:
    """The view that a stream asks for, as granted."""
    return hub.grant(
        asked(args, limits),
        number(args, "max_hz"),
        args.get("merge"),
        seconds(args, "heartbeat"),
        seconds(args, "step"),
    )


def start(args: MultiDict[str, str]) -> Start:
    """Where a stream begins."""
    text = args.get("since")
    window, thinned = seconds(args, "window"), points(args)
    if thinned is not None and window is None:
        raise Malformed("points", "points thins the past that window asks for: give window as well")
    return Start(parse_cursor(text) if text else None, window, thinned)
