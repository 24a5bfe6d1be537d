"""The documents of wire protocol v1, and the frame that carries one.

A frame holds one JSON document, with the same bytes on every transport. Each transport's form of it
is made once, when the first subscriber needs it, and so is each compressed form.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pushsvc import zstd
from pushsvc.core.delivery import documents
from pushsvc.core.delivery.merge import Merge, Point
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.storage.catalog import Series

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode

Ended: TypeAlias = tuple[int, int]
"""A ref and the time (Unix milliseconds) from which on it has no value."""


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
    UNAUTHORIZED: Final = 4001
    FORBIDDEN: Final = 4003
    STALLED: Final = 4100
    EXPIRED: Final = 4101


class Frame:
    """One document to be sent, with the cursor that a client has after it.

    `since` and `seq` say which batches the frame covers: later than `since`, up to `seq`. `cursor`
    is None where the document doesn't move the client's cursor.
    """

    __slots__ = (
        "_deflated",
        "away",
        "cursor",
        "forms",
        "json",
        "points",
        "quiet",
        "retry_ms",
        "seq",
        "since",
        "time",
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
        time: int = 0,
        away: int | None = None,
    ) -> None:
        self.json = json
        self.cursor = cursor
        self.since = since
        self.seq = seq
        self.points = points
        """How many points the document has."""
        self.quiet = quiet
        """Whether it only keeps the stream alive, so that a long poll needn't be answered with
        it."""
        self.retry_ms = retry_ms
        """For an EventSource, the milliseconds after which to reconnect, sent in the field
        `retry`."""
        self.time = time
        """For a heartbeat, when it was made (Unix milliseconds)."""
        self.away = away
        """For a heartbeat, how many seconds the log has been away; None while it can be reached."""
        self.forms: dict[Wire, bytes] = {}
        """Its bytes in the wire formats that were asked for."""
        self._deflated: bytes | None = None  # empty where compressing doesn't help

    def encoded(self, wire: Wire) -> bytes:
        """The bytes in this wire format, made when they are first asked for."""
        encoded = self.forms.get(wire)
        if encoded is None:
            encoded = self.forms[wire] = _WRAP[wire](self)
        return encoded

    def moved(self, cursor: Cursor) -> Frame:
        """The same heartbeat for a client with another cursor."""
        return heartbeat(cursor, cursor.seq, self.time, self.away)

    @property
    def deflated(self) -> bytes | None:
        """The document as deflate blocks that end on a byte boundary (RFC 1951); None if
        compressing doesn't help. Made once, for all compressed wire formats."""
        if self._deflated is None:
            self._deflated = _deflate(self.json)
        return self._deflated or None


def _event(frame: Frame) -> bytes:
    # JSON has no raw line break, so one data line always holds it.
    head = "" if frame.cursor is None else f"id: {frame.cursor}\n"
    if frame.retry_ms is not None:
        head += f"retry: {frame.retry_ms}\n"
    return b"%bdata: %b\n\n" % (head.encode(), frame.json)


def _line(frame: Frame) -> bytes:
    return frame.json + b"\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked HTTP/1.1 body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def websocket_frame(payload: bytes, opcode: int = 0x1) -> bytes:
    """One unfragmented frame from a server: not masked (RFC 6455 section 5.2). The reserved bits
    stand above the opcode's four."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


_DEFLATE_FROM = 512
"""Bytes of a document below which compressing costs more than it saves."""
_DEFLATE_LEVEL = 1
"""Of zlib: on frames of points the highest level saves an eighth more, for five times the time."""
_FLUSHED = b"\x00\x00\xff\xff"
"""The end of deflate blocks that were flushed to a byte boundary."""
_MOST_STORED = 0xFFFF
_ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    # At most what any client has to support (RFC 9659), and no more than is useful.
    zstd.CompressionParameter.window_log: 20,
}


def _deflate(data: bytes) -> bytes:
    if len(data) < _DEFLATE_FROM:
        return b""
    packer = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed if len(packed) <= 0.8 * len(data) else b""


def _deflated_frame(frame: Frame) -> bytes:
    """A frame whose message is compressed by itself (RFC 7692 section 7.2), if that helps: the
    extension allows each message to be sent either way."""
    if frame.deflated is None:
        return frame.encoded("websocket")
    return websocket_frame(frame.deflated.removesuffix(_FLUSHED), 0x41)


def _stored(data: bytes) -> bytes:
    """Deflate blocks with these bytes as they are (RFC 1951 section 3.2.4)."""
    parts = [data[start : start + _MOST_STORED] for start in range(0, len(data), _MOST_STORED)]
    return b"".join(
        b"\x00%b%b%b"
        % (len(part).to_bytes(2, "little"), (len(part) ^ 0xFFFF).to_bytes(2, "little"), part)
        for part in parts
    )


def _blocks(frame: Frame, text: bytes) -> bytes:
    """The part of a gzip stream for `text`, which contains the frame's document.

    Blocks that end on a byte boundary, aren't the last, and refer to nothing before them: so they
    are the same for all clients, at any place in a stream. The document's blocks are those that a
    WebSocket gets.
    """
    if frame.deflated is None:
        return _stored(text)
    before, _, after = text.partition(frame.json)
    return _stored(before) + frame.deflated + _stored(after)


GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""The start of a gzip stream (RFC 1952 section 2.3), before the blocks of frames."""


