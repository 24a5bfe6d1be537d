"""What a route takes and answers, said at the route: what OpenAPI and AsyncAPI are generated from.

    @app.get("/v1/things")
    @described(
        "List things",
        parameters=(LIMIT,),
        answers={200: json(Things, "By name."), 400: "A parameter can't be read."},
    )
    async def things() -> Response: ...

Bodies and answers are types: msgspec encodes and decodes by them, and makes their schemas. What
OpenAPI can know without being told isn't said: paths and methods are the router's, and what a
request must present, with its refusals, is the guard's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from msgspec import Meta

from pushsvc.core.delivery.documents import CursorText

_F = TypeVar("_F", bound=Callable[..., Any])
_ATTRIBUTE: Final = "pushsvc_described"

BINARY: Final = Annotated[Any, Meta(extra_json_schema={"type": "string", "format": "binary"})]
"""Bytes in a body that isn't JSON."""
TEXT: Final = str
"""Text that isn't JSON; for a stream, all of it."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter in the query, the path or the head."""

    name: str
    type: Any
    text: str
    where: Literal["query", "header", "path"] = "query"
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Content:
    """What a body can be, by media type; without any it is empty."""

    text: str = ""
    types: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    required: bool = True
    """For a request: whether it must have a body."""


@dataclasses.dataclass(frozen=True)
class Operation:
    summary: str
    text: str
    parameters: tuple[Parameter, ...]
    body: Content | None
    answers: Mapping[int, Content | str]
    """By status. A text alone means no body, or, from 400 on, a problem document."""


@dataclasses.dataclass(frozen=True)
class Socket:
    """A WebSocket: the messages that its server sends and accepts, JSON in text unless it says
    otherwise."""

    summary: str
    text: str
    sends: Mapping[str, Any]
    """Types by the names of messages."""
    takes: Mapping[str, Any]
    parameters: tuple[Parameter, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)


def json(type_: Any, text: str) -> Content:
    """JSON of this type."""
    return Content(text, {"application/json": type_})


def described(
    summary: str,
    text: str = "",
    *,
    parameters: tuple[Parameter, ...] = (),
    body: Content | None = None,
    answers: Mapping[int, Content | str],
) -> Callable[[_F], _F]:
    """Declare what the route of this function takes and answers."""
    return _attach(Operation(summary, text, parameters, body, answers))


def described_socket(
    summary: str,
    text: str = "",
    *,
    sends: Mapping[str, Any],
    takes: Mapping[str, Any],
    parameters: tuple[Parameter, ...] = (),
    media_types: tuple[str, ...] = ("application/json",),
) -> Callable[[_F], _F]:
    """Declare the messages of this function's WebSocket."""
    return _attach(Socket(summary, text, sends, takes, parameters, media_types))


def for_people(function: _F) -> _F:
    """Declare that this route answers with a page, or a file of one: it is no part of the API."""
    return _attach(None)(function)


def description_of(function: Callable[..., Any]) -> Operation | Socket | None:
    """What was declared for a route; None for a page. Raises LookupError where nothing was
    declared."""
    try:
        found: Operation | Socket | None = getattr(function, _ATTRIBUTE)
    except AttributeError:
        raise LookupError(
            f"the route {function.__name__} isn't described: put @described(…) under its path, "
            "or @for_people if it is a page"
        ) from None
    return found


def _attach(description: Operation | Socket | None) -> Callable[[_F], _F]:
    def attach(function: _F) -> _F:
        setattr(function, _ATTRIBUTE, description)
        return function

    return attach


CURSOR: Final = CursorText
SELECT: Final = Parameter(
    "select",
    list[str],
    'PromQL instant vector selector, repeatable: node_load1{host=~"web.*"}. None: every series.',
)
ASKED: Final = Parameter(
    "select",
    list[str],
    'PromQL, repeatable: a selector such as node_load1{host=~"web.*"}, or an expression, whose '
    "results are series of their own. None: every series.",
)
STEP: Final = Parameter(
    "step", str, "Of expressions: from one result to the next, in whole seconds; 1s unless said."
)
LIMIT: Final = Parameter(
    "limit", Annotated[int, Meta(ge=1)], "How many are wanted at the most. None: all."
)
SEARCH: Final = Parameter(
    "search",
    str,
    "What they are to have in them, in capitals or not. Those that begin with it come first.",
)
WINDOW: Final = Parameter("window", str, "How much of the past is wanted: 15m, 1h30m, or seconds.")
CODING: Final = Parameter(
    "Content-Encoding",
    Literal["gzip", "zstd", "deflate"],
    "How the body is compressed.",
    "header",
)
NOT_READ: Final = "A parameter can't be read."
TOO_SLOW: Final = "No byte of the body came for too long."
