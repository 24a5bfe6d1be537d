"""The bodies of answers and errors, in the form that Prometheus gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Response

from pushsvc.app.http import problems
from pushsvc.app.http.described import json
from pushsvc.errors import Problem


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, in Prometheus' words."""

    status: Literal["error"] = "error"
    error_type: Annotated[
        Literal[
            "bad_data",
            "execution",
            "timeout",
            "unavailable",
            "internal",
            "unauthorized",
            "forbidden",
        ],
        Meta(description="Whose fault it is."),
    ] = msgspec.field(name="errorType")
    error: str


Pair = Annotated[
    tuple[float, str], Meta(description="[Unix seconds, number].", min_length=2, max_length=2)
]


class Found(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series of a result: `value` at one time, or `values` at several."""

    metric: dict[str, str]
    value: Pair | UnsetType = UNSET
    values: Sequence[Pair] | UnsetType = UNSET


class Data(msgspec.Struct, frozen=True):
    result_type: Literal["vector", "matrix", "scalar", "string"] = msgspec.field(name="resultType")
    result: Annotated[
        Sequence[Any],
        Meta(
            description="Series, each with its labels as `metric` and a `value`, or `values`; of a "
            "scalar or a string one pair of time and value."
        ),
    ]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: Data
    warnings: list[str] | UnsetType = UNSET
    """What is probably a mistake in the expression."""
    infos: list[str] | UnsetType = UNSET
    """What may be a mistake in it."""


class Sets(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: list[dict[str, str]]


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: list[str]


class Text(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: str


class Described(msgspec.Struct, frozen=True):
    type: str
    help: str
    unit: str


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: dict[str, list[Described]]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    query: str
    labels: dict[str, str]
    health: Literal["unknown"] = "unknown"
    type: Literal["recording"] = "recording"


class Group(msgspec.Struct, frozen=True):
    name: str
    file: str
    interval: Annotated[float, Meta(description="Seconds between two steps.")]
    rules: list[Recorded]
    limit: int = 0


class Groups(msgspec.Struct, frozen=True):
    groups: list[Group]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: Groups


class Raised(msgspec.Struct, frozen=True):
    alerts: list[dict[str, str]] = []


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: Raised = Raised()


class Exemplars(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: list[dict[str, str]] = []


class Build(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["success"] = "success"
    data: dict[str, str]


REFUSED = {
    400: json(Failed, "bad_data: a parameter, the expression or the token can't be read."),
    401: json(Failed, "unauthorized: no token, or one that isn't good (any more)."),
    403: json(
        Failed,
        "forbidden: the token doesn't grant this, or the request comes from a page of "
        "another origin.",
    ),
}
NO_RESULT = {
    422: json(Failed, "execution: the expression has no result, or would read too much."),
    503: json(
        Failed,
        "timeout: it took longer than it may; or unavailable: there is no room, come back.",
    ),
}


def respond(body: bytes, status: int = 200) -> Response:
    return Response(body, status=status, content_type="application/json")


def fail(status: int, kind: str, text: str) -> Response:
    return respond(msgspec.json.encode(Failed(error_type=kind, error=text)), status)  # type: ignore[arg-type]


_KINDS: Final = {400: "bad_data", 401: "unauthorized", 403: "forbidden", 413: "bad_data"}


def refuse(problem: Problem) -> Response:
    """The problem in Prometheus' form, with the headers of any other refusal."""
    response = problems.respond(problem)
    kind = _KINDS.get(problem.status, "internal" if problem.status == 500 else "unavailable")
    response.set_data(msgspec.json.encode(Failed(error_type=kind, error=problem.detail)))  # type: ignore[arg-type]
    response.content_type = "application/json"
    return response
