"""Content codings: what a producer compressed, inflated part by part and within a bound.

gzip (RFC 1952, also of several members), deflate (the zlib format, RFC 9110 section 8.4.1.2) and
zstd (RFC 8878) with a window of 8 MiB at the most (RFC 9659), since a decoder has to hold it. Whole
bodies may be snappy or lz4 too, as the OpenTelemetry Collector sends them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import cramjam

from pushsvc import zstd
from pushsvc.errors import Malformed, TooLarge, UnsupportedMedia

_PIECE = 64 * 1024
"""Bytes that are decoded at a time: the most that a decompression bomb costs before the bound is
checked."""

_GROWTH = 200
"""An endless body may decode to so many times its encoded size. Samples in text shrink to a tenth
or a thirtieth."""

_ZSTD: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


class _Member(Protocol):
    """One compressed member or frame; several of them may follow each other."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes:
        """The bytes after the end of this member."""

    def inflate(self, data: bytes) -> bytes:
        """Up to `_PIECE` further bytes. Empty if it needs more data, or is at its end."""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def inflate(self, data: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, _PIECE)


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor(options=_ZSTD)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def inflate(self, data: bytes) -> bytes:
        return self._inner.decompress(data, _PIECE)


_CODINGS: dict[str, Callable[[], _Member]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "zlib": lambda: _Zlib(15),  # the Collector's name for the same format
    "zstd": _Zstd,
}

ACCEPTED = "gzip, zstd, deflate"
"""For `Accept-Encoding` in the answer to a coding that isn't (RFC 9110 section 15.5.16)."""


class Inflater:
    """Decodes one body: `feed` each part that comes, then `finish`.

    Nothing is decoded before the iterator that `feed` returns is advanced, and it must be exhausted
    before the next part is fed: a caller that is slow with a piece holds back the rest, however
    much a few bytes may grow to.
    """

    def __init__(self, coding: str, most: int, *, endless: bool = False) -> None:
        """`coding` is a value of Content-Encoding, `most` the number of decoded bytes that a body
        may have; an endless body may have more if it is no more than 200 times the encoded size.
        Raises UnsupportedMedia."""
        name = coding.strip().lower()
        if name not in _CODINGS and name not in ("", "identity"):
            raise UnsupportedMedia(
                "content_encoding",
                f"bodies come as they are or as one of {ACCEPTED}, not {name[:60]!r}",
            )
        self._coding = name
        self._open = _CODINGS.get(name)
        self._member: _Member | None = None
        self._begun = False
        self._most = most
        self._endless = endless
        self._sent = 0
        self._inflated = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes, in pieces of up to 64 KiB.

        Raises Malformed for bytes that don't fit the coding, TooLarge beyond the bound.
        """
        self._sent += len(data)
        if self._open is None:
            self._count(data)
            if data:
                yield data
            return
        while data or (self._member is not None and not self._member.eof):
            if self._member is None:
                self._member, self._begun = self._open(), True
            try:
                piece = self._member.inflate(data)
            except (zlib.error, zstd.ZstdError) as error:
                raise Malformed(
                    "content_encoding", f"the body is not valid {self._coding}: {error}"
                ) from None
            data = b""
            if self._member.eof:
                data, self._member = self._member.unused_data, None
            if piece:
                self._count(piece)
                yield piece
            elif not data:
                return

    def finish(self) -> None:
        """The body has ended. Raises Malformed where its coding needs more bytes."""
        if self._open is not None and (self._member is not None or not self._begun):
            raise Malformed("content_encoding", f"the body ends before its {self._coding} does")

    def _count(self, piece: bytes) -> None:
        self._inflated += len(piece)
        if self._inflated <= self._most:
            return
        if not self._endless:
            inflated = "" if self._open is None else ", inflated,"
            said = f"the body{inflated} is larger than {self._most} bytes (limits.body_bytes)"
        elif self._inflated > _GROWTH * self._sent:
            said = (
                f"the body inflates to more than {_GROWTH} times what was sent, and to more than "
                f"{self._most} bytes (limits.body_bytes)"
            )
        else:
            return
        raise TooLarge("body", said, limit="body_bytes")


_FRAMED = b"\xff\x06\x00\x00sNaPpY"
"""The start of a snappy stream. The Collector uses the same name for a single block of snappy."""
_WHOLE = ("snappy", "x-snappy-framed", "lz4")


def is_whole(coding: str) -> bool:
    """Whether `inflate_whole` reads this coding, one of those that only the Collector uses."""
    return coding.strip().lower() in _WHOLE


def inflate_whole(coding: str, body: bytes, most: int) -> bytes:
    """A body of snappy (a block or frames) or lz4 (frames), into room for `most` bytes at the most.

    Raises Malformed, TooLarge.
    """
    name = coding.strip().lower()
    room = bytearray(most)
    try:
        if name == "lz4":
            size = cramjam.lz4.decompress_into(body, room)
        elif body.startswith(_FRAMED):
            size = cramjam.snappy.decompress_into(body, room)
        elif cramjam.snappy.decompress_raw_len(body) > most:
            raise _too_large(most)
        else:
            size = cramjam.snappy.decompress_raw_into(body, room)
    except cramjam.DecompressionError as error:
        if "write whole buffer" in str(error):
            raise _too_large(most) from None
        raise Malformed("content_encoding", f"the body is not valid {name}: {error}") from None
    return bytes(memoryview(room)[:size])


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        "body",
        f"the body, inflated, is larger than {most} bytes (limits.body_bytes)",
        limit="body_bytes",
    )


def inflate(coding: str, body: bytes, most: int) -> bytes:
    """A whole body inflated. Raises Malformed, TooLarge and UnsupportedMedia."""
    inflater = Inflater(coding, most)
    inflated = b"".join(inflater.feed(body))
    inflater.finish()
    return inflated