class GzipEnd:
    """The end of a gzip stream, with the checksum of all its content (RFC 1952 section 2.3.1)."""

    __slots__ = ("_crc", "_size")

    def __init__(self) -> None:
        self._crc = self._size = 0

    def count(self, text: bytes) -> None:
        """Add the next piece of the stream's uncompressed content."""
        self._crc = zlib.crc32(text, self._crc)
        self._size += len(text)

    def encoded(self) -> bytes:
        """An empty last block, and the checksum."""
        size = self._size & 0xFFFFFFFF
        return b"\x03\x00" + self._crc.to_bytes(4, "little") + size.to_bytes(4, "little")


def _zstd(text: bytes) -> bytes:
    """A zstd frame of its own; consecutive frames are one content (RFC 8878 section 3.1)."""
    return zstd.compress(text, options=_ZSTD_OPTIONS)


Text: TypeAlias = Literal["sse", "ndjson"]
"""The form of a document on a stream of text: an event or a line."""
Wire: TypeAlias = Literal[
    "sse",
    "sse-gzip",
    "sse-zstd",
    "ndjson",
    "ndjson-gzip",
    "ndjson-zstd",
    "sse-chunk",
    "sse-gzip-chunk",
    "sse-zstd-chunk",
    "ndjson-chunk",
    "ndjson-gzip-chunk",
    "ndjson-zstd-chunk",
    "websocket",
    "websocket-deflate",
]
"""How a document goes out: as text in a content coding, if any, and as an HTTP/1.1 chunk where no
server adds HTTP's framing; or as a WebSocket frame, compressed where that was negotiated."""

_TEXT: dict[Wire, Callable[[Frame], bytes]] = {
    "sse": _event,
    "ndjson": _line,
    "sse-gzip": lambda frame: _blocks(frame, frame.encoded("sse")),
    "ndjson-gzip": lambda frame: _blocks(frame, frame.encoded("ndjson")),
    "sse-zstd": lambda frame: _zstd(frame.encoded("sse")),
    "ndjson-zstd": lambda frame: _zstd(frame.encoded("ndjson")),
}
_IN: dict[tuple[Text, str], Wire] = {
    ("sse", "identity"): "sse",
    ("sse", "gzip"): "sse-gzip",
    ("sse", "zstd"): "sse-zstd",
    ("ndjson", "identity"): "ndjson",
    ("ndjson", "gzip"): "ndjson-gzip",
    ("ndjson", "zstd"): "ndjson-zstd",
}
_CHUNKED: dict[Wire, Wire] = {
    "sse": "sse-chunk",
    "ndjson": "ndjson-chunk",
    "sse-gzip": "sse-gzip-chunk",
    "ndjson-gzip": "ndjson-gzip-chunk",
    "sse-zstd": "sse-zstd-chunk",
    "ndjson-zstd": "ndjson-zstd-chunk",
}


def text_wire(text: Text, coding: str) -> Wire:
    """The wire format of a stream of text in a content coding: identity, gzip or zstd."""
    return _IN[text, coding]


def chunked(wire: Wire) -> Wire:
    """A text format with HTTP/1.1's framing."""
    return _CHUNKED[wire]


def framed(wire: Wire, data: bytes) -> bytes:
    """Bytes of a body outside of frames, in the form that a text format needs."""
    return chunk(data) if wire.endswith("-chunk") else data


def last_of(wire: Wire) -> bytes:
    """The end of a body in a text format: without chunks only closing the connection ends it."""
    return b"0\r\n\r\n" if wire.endswith("-chunk") else b""


def gzipped(wire: Wire) -> Text | None:
    """The text format within a gzip format; None for other formats."""
    text, _, rest = wire.partition("-")
    if not rest.startswith("gzip"):
        return None
    return "sse" if text == "sse" else "ndjson"


def _in_chunks(wire: Wire) -> Callable[[Frame], bytes]:
    return lambda frame: chunk(frame.encoded(wire))


_WRAP: dict[Wire, Callable[[Frame], bytes]] = {
    **_TEXT,
    **{_CHUNKED[wire]: _in_chunks(wire) for wire in _TEXT},
    "websocket": lambda frame: websocket_frame(frame.json),
    "websocket-deflate": _deflated_frame,
}


