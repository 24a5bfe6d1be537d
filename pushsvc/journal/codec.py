"""Drafts as bytes, for journals that outlive the process or are shared.

    version (1 byte) | coding (1 byte: 0 uncompressed, 1 zstd) | body

The body is msgpack. In version 1 it is an array in the order of `_Body`, with numbers in columns,
little-endian; in version 2 it is an array in the order of `_Recording`, for a change of a record.
Producers send the same series again and again, so names and labels stand together in one block: a
block that was decoded before isn't decoded again.
"""

from __future__ import annotations

import functools
import sys
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from math import nan
from typing import Any, TypeVar

import msgspec

from pushsvc import zstd
from pushsvc.core.model.series import Batch, Columns, Identity, Kind, Rows, canonical
from pushsvc.core.storage.entry import Draft
from pushsvc.core.storage.records import Change

_Read = TypeVar("_Read")

VERSION = 2
_SAMPLES, _RECORDS = 1, 2
"""The versions, by what the body holds. An older release that doesn't know records then reports the
version, instead of misreading a change of a record."""
_PLAIN, _ZSTD = 0, 1
_COMPRESSED = 400
"""Bodies of at least this many bytes are compressed."""
_LEVEL = 1
_LARGEST = 1 << 28
"""The most bytes of a body: many times what the limits allow."""
_CACHED = 1 << 25
"""Bytes of decoded blocks of names and labels that are cached. Of packed identities, half as many
are, and of encoded blocks a quarter."""

_KINDS: tuple[Kind | None, ...] = (None, "gauge", "counter", "delta", "state")
_KIND, _GIVEN, _UNIT, _HELP, _STARTS = 7, 8, 16, 32, 64
"""The bits in a byte of `flags`: an index of `_KINDS`, and which other fields are set."""


class CodecError(Exception):
    """The bytes are not a draft that this version can read."""


class _Body(msgspec.Struct, array_like=True, frozen=True):
    """The body of a batch, as `encode` writes it."""

    nonce: bytes
    partial: bool
    width: int
    flags: bytes
    """One byte for each series, or a single byte if it is the same for all."""
    counts: bytes
    """The number of rows of each series, as uint32; empty if each has one."""
    times: bytes
    """The times of all rows, as int64."""
    values: bytes
    """The values of all rows, as doubles; for a value that is not a number, any double."""
    others: list[tuple[int, str | bool | None]]
    """Values that aren't numbers, each with its index."""
    texts: list[str]
    """Units and help texts that were given, in order."""
    starts: bytes
    """The start times of the rows that have them, as int64."""
    identities: bytes
    """Msgpack of a list: for each series its name, then the names and values of its labels."""
    once: bytes = b""
    series: int = 0
    """Left out if it is 0; older versions ignore it."""


class _Recording(msgspec.Struct, array_like=True, frozen=True):
    nonce: bytes
    change: Change


class _Cache:
    """Identities by the bytes of their block: a least-recently-used cache bounded in bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._blocks: OrderedDict[bytes, tuple[Identity, ...]] = OrderedDict()

    def get(self, block: bytes) -> tuple[Identity, ...]:
        """Raises CodecError."""
        identities = self._blocks.get(block)
        if identities is not None:
            self._blocks.move_to_end(block)
            return identities
        identities = _read_identities(block)
        self._blocks[block] = identities
        self._held += len(block)
        while self._held > self._most and len(self._blocks) > 1:
            self._held -= len(self._blocks.popitem(last=False)[0])
        return identities


class _Blocks:
    """Blocks by the `identities` object of columns, which is often the same object again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._blocks: dict[int, tuple[tuple[Identity, ...], bytes]] = {}

    def get(self, identities: tuple[Identity, ...]) -> bytes:
        known = self._blocks.get(id(identities))
        if known is not None:
            return known[1]
        block = _write_identities(identities)
        if self._held > self._most:
            self._blocks.clear()
            self._held = 0
        self._blocks[id(identities)] = identities, block
        self._held += len(block)
        return block


