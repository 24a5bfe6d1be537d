"""The events of a stream, and the documents that they are made from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pushsvc.core.model.series import Kind, Value


class Series(msgspec.Struct, frozen=True):
    """The name and labels of a series, and what its values mean."""

    ref: int
    """The service's number for it, valid until the stream reconnects or ends."""
    name: str
    labels: dict[str, str]
    kind: Kind
    unit: str = ""
    help: str = ""
    expression: bool = False
    """Whether it is a result of an expression; `name` is then the text of the expression."""


class Sample(msgspec.Struct, frozen=True):
    """A value at a time. A `count` above 1 means that so many samples were merged into this one."""

    series: Series
    time: int
    """Unix milliseconds."""
    value: Value
    """A number; for a state a text or a boolean. For merged samples the last value, or for a delta
    the sum."""
    min: Value = None
    """The lowest of the merged values, with `envelope`; None otherwise."""
    max: Value = None
    count: int = 1


class Points(msgspec.Struct, frozen=True):
    """New samples, in the order in which the service sent them."""

    samples: list[Sample]
    cursor: str | None
    """The cursor of a client that has these samples and all before them; None where they don't move
    it."""


class Gap(msgspec.Struct, frozen=True):
    """So many samples are missing at this place; None: the number is unknown."""

    lost: int | None
    cursor: str


class Gone(msgspec.Struct, frozen=True):
    """These series had no samples for so long that the service dropped them."""

    series: list[Series]


class Ending(msgspec.Struct, frozen=True):
    """A series has no value from this time on (Unix milliseconds), until its next sample."""

    series: Series
    time: int


class Ended(msgspec.Struct, frozen=True):
    """These series have no value at present. They still exist, and go on with their next sample."""

    endings: list[Ending]
    cursor: str | None


class Away(msgspec.Struct, frozen=True):
    """The service can't reach its log, so there are no newer samples until it can again."""

    since: float
    """Unix seconds, by this machine's clock."""


class Back(msgspec.Struct, frozen=True):
    """The service can reach its log again, or another service answers that can."""


class Failing(msgspec.Struct, frozen=True):
    """The expressions that have no results now have changed. `reasons` gives the reason for each,
    by the name that the results would have; it is empty when all have results again."""

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
    """Turns documents into events, over one connection after the other."""

    def __init__(self) -> None:
        self.away_since: float | None = None
        """Since when the service can't reach its log (Unix seconds, by this machine's clock); None
        while it can."""
        self.failing: Mapping[str, str] = {}
        """Why expressions have no results now, by name."""
        self._series: dict[int, Series] = {}
        self._last_gap: str | None = None

    @property
    def series(self) -> Mapping[int, Series]:
        """The series that were described on this connection, by ref."""
        return self._series

    def begin(self) -> None:
        """Begin another connection, on which series are described again."""
        self._series.clear()

    def take(self, document: Document) -> Iterator[Event]:
        """The events of a document, in order; none for a document that only keeps the stream
        alive."""
        if document.type == "points":
            yield from self._take_points(document)
        elif document.type == "gap":
            # A gap with the same id is the same gap, repeated after a reconnect.
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
        """Note whether the service can reach its log, or for how long it hasn't."""
        if seconds is None and self.away_since is not None:
            self.away_since = None
            yield Back()
        elif seconds is not None and self.away_since is None:
            self.away_since = time.time() - seconds
            yield Away(self.away_since)
