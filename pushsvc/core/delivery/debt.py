"""What a client is owed from before its cursor, series by series.

A cursor says that everything up to its seq was given. Who changes what it watches gets history of
the series that are new to it, which lies before that: until that is given there is a *debt*. It is
the client's and not the view's: it goes along when the view is changed again, and its number stands
in the cursor, so that it is still owed to who was cut off and comes back.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_KEPT = 100_000
"""Series in all debts that are remembered. Who comes back with an older one is told of a gap."""


class Debt(msgspec.Struct, frozen=True, eq=False):
    """For some series the ordinal from which a client is to be given rows.

    For those that lie behind the client's cursor that is what it is owed; for those that lie ahead,
    what comes before was never asked for.
    """

    number: int
    starts: Mapping[int, int]
    """Ordinal by ref."""
    unknown: bool = False
    """Whether something of it can no longer be counted."""


class Debts:
    """The debts of this process, numbered; beyond a hundred thousand series the oldest go."""

    def __init__(self, first: int = 1) -> None:
        """`first` is the number of the first debt. An epoch may outlive a process or be shared by
        several, and each has debts of its own: numbers that begin far apart are never taken for
        those of another."""
        self._debts: dict[int, Debt] = {}
        self._series = 0
        self._next = first

    def incur(self, starts: Mapping[int, int], *, unknown: bool) -> Debt:
        """Remember what somebody is owed."""
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
