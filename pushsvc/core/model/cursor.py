"""A cursor says how far a client has got. It is opaque to clients, and usually `EPOCH.SEQ`.

The epoch names one run of the hub's sequence. A cursor of another epoch has no meaning in this one:
its client gets a gap of unknown size and goes on from there.

While a client is still owed history from before its seq, of series that it came to watch later, its
cursor is `EPOCH~DEBT-PLACE.SEQ`: the number of that debt, and up to which seq of the past it was
paid.

A client that polls, and meets one epoch after the other at an address of several servers without a
common journal, has a cursor that counts this: `EPOCH!TIMES.SEQ`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pushsvc.core.model.series import shorten
from pushsvc.errors import Malformed

_CURSOR = re.compile(
    r"([A-Za-z0-9_-]{1,64})"
    r"(?:!([1-9][0-9]{0,2}))?"
    r"(?:~(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17}))?"
    r"\.(0|[1-9][0-9]{0,17})",
    re.ASCII,
)


class Cursor(msgspec.Struct, frozen=True):
    epoch: str
    seq: int
    """The batch up to which everything was given, except what the debt is about."""
    debt: int | None = None
    """The number of the debt, where there is one."""
    place: int = 0
    """The batch up to which the debt was paid."""
    switches: int = 0
    """How often recently its client came with a cursor of another epoch."""

    def __str__(self) -> str:
        owed = "" if self.debt is None else f"~{self.debt}-{self.place}"
        switches = f"!{self.switches}" if self.switches else ""
        return f"{self.epoch}{switches}{owed}.{self.seq}"


NO_EPOCHS: Final = Cursor("-", 0)
"""For cursors without meaning to this hub: their clients have some samples, but it isn't known
which."""


def parse_cursor(text: str) -> Cursor:
    """Read a cursor as a server wrote it. Raises Malformed with code `cursor`."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise Malformed(
            "cursor", f"{shorten(text)} is not a cursor: give back the last id that was received"
        )
    epoch, switches, debt, place, seq = match.groups()
    return Cursor(
        epoch,
        int(seq),
        None if debt is None else int(debt),
        int(place or 0),
        int(switches or 0),
    )