_read_names = msgspec.msgpack.Decoder(list[list[str]])
_read_body = msgspec.msgpack.Decoder(_Body)
_read_recording = msgspec.msgpack.Decoder(_Recording)
_pack = msgspec.msgpack.Encoder().encode
_cache = _Cache(_CACHED)
_blocks = _Blocks(_CACHED // 4)
_compressor = zstd.ZstdCompressor(_LEVEL)
"""Does the same as `zstd.compress`, but doesn't allocate and free its buffers each time."""
_packed: dict[str, bytes] = {}
_packed_bytes = 0


def encode(draft: Draft) -> bytes:
    """A draft as bytes that `decode` can read."""
    return compress(encode_plainly(draft))


def compress(plain: bytes) -> bytes:
    """Turn the result of `encode_plainly` into that of `encode`."""
    body = memoryview(plain)[2:]
    if len(body) < _COMPRESSED:
        return plain
    return bytes((plain[0], _ZSTD)) + _compressor.compress(body, _compressor.FLUSH_FRAME)


def encode_plainly(draft: Draft) -> bytes:
    """Like `encode`, but never compressed: for a reader that decodes it at once."""
    if draft.change is not None:
        return _head(_RECORDS) + _pack(_Recording(draft.nonce, draft.change))
    columns = draft.batch.columns
    body = _rows_body(draft) if columns is None else _columns_body(draft, columns)
    return _head(_SAMPLES) + _pack((*body, draft.series) if draft.series else body)


def _head(version: int) -> bytes:
    return bytes((version, _PLAIN))


def _columns_body(draft: Draft, columns: Columns) -> tuple[Any, ...]:
    counts = b""  # each has one
    return (
        *(draft.nonce, draft.partial, draft.width),
        *(_plain_flags(columns.kinds, columns.given), counts),
        *(_bytes(array("q", columns.times)), _bytes(array("d", columns.values)), (), (), b""),
        *(_blocks.get(columns.identities), draft.once),
    )


def _rows_body(draft: Draft) -> tuple[Any, ...]:
    rows = draft.batch.rows
    flags = bytes([_flags(one) for one in rows])
    lengths = [len(one.times) for one in rows]
    values: list[Any] = [value for one in rows for value in one.values]
    others = []
    if not set(map(type, values)) <= {float}:
        others = [(at, value) for at, value in enumerate(values) if type(value) is not float]
        values = [value if type(value) is float else nan for value in values]
    return (
        draft.nonce,
        draft.partial,
        draft.width,
        _uniform(flags),
        b"" if set(lengths) == {1} else _bytes(array("I", lengths)),
        _bytes(array("q", [time for one in rows for time in one.times])),
        _bytes(array("d", values)),
        others,
        [text for one in rows for text in (one.unit, one.help) if text is not None],
        _bytes(array("q", [start for one in rows for start in one.starts or ()])),
        _write_identities([one.identity for one in rows]),
        draft.once,
    )


def decode(data: bytes) -> Draft:
    """The draft that was encoded. Raises CodecError."""
    if len(data) < 2:
        raise CodecError("an entry is cut off")
    if data[0] == _RECORDS:
        recording = _body(data, _read_recording)
        return Draft(recording.nonce, Batch([]), change=recording.change)
    if data[0] != _SAMPLES:
        raise CodecError(f"an entry is of version {data[0]}, this reads up to {VERSION}")
    body = _body(data, _read_body)
    try:
        return Draft(
            body.nonce, _batch(body), body.partial, body.once, body.width, series=body.series
        )
    except (IndexError, OverflowError, StopIteration, ValueError) as error:
        raise CodecError(f"an entry is broken: {error}") from None


def _flags(rows: Rows) -> int:
    return (
        _KINDS.index(rows.kind)
        | rows.given << 3
        | (rows.unit is not None) << 4
        | (rows.help is not None) << 5
        | (rows.starts is not None) << 6
    )


def _body(data: bytes, read: msgspec.msgpack.Decoder[_Read]) -> _Read:
    body: bytes | memoryview = memoryview(data)[2:]
    try:
        if data[1] == _ZSTD:
            reader = zstd.ZstdDecompressor()
            body = reader.decompress(body, _LARGEST)
            if not reader.eof:
                raise CodecError("an entry is cut off, or too large")
        elif data[1] != _PLAIN:
            raise CodecError(f"an entry is in coding {data[1]}, which this doesn't know")
        return read.decode(body)
    except (msgspec.MsgspecError, zstd.ZstdError, UnicodeDecodeError) as error:
        raise CodecError(f"an entry is broken: {error}") from None


def _batch(body: _Body) -> Batch:
    identities = _cache.get(body.identities)
    count = len(identities)
    time_column, value_column = _array("q", body.times), _array("d", body.values)
    flags = body.flags * count if len(body.flags) == 1 else body.flags
    counts = [1] * count if not body.counts else _array("I", body.counts).tolist()
    rows_of_all = sum(counts)
    if not len(flags) == len(counts) == count or not rows_of_all == len(time_column) == len(
        value_column
    ):
        raise ValueError("its columns aren't of one length")
    if not count:
        return Batch([])
    if not (body.counts or body.others) and (plain := _plain(body.flags, count)) is not None:
        return Batch(None, Columns(identities, time_column, value_column, *plain))
    times: list[int] = time_column.tolist()
    values: list[Any] = value_column.tolist()
    for index, other in body.others:
        values[index] = other
    if 0 in counts:
        raise ValueError("a series has no rows")
    rows = []
    texts, starts, started = iter(body.texts), _array("q", body.starts).tolist(), 0
    for identity, flag, length, end in zip(
        identities, flags, counts, accumulate(counts), strict=True
    ):
        own = None
        if flag & _STARTS:
            own = starts[started : started + length]
            started += length
            if len(own) != length:
                raise ValueError("starts are missing")
        rows.append(
            Rows(
                identity,
                times[end - length : end],
                values[end - length : end],
                _KINDS[flag & _KIND],
                next(texts) if flag & _UNIT else None,
                next(texts) if flag & _HELP else None,
                bool(flag & _GIVEN),
                own,
            )
        )
    return Batch(rows)


def _uniform(flags: bytes) -> bytes:
    """Reduced to a single byte if all are equal."""
    return flags[:1] if flags.count(flags[:1]) == len(flags) else flags


@functools.lru_cache(32)
def _plain_flags(kinds: tuple[Kind | None, ...], given: bool) -> bytes:
    return _uniform(bytes([_KINDS.index(kind) | given << 3 for kind in kinds]))


@functools.lru_cache(32)
def _plain(flags: bytes, count: int) -> tuple[tuple[Kind | None, ...], bool] | None:
    """The kinds of `count` series, and whether their times were given, if the flags say nothing
    else and `given` is the same for all; else None. Cached: the same flags give the same tuple."""
    others = {flag & ~_KIND for flag in set(flags)}
    if others not in ({0}, {_GIVEN}):
        return None
    kinds = tuple([_KINDS[flag & _KIND] for flag in flags])
    return kinds * count if len(kinds) == 1 else kinds, others == {_GIVEN}


def _bytes(column: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _array(code: str, data: bytes) -> array[Any]:
    column = array(code)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _write_identities(identities: Sequence[Identity]) -> bytes:
    global _packed_bytes
    count = len(identities)
    parts = [_pack([None] * count)[: -count or None]]  # the header of an array of that length
    for identity in identities:
        part = _packed.get(identity.text)
        if part is None:
            labels = [text for label in identity.labels for text in label]
            part = _pack([identity.name, *labels])
            if _packed_bytes > _CACHED // 2:
                _packed.clear()
                _packed_bytes = 0
            _packed[identity.text] = part
            _packed_bytes += len(part) + len(identity.text)
        parts.append(part)
    return b"".join(parts)


def _read_identities(block: bytes) -> tuple[Identity, ...]:
    try:
        written = _read_names.decode(block)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CodecError(f"the names in an entry are broken: {error}") from None
    identities = []
    for name, *texts in written:
        labels = tuple(zip(texts[::2], texts[1::2], strict=True))
        identities.append(Identity(name, labels, canonical(name, labels)))
    return tuple(identities)
