"""What a stream yields, and the documents that it is made from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pushsvc.core.model.series import Kind, Value


class Series(msgspec.Struct, frozen=True):
    """What a series is called and what its values mean."""

    ref: int
    """The service's number for it, as long as the stream goes on."""
    name: str
    labels: dict[str, str]
    kind: Kind
    unit: str = ""
    help: str = ""
    expression: bool = False
    """Whether it is a result of an expression, which the name is then."""


class Sample(msgspec.Struct, frozen=True):
    """A value at a time. `count` > 1: it stands for so many, merged."""

    series: Series
    time: int
    """Unix milliseconds."""
    value: Value
    """A number; text or a boolean of a state. Of merged ones the last, of a delta their sum."""
    min: Value = None
    """The lowest of merged ones, with `envelope`; None otherwise."""
    max: Value = None
    count: int = 1


class Points(msgspec.Struct, frozen=True):
    """New samples, each series' in order."""

    samples: list[Sample]
    cursor: str | None
    """Of who has these and all before them; None where they don't move it."""


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


class Failing(msgspec.Struct, frozen=True):
    """Other expressions have no results now than before: why, by the name that those would have;
    empty where all have some again."""

    reasons: Mapping[str, str]


Event = Points | Gap | Gone | Ended | Away | Back | Failing


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
    failing: dict[str, str] = {}
    code: str = ""
    message: str = ""


decode = msgspec.json.Decoder(Document).decode


class Reading:
    """Makes events of documents, as one connection after the other brings them."""

    def __init__(self) -> None:
        self.away_since: float | None = None
        """Since when the log can't be reached (Unix seconds, by this clock); None while it can."""
        self.failing: Mapping[str, str] = {}
        """Why expressions have no results now, by name."""
        self._series: dict[int, Series] = {}
        self._last_gap: str | None = None

    @property
    def series(self) -> Mapping[int, Series]:
        """Those that were described on this connection, by ref."""
        return self._series

    def begin(self) -> None:
        """Another connection: series are described again."""
        self._series.clear()

    def take(self, document: Document) -> Iterator[Event]:
        """What a document says, in order; those that only keep a stream going say nothing."""
        if document.type == "points":
            yield from self._take_points(document)
        elif document.type == "gap":
            # One with the id of the one before is that same gap, told again after a cut.
            if document.id is not None and document.id != self._last_gap:
                yield Gap(document.lost, document.id)
            self._last_gap = document.id
        elif document.type == "gone":
            gone = [self._series.pop(ref) for ref in document.refs if ref in self._series]
            if gone:
                yield Gone(gone)
        elif document.type in ("hello", "heartbeat"):
            yield from self._take_away(document.away)
        if document.type in ("hello", "failing") and document.failing != self.failing:
            self.failing = document.failing
            yield Failing(document.failing)

    def _take_points(self, document: Document) -> Iterator[Event]:
        for series in document.series:
            self._series[series.ref] = series
        samples = [Sample(self._series[point[0]], *point[1:]) for point in document.points]
        if samples:
            yield Points(samples, document.id)
        if document.ended:
            endings = [Ending(self._series[ref], since) for ref, since in document.ended]
            yield Ended(endings, document.id)

    def _take_away(self, seconds: float | None) -> Iterator[Event]:
        """Take note of whether the service can reach its log, or for how long it can't."""
        if seconds is None and self.away_since is not None:
            self.away_since = None
            yield Back()
        elif seconds is not None and self.away_since is None:
            self.away_since = time.time() - seconds
            yield Away(self.away_since)
