"""Numbers as protobuf writes lengths and tags."""

from __future__ import annotations


def encode_varint(number: int) -> bytes:
    """A number from 0 on, seven bits to a byte, the lowest first."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
