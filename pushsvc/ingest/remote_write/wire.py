"""The wire format, for the parts that are read without protobuf."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from pushsvc.errors import Malformed

SAMPLE_HEAD = b"\x12\x10\x09"
"""What a sample of 18 bytes begins with: its tag and length, and the tag of its value."""
sample_at = struct.Struct("<3sd7s").unpack_from
"""Such a sample's head, its value, and its time with the tag. One whose value is 0 leaves that
out."""


class Times:
    """Reads times of samples of this century, which have six bytes each behind their tag. Most
    times are the same as that of the sample before."""

    def __init__(self) -> None:
        self.raw = b""
        """The bytes of the last time that was read."""
        self.last = 0
        """The last time that was read, in Unix ms."""

    def read(self, raw: bytes) -> bool:
        """Read seven bytes; returns whether they are a time."""
        time = _varint6(raw[1:])
        if time is None or raw[0] != 0x10:
            return False
        self.raw, self.last = raw, time
        return True


def announced(body: bytes) -> int:
    """The uncompressed size at the start of a snappy block (a varint)."""
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size
    raise Malformed("snappy", "not a snappy block: it doesn't begin with a length")


def fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message: tag, start and end; other fields are skipped."""
    at, size = 0, len(data)
    while at < size:
        tag = data[at]
        # Nearly every tag is one byte, and every length one or two.
        if tag < 0x80 and tag & 7 == 2 and at + 2 < size:
            length = data[at + 1]
            if length < 0x80:
                at += 2
            elif data[at + 2] < 0x80:
                length = (length & 0x7F) | data[at + 2] << 7
                at += 3
            else:
                length, at = _varint(data, at + 1)
            if at + length > size:
                raise DecodeError("a field goes beyond the end")
            yield tag, at, at + length
            at += length
            continue
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 2:
            length, at = _varint(data, at)
            if at + length > size:
                raise DecodeError("a field goes beyond the end")
            yield tag, at, at + length
            at += length
        elif wire == 0:
            _, at = _varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        else:
            raise DecodeError("a field of an unknown sort")
    if at != size:
        raise DecodeError("a field goes beyond the end")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift = byte & 0x7F, 7
        while shift < 70:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at + 1
            shift += 7
    except IndexError:
        pass
    raise DecodeError("a number without an end")


def _varint6(raw: bytes) -> int | None:
    """The number in these six bytes; None if it has fewer or more bytes."""
    value = 0
    for place, byte in enumerate(raw):
        if (byte < 0x80) != (place == 5):
            return None
        value |= (byte & 0x7F) << 7 * place
    return value


def head_bytes(size: int) -> int:
    """Bytes of tag and length before a message of this size."""
    return 1 + max(1, (size.bit_length() + 6) // 7)


def is_labels(data: bytes) -> bool:
    """Whether these bytes are complete labels and nothing else."""
    try:
        return all(tag == 0x0A for tag, _, _ in fields(data)) and _only_lengths(data)
    except DecodeError:
        return False


def _only_lengths(data: bytes) -> bool:
    at = 0
    while at < len(data):
        if data[at] != 0x0A:
            return False
        length, at = _varint(data, at + 1)
        at += length
    return at == len(data)
