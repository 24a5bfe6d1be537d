"""The parameters of a query, read as Prometheus reads them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl

from msgspec import Meta
from quart import request
from werkzeug.datastructures import MultiDict

from pushsvc.app.http.connection import read_body
from pushsvc.app.http.described import Parameter
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import shorten
from pushsvc.errors import Malformed

_BODY: Final = 64 * 1024
_FORM: Final = "application/x-www-form-urlencoded"

QUERY = Parameter("query", str, "An expression in PromQL.", required=True)
TIME = "a time: RFC 3339, or Unix seconds"
MATCH = Parameter("match[]", list[str], "Selectors of the series that are meant, repeatable.")
START = Parameter("start", str, "Taken and ignored: it is about the series that are held.")
END = Parameter("end", str, "Taken and ignored: it is about the series that are held.")
LIMIT = Parameter("limit", Annotated[int, Meta(ge=0)], "The most there are to be; 0: all.")
LOOKBACK_DELTA = Parameter(
    "lookback_delta", str, "For how long a sample stands for its series: 5m."
)
TIMEOUT = Parameter(
    "timeout", str, "For how long it may take: 10s; not longer than limits.expression_seconds."
)


async def read_parameters(timeout: float) -> MultiDict[str, str]:
    """The parameters in the URL, and those in the form that a POST brings. `timeout`: seconds
    without a byte of the body. Raises what `read_body` does."""
    found: MultiDict[str, str] = MultiDict(request.args)
    if request.method == "POST" and request.mimetype == _FORM:
        body = await read_body(request, most=_BODY, timeout=timeout)
        for name, value in parse_qsl(body.decode("utf-8", "replace"), max_num_fields=1000):
            found.add(name, value)
    return found


def required(args: MultiDict[str, str], name: str) -> str:
    """Raises Malformed where it is missing or empty."""
    text = args.get(name)
    if not text:
        raise Malformed(name, f"{name} is missing")
    return text


def time_ms(args: MultiDict[str, str], name: str, default: int | None = None) -> int:
    """A time in Unix ms. Raises Malformed where it can't be read, or is missing without default."""
    text = args.get(name)
    if not text and default is not None:
        return default
    try:
        seconds = float(required(args, name))
    except ValueError:
        try:
            given = datetime.fromisoformat(text or "")
        except ValueError:
            seconds = math.nan
        else:
            seconds = (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    if not abs(seconds) < 1e11:
        raise Malformed(
            name,
            f'invalid parameter "{name}": cannot parse {shorten(text or "")} to a valid timestamp',
        )
    return round(seconds * 1000)


def duration_ms(args: MultiDict[str, str], name: str, default: int) -> int:
    """A duration in ms. Raises Malformed where it is not above 0, or missing without a default."""
    if not args.get(name) and default:
        return default
    found = round(parse_duration(required(args, name), name) * 1000)
    if found <= 0:
        raise Malformed(
            name,
            f'invalid parameter "{name}": zero or negative durations are not accepted. '
            "Try a positive integer",
        )
    return found


def timeout_of(args: MultiDict[str, str], most: float) -> float:
    """For how many seconds a query may take, its own wish within `most`. Raises Malformed."""
    return min(duration_ms(args, "timeout", round(most * 1000)) / 1000, most)


def limit_of(args: MultiDict[str, str], name: str = "limit") -> int | None:
    """How many results are wanted at most; None: all. Raises Malformed."""
    text = args.get(name, "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Malformed("limit", f"{name} must be a whole number, 0 or more, not {shorten(text)}")
    return int(text) or None


_ESCAPED: Final = re.compile("__|_([0-9a-fA-F]{1,6})_")


def unescaped(name: str) -> str:
    """A label's name from a path, where it may be escaped: `U__` first, then `_HEX_` for each
    character that isn't a letter or a digit."""
    if not name.startswith("U__"):
        return name

    def character(match: re.Match[str]) -> str:
        if match[1] is None:
            return "_"
        code = int(match[1], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"

    return _ESCAPED.sub(character, name.removeprefix("U__"))
