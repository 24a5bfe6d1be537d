"""Records: what one append puts into a segment, and what a datagram carries to the other processes.

    header | the length of each draft (uint32) | the drafts, as `codec.encode_plainly` writes them

A record without drafts says that the next record is in another segment. All numbers are
little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal.codec import decode, encode_plainly
from pushsvc.journal.keeping import Mark

_HEADER = struct.Struct("<IIQQQQqQQQ")
"""Checksum of what follows it, number of drafts, bytes of the record, first seq of the segment,
first and last seq, stamp, and the totals since the log began: entries, samples, bytes."""
HEADER_BYTES = _HEADER.size
BASE = struct.Struct("<QqQQQ")
"""What a segment or a snapshot begins with: the end of the log before it, a `Mark`."""
_CHECKED = 4
"""Where what the checksum is about begins."""


class Place(NamedTuple):
    """A place in the log: in the segment that begins with a seq, after so many bytes."""

    segment: int
    offset: int
    mark: Mark
    """What is before it."""


class Record(NamedTuple):
    """The header of a record: how many drafts it has, how many bytes it takes."""

    check: int
    drafts: int
    size: int
    segment: int
    first: int
    mark: Mark
    """The end of the log after it."""

    def after(self, place: Place) -> Place:
        """The place after this record, which is the next one at a place."""
        offset = place.offset if self.segment == place.segment else BASE.size
        return Place(self.segment, offset + self.size, self.mark)


class Written(NamedTuple):
    """A record that is to be appended."""

    record: bytes
    entries: list[Entry]
    place: Place
    """The place after it."""


def write(place: Place, drafts: Sequence[Draft], now: int) -> Written:
    """The record of drafts at a place, the end of the log. `now` is the time, Unix
    milliseconds."""
    mark = place.mark
    stamp = max(mark.stamp, now)
    bodies = [encode_plainly(draft) for draft in drafts]
    lengths = struct.pack(f"<{len(bodies)}I", *map(len, bodies))
    size = HEADER_BYTES + len(lengths) + sum(map(len, bodies))
    entries, seq, samples = [], mark.seq + 1, mark.samples
    for draft in drafts:
        entries.append(Entry(seq, stamp, draft))
        seq += draft.width
        samples += draft.batch.count
    end = Mark(seq - 1, stamp, mark.entries + len(entries), samples, mark.bytes + size)
    record = _record(place.segment, mark.seq + 1, len(bodies), end, size, (lengths, *bodies))
    return Written(record, entries, Place(place.segment, place.offset + size, end))


def write_end(place: Place) -> bytes:
    """The record that ends a segment."""
    return _record(place.segment, place.mark.seq + 1, 0, place.mark, HEADER_BYTES, ())


def _record(
    segment: int, first: int, count: int, end: Mark, size: int, parts: Sequence[bytes]
) -> bytes:
    head = _HEADER.pack(
        *(0, count, size, segment, first),
        *(end.seq, end.stamp, end.entries, end.samples, end.bytes),
    )[_CHECKED:]
    rest = b"".join((head, *parts))
    return crc32(rest).to_bytes(_CHECKED, "little") + rest


def read_header(data: bytes, offset: int = 0) -> Record:
    """The header at an offset. It says anything if no record is there: see `is_whole`."""
    check, count, size, segment, first, *mark = _HEADER.unpack_from(data, offset)
    return Record(check, count, size, segment, first, Mark(*mark))


def is_whole(record: Record, data: bytes, offset: int = 0) -> bool:
    """Whether the bytes are what was written. They may be too few."""
    end = offset + record.size
    if record.size < HEADER_BYTES or end > len(data):
        return False
    return crc32(memoryview(data)[offset + _CHECKED : end]) == record.check


def read_entries(
    record: Record,
    data: bytes,
    offset: int = 0,
    own: Callable[[int], Draft | None] = lambda _: None,
) -> list[Entry]:
    """The entries of a whole record. `own` may return the draft that begins with a seq, which then
    isn't decoded. Raises CodecError."""
    start = offset + HEADER_BYTES
    lengths = struct.unpack_from(f"<{record.drafts}I", data, start)
    start += 4 * record.drafts
    entries, seq, stamp = [], record.first, record.mark.stamp
    for length in lengths:
        draft = own(seq)
        if draft is None:
            draft = decode(data[start : start + length])
        entries.append(Entry(seq, stamp, draft))
        seq += draft.width
        start += length
    return entries
