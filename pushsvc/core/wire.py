"""The documents of wire protocol v1, and the frame that carries one.

A frame holds one JSON document, the same bytes on every transport; each transport's wrapping of
them is made once, when the first subscriber needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pushsvc.core.merge import Point

if TYPE_CHECKING:
    from pushsvc.core.catalog import Series
    from pushsvc.core.cursor import Cursor

_encode = msgspec.json.Encoder().encode


class Close:
    """WebSocket close codes, by what the client should do (RFC 6455 section 7.4, ours from 4000).

    4000-4099: do not retry. 4100-4199: retry with back-off. 4200-4299: retry at once.
    """

    DONE: Final = 1000
    GOING_AWAY: Final = 1001
    REFUSED: Final = 1008
    TOO_BIG: Final = 1009
    RESTARTING: Final = 1012
    OVER_CAPACITY: Final = 1013
    STALLED: Final = 4100


class Frame:
    """One document on its way, with the cursor that a client has once it got it.

    `since` and `seq` say which batches the frame covers: later than `since`, up to `seq`. `cursor`
    is None where the document doesn't move the client's cursor.
    """

    __slots__ = (
        "_ndjson",
        "_sse",
        "_text",
        "cursor",
        "json",
        "points",
        "quiet",
        "retry_ms",
        "seq",
        "since",
    )

    def __init__(
        self,
        json: bytes,
        *,
        cursor: Cursor | None = None,
        since: int = -1,
        seq: int = -1,
        points: int = 0,
        quiet: bool = False,
        retry_ms: int | None = None,
    ) -> None:
        self.json = json
        self.cursor = cursor
        self.since = since
        self.seq = seq
        self.points = points
        """How many points the document has."""
        self.quiet = quiet
        """Whether it only says that the stream lives, so that a long poll need not answer."""
        self.retry_ms = retry_ms
        """What an EventSource must be told in its own words: when to come back."""
        self._sse: bytes | None = None
        self._text: str | None = None
        self._ndjson: bytes | None = None

    @property
    def sse(self) -> bytes:
        """As an event: an `id:` line where there is a cursor, a `data:` line, no `event:`."""
        if self._sse is None:
            # JSON has no raw line break, so one data line always holds it.
            head = "" if self.cursor is None else f"id: {self.cursor}\n"
            if self.retry_ms is not None:
                head += f"retry: {self.retry_ms}\n"
            self._sse = b"%bdata: %b\n\n" % (head.encode(), self.json)
        return self._sse

    @property
    def text(self) -> str:
        """As a string, for the ASGI servers that want text messages so."""
        if self._text is None:
            self._text = self.json.decode()
        return self._text

    @property
    def ndjson(self) -> bytes:
        """As one line."""
        if self._ndjson is None:
            self._ndjson = self.json + b"\n"
        return self._ndjson


def describe(series: Series) -> dict[str, Any]:
    """What a client must know of a series before it meets its ref."""
    described: dict[str, Any] = {
        "ref": series.ref,
        "name": series.identity.name,
        "labels": dict(series.identity.labels),
        "kind": series.kind,
        "unit": series.unit,
    }
    if series.help:
        described["help"] = series.help
    return described


def hello(
    epoch: str, session: str, heartbeat: float, *, max_hz: float, merge: str, select: Sequence[str]
) -> Frame:
    return Frame(
        _encode(
            {
                "type": "hello",
                "epoch": epoch,
                "session": session,
                "heartbeat": heartbeat,
                "granted": {"max_hz": max_hz, "merge": merge, "select": select},
            }
        )
    )


def points(
    cursor: Cursor | None, since: int, described: Iterable[Series] | None, points: list[Point]
) -> Frame:
    """News of a view; without a cursor only descriptions, which move nobody on."""
    document: dict[str, Any] = {"type": "points"}
    if cursor is not None:
        document["id"] = str(cursor)
    if described is not None:
        document["series"] = [describe(series) for series in described]
    document["points"] = points
    seq = since if cursor is None else cursor.seq
    return Frame(_encode(document), cursor=cursor, since=since, seq=seq, points=len(points))


def gap(cursor: Cursor, lost: int | None) -> Frame:
    """Samples after `cursor` that can no longer be given; None means that nobody knows how many.

    The cursor does not move: a client that is cut off right after it and comes back is told
    again, and a gap with the id of the one before is that same gap.
    """
    return Frame(
        _encode({"type": "gap", "id": str(cursor), "lost": lost}),
        cursor=cursor,
        since=cursor.seq,
        seq=cursor.seq,
    )


def gone(cursor: Cursor, since: int, refs: Sequence[int]) -> Frame:
    return Frame(
        _encode({"type": "gone", "id": str(cursor), "refs": refs}),
        cursor=cursor,
        since=since,
        seq=cursor.seq,
    )


def heartbeat(cursor: Cursor, since: int, time: int) -> Frame:
    return Frame(
        _encode({"type": "heartbeat", "id": str(cursor), "time": time}),
        cursor=cursor,
        since=since,
        seq=cursor.seq,
        quiet=True,
    )


def goaway(retry_ms: int) -> Frame:
    return Frame(_encode({"type": "goaway", "retry": retry_ms}), retry_ms=retry_ms)


def error(code: str, message: str, **extra: Any) -> Frame:
    return Frame(_encode({"type": "error", "code": code, "message": message, **extra}))
