"""What is said on a stream: the documents of wire protocol v1, as they are encoded and described.

A field that is UNSET is left out. Whatever reads them passes over types and fields it doesn't know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pushsvc.core.delivery.merge import Merge
from pushsvc.core.model.series import Kind, Value

CursorText: TypeAlias = Annotated[
    str,
    Meta(
        description="Opaque: keep the last one received and give it back.",
        pattern=r"^[A-Za-z0-9_~!-]{1,128}\.[0-9]{1,18}$",
    ),
]
SampleValue: TypeAlias = Annotated[
    Value,
    Meta(description="A finite number; a string or boolean for a state; null where there is none."),
]
Away: TypeAlias = Annotated[
    int,
    Meta(
        description="Seconds for which the log that services share hasn't been reachable: nothing "
        "newer can come. Left out while it is reachable."
    ),
]
Reasons: TypeAlias = Annotated[
    Mapping[str, str],
    Meta(
        description="Why expressions have no results, by the name that the results would have: "
        "for instance two results would have the same labels, or the expression would read more "
        "than is allowed. Expressions that aren't named are worked out."
    ),
]
Names: TypeAlias = Annotated[
    Mapping[str, str],
    Meta(
        description="For each expression, as you wrote it, the name that the series of its results "
        "have."
    ),
]
Milliseconds: TypeAlias = Annotated[int, Meta(description="Unix milliseconds.")]
PointArray: TypeAlias = Annotated[
    Sequence[SampleValue],
    Meta(
        description="[ref, time, value], or merged: [ref, time, last, min, max, count]. min and "
        "max are null with merge=last, and for counters and states always. The last of a delta is "
        "the sum of count parts, and min and max are theirs; different states are never merged.",
        min_length=3,
        max_length=6,
    ),
]


class Series(msgspec.Struct, frozen=True, gc=False):
    """A series, and the integer that stands for it from here on."""

    ref: int
    name: str
    labels: dict[str, str]
    kind: Kind
    unit: str
    help: str | UnsetType = UNSET
    expression: (
        Annotated[
            bool,
            Meta(
                description="True for a result of an expression. The name is the expression then, "
                "and the name of a metric that the result still has is the label __name__."
            ),
        ]
        | UnsetType
    ) = UNSET


class Granted(msgspec.Struct, frozen=True, gc=False):
    """What was granted of what was asked for."""

    max_hz: float
    merge: Merge
    select: Sequence[str]
    expressions: Names | UnsetType = UNSET
    points: (
        Annotated[
            int,
            Meta(
                description="About how many points each series with a window begins with, if a "
                "number was asked for: fewer where there are many series."
            ),
        ]
        | UnsetType
    ) = UNSET
    kept: (
        Annotated[
            float,
            Meta(
                description="In hello: seconds of the past that are kept (history.seconds). A "
                "longer window has no more than that."
            ),
        ]
        | UnsetType
    ) = UNSET


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """First of a stream, and after each watch. A long poll has none, and no session."""

    id: CursorText | UnsetType = UNSET
    epoch: str
    session: str
    heartbeat: Annotated[float, Meta(description="Seconds of quiet after which one comes.")]
    granted: Granted
    away: Away | UnsetType = UNSET
    failing: Reasons | UnsetType = UNSET


class Points(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="points"):
    """News. `series` describes series: each one before or with the first points of its ref since
    the last hello, and in each answer to a long poll."""

    id: CursorText | UnsetType = UNSET
    series: list[Series] | UnsetType = UNSET
    time: (
        Annotated[int, Meta(description="When the server made it; only of what is live.")]
        | UnsetType
    ) = UNSET
    points: Sequence[PointArray]
    ended: (
        Annotated[
            Sequence[tuple[int, int]],
            Meta(
                description="Pairs of ref and time (Unix milliseconds): from there on the series "
                "has no value, until its next point by time."
            ),
        ]
        | UnsetType
    ) = UNSET


class Gap(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """This many samples after id are lost; null if it isn't known how many."""

    id: CursorText
    lost: int | None


class Gone(msgspec.Struct, frozen=True, tag_field="type", tag="gone"):
    """Series that were dropped. A ref is never used again: a series that returns has a new one."""

    id: CursorText
    refs: Sequence[int]


class Failing(msgspec.Struct, frozen=True, tag_field="type", tag="failing"):
    """Sent when it has changed which expressions can't be worked out: those that can't now, none if
    all can. If the answer to a poll has no such document, there is none that can't."""

    id: CursorText
    failing: Reasons


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """A sign of life, after quiet."""

    id: CursorText
    time: Milliseconds
    away: Away | UnsetType = UNSET


class Goaway(msgspec.Struct, frozen=True, tag_field="type", tag="goaway"):
    """The server is ending: come back in so many milliseconds, with your cursor."""

    retry: int


class Error(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """Why the stream ends; codes are those of problem documents. Other members may say where, or
    which limit."""

    code: str
    message: str


Document: TypeAlias = Hello | Points | Gap | Gone | Failing | Heartbeat | Goaway | Error
"""Any of them."""


def error_members(code: str, message: str, extra: dict[str, Any]) -> dict[str, Any]:
    """An error with members besides its own."""
    return {**msgspec.to_builtins(Error(code, message)), **extra}


class Poll(msgspec.Struct, frozen=True):
    """The answer to a long poll: what is new, and where to go on from. Types and fields that a
    client doesn't know are to be passed over."""

    id: CursorText
    documents: Sequence[Document]
    expressions: Names | UnsetType = UNSET
