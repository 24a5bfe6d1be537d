"""Series of earlier requests."""

from __future__ import annotations

from typing import TypeAlias

from pushsvc.ingest.gathered import Known

REMEMBERED = 4096
"""Bytes of labels beyond which a series is read anew each time."""

Group: TypeAlias = tuple[int, ...]


class KnownSeries:
    """Series by what is equal in every request: in version 1.0 the bytes of the labels, in version
    2.0 the numbers of the labels' symbols, in a group for each family."""

    def __init__(self, most: int) -> None:
        self._groups: dict[Group, dict[bytes, Known]] = {}
        self._most = most
        self._count = 0

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def group(self, of: Group = ()) -> dict[bytes, Known]:
        """The known series of a group, to be read."""
        found = self._groups.get(of)
        if found is None:
            self._grow()
            found = self._groups[of] = {}
        return found

    def remember(self, group: dict[bytes, Known], key: bytes, series: Known) -> None:
        """Remember a series; when there are too many, all are forgotten first."""
        self._grow()
        group[key] = series

    def clear(self) -> None:
        """Read all of them anew from now on."""
        for group in self._groups.values():
            group.clear()  # also for who is reading it
        self._groups.clear()
        self._count = 0

    def _grow(self) -> None:
        if self._count >= self._most:
            self.clear()
        self._count += 1
