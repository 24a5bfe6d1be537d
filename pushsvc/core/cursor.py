"""A cursor says how far a client has got: `EPOCH.SEQ`, opaque to clients.

The epoch names one run of the hub's sequence. A cursor of another epoch says nothing about this
one: its holder gets a gap of unknown size and goes on from there.
"""

from __future__ import annotations

import re

import msgspec

from pushsvc.core.series import shorten
from pushsvc.errors import Malformed

_CURSOR = re.compile(r"([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,17})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


def parse_cursor(text: str) -> Cursor:
    """Read a cursor as a server wrote it. Raises Malformed with code `cursor`."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise Malformed(
            "cursor", f"{shorten(text)} is not a cursor: give back the last id that was received"
        )
    return Cursor(match[1], int(match[2]))