def describe(series: Series) -> documents.Series:
    """What a client must know of a series before it gets its ref."""
    identity = series.identity
    return documents.Series(
        series.ref,
        identity.name,
        dict(identity.labels),
        series.kind,
        series.unit,
        series.help or UNSET,
        series.derived or UNSET,
    )


def hello(
    epoch: str,
    session: str,
    heartbeat: float,
    *,
    max_hz: float,
    merge: Merge,
    select: Sequence[str],
    expressions: Mapping[str, str] | None = None,
    points: int | None = None,
    kept: float | None = None,
    cursor: Cursor | None = None,
    retry_ms: int | None = None,
    away: int | None = None,
    failing: Mapping[str, str] | None = None,
) -> Frame:
    """What was granted, of a past that is kept for `kept` seconds; with a cursor where something
    else is owed from now on. `retry_ms` is when an EventSource is to come back after an end of
    which nobody says more."""
    document = documents.Hello(
        id=UNSET if cursor is None else str(cursor),
        epoch=epoch,
        session=session,
        heartbeat=heartbeat,
        granted=documents.Granted(
            max_hz, merge, select, expressions or UNSET, _set(points), _set(kept)
        ),
        away=_set(away),
        failing=failing or UNSET,
    )
    seq = -1 if cursor is None else cursor.seq
    return Frame(_encode(document), cursor=cursor, since=seq, seq=seq, retry_ms=retry_ms)


class Greeting:
    """What all clients are told in their `hello` that are greeted alike; encoded once."""

    __slots__ = ("_after", "_before")

    def __init__(self, hello: Frame) -> None:
        """`hello` is for a session without a name."""
        before, empty, self._after = hello.json.partition(b'"session":"')
        self._before = before + empty

    def to(self, session: str, retry_ms: int) -> Frame:
        """The `hello` for a session whose name needs no escapes. `retry_ms` is as in `hello`."""
        json = b"%b%b%b" % (self._before, session.encode(), self._after)
        return Frame(json, retry_ms=retry_ms)


def points(
    cursor: Cursor | None,
    since: int,
    described: Iterable[Series] | None,
    points: list[Point],
    time: int | None = None,
    ended: Sequence[Ended] = (),
) -> Frame:
    """New points of a view; without a cursor only descriptions, which don't move the client's
    cursor. `time` is when it was made (Unix milliseconds), if its samples are new.

    `ended` are the places where lines break: no value from that time to the next point. They are
    apart from the points, so that clients that don't know them read the points correctly.
    """
    document = documents.Points(
        id=UNSET if cursor is None else str(cursor),
        series=UNSET if described is None else [describe(series) for series in described],
        time=_set(time),
        points=points,
        ended=ended or UNSET,
    )
    seq = since if cursor is None else cursor.seq
    return Frame(_encode(document), cursor=cursor, since=since, seq=seq, points=len(points))


def gap(cursor: Cursor, lost: int | None) -> Frame:
    """Samples after `cursor` that can't be given any more; None means that their number is unknown.

    The cursor doesn't move: a client that is cut off right after it and comes back is told again,
    and a gap with the same id as the one before is that same gap.
    """
    return Frame(
        _encode(documents.Gap(str(cursor), lost)),
        cursor=cursor,
        since=cursor.seq,
        seq=cursor.seq,
    )


def gone(cursor: Cursor, since: int, refs: Sequence[int]) -> Frame:
    return Frame(
        _encode(documents.Gone(str(cursor), refs)),
        cursor=cursor,
        since=since,
        seq=cursor.seq,
    )


def failing(cursor: Cursor, since: int, reasons: Mapping[str, str]) -> Frame:
    """The expressions that have no results now, and why."""
    return Frame(
        _encode(documents.Failing(str(cursor), reasons)),
        cursor=cursor,
        since=since,
        seq=cursor.seq,
    )


def heartbeat(cursor: Cursor, since: int, time: int, away: int | None = None) -> Frame:
    """A heartbeat; with `away` it says that the log couldn't be reached for so many seconds, so
    that there are no newer samples."""
    return Frame(
        _encode(documents.Heartbeat(str(cursor), time, _set(away))),
        cursor=cursor,
        since=since,
        seq=cursor.seq,
        quiet=True,
        time=time,
        away=away,
    )


def goaway(retry_ms: int) -> Frame:
    return Frame(_encode(documents.Goaway(retry_ms)), retry_ms=retry_ms)


def error(code: str, message: str, **extra: Any) -> Frame:
    return Frame(_encode(documents.error_members(code, message, extra)))


def _set(value: _T | None) -> _T | UnsetType:
    """Members that are None are left out of a document."""
    return UNSET if value is None else value


def farewell(reason: str, message: str, retry_ms: int | None) -> list[Frame]:
    """What a client is told when the server ends its stream: why, and when to come back."""
    frames = [error(reason, message)] if message else []
    return frames if retry_ms is None else [*frames, goaway(retry_ms)]
