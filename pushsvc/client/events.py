"""What a stream yields, and the documents that it is made from."""

from __future__ import annotations

from typing import Any

import msgspec

from pushsvc.core.model.series import Kind, Value


class Series(msgspec.Struct, frozen=True):
    """What a series is called and what its values mean."""

    ref: int
    name: str
    labels: dict[str, str]
    kind: Kind
    unit: str = ""
    help: str = ""


class Sample(msgspec.Struct, frozen=True):
    """A value at a time (Unix milliseconds). `count` > 1: it stands for so many, merged."""

    series: Series
    time: int
    value: Value
    min: Value = None
    max: Value = None
    count: int = 1


class Points(msgspec.Struct, frozen=True):
    """New samples, each series' in order."""

    samples: list[Sample]
    cursor: str | None


class Gap(msgspec.Struct, frozen=True):
    """So many samples are missing here; None: nobody knows how many."""

    lost: int | None
    cursor: str


class Gone(msgspec.Struct, frozen=True):
    """These series fell silent and were dropped."""

    series: list[Series]


class Ending(msgspec.Struct, frozen=True):
    """A series has no value from this time on (Unix milliseconds), until its next sample."""

    series: Series
    time: int


class Ended(msgspec.Struct, frozen=True):
    """These lines break. The series are still there, and go on when they have a sample again."""

    endings: list[Ending]
    cursor: str | None


class Away(msgspec.Struct, frozen=True):
    """The service can't reach its log: nothing newer can come until it can again."""

    since: float
    """Unix seconds, by the clock of this machine."""


class Back(msgspec.Struct, frozen=True):
    """The service can reach its log again, or another one answers that can."""


Event = Points | Gap | Gone | Ended | Away | Back


class Document(msgspec.Struct):
    """Any document of the protocol; fields that a type lacks keep their defaults."""

    type: str
    id: str | None = None
    epoch: str = ""
    session: str = ""
    heartbeat: float = 15.0
    granted: dict[str, Any] = {}
    series: list[Series] = []
    points: list[list[Any]] = []
    ended: list[tuple[int, int]] = []
    lost: int | None = None
    refs: list[int] = []
    retry: float | None = None
    away: float | None = None
    code: str = ""
    message: str = ""


decode = msgspec.json.Decoder(Document).decode
