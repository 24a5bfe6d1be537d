"""What a client is owed from before its cursor, series by series.

A cursor says that everything up to its seq was given. A client that changes what it watches gets
history of the series that are new to it, and that lies before its cursor: until it is given there
is a *debt*. It belongs to the client and not to the view: it is kept when the view is changed
again, and its number is part of the cursor, so that a client that was cut off is still owed it when
it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_KEPT = 100_000
"""Series in all debts that are remembered. A client that comes back with an older debt gets a
gap."""


class Debt(msgspec.Struct, frozen=True, eq=False):
    """For some series the ordinal from which a client is to be given rows.

    Before the client's cursor that is what it is owed. After the cursor it means that earlier rows
    were never asked for.
    """

    number: int
    starts: Mapping[int, int]
    """Ordinal by ref."""
    unknown: bool = False
    """Whether a part of it can't be counted any more."""


class Debts:
    """The debts of this process, numbered; beyond a hundred thousand series the oldest are
    forgotten."""

    def __init__(self, first: int = 1) -> None:
        """`first` is the number of the first debt. An epoch may outlive a process or be shared by
        several, and each process has debts of its own: with numbers that begin far apart they
        aren't confused."""
        self._debts: dict[int, Debt] = {}
        self._series = 0
        self._next = first

    def incur(self, starts: Mapping[int, int], *, unknown: bool) -> Debt:
        """Remember what a client is owed, and return it as a new debt."""
        debt = self._debts[self._next] = Debt(self._next, starts, unknown)
        self._next += 1
        self._series += len(starts)
        while self._series > _KEPT and len(self._debts) > 1:
            oldest = self._debts.pop(next(iter(self._debts)))
            self._series -= len(oldest.starts)
        return debt

    def get(self, number: int) -> Debt | None:
        """The debt of this number; None if it isn't remembered."""
        return self._debts.get(number)
