"""Tables of symbols that came before, with the series whose bytes mean the same wherever their
symbols are the same."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from pushsvc.ingest.gathered import Known

_NOTED = 4096
"""Tables that are recognized when they come a second time."""
_MISSES = 3
"""How often in a row a table may not help before it is given up."""
_ENTRY = 150
"""Bytes that a series takes besides those of its key, about, and so does a symbol."""


class Table(msgspec.Struct):
    """Series by their bytes, besides value and time, where the symbols are these."""

    series: dict[bytes, Known]
    size: int
    """Bytes that it takes, about."""
    misses: int = 0


class Tables:
    """The tables of producers that send the same series each time, from the second time on. Those
    that didn't come for the longest are forgotten where all take more than so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._by_symbols: OrderedDict[tuple[str, ...], Table] = OrderedDict()
        self._noted: dict[int, int] = {}
        self.size = 0
        """Bytes that all take, about."""

    def find(self, symbols: tuple[str, ...]) -> Table | None:
        """The table with these symbols; None where they didn't come before, or it is of no use."""
        table = self._by_symbols.get(symbols)
        if table is not None:
            self._by_symbols.move_to_end(symbols)
            if table.misses < _MISSES:
                return table
            del self._by_symbols[symbols]
            self.size -= table.size
            return None
        if len(self._noted) >= _NOTED:
            self._noted.clear()
        mark = hash(symbols)
        times = self._noted[mark] = self._noted.get(mark, 0) + 1
        if times != 2:
            return None
        table = self._by_symbols[symbols] = Table({}, 0)
        self._grow(table, sum(map(len, symbols)) + _ENTRY * (1 + len(symbols)))
        return table

    def add(self, table: Table, key: bytes, series: Known) -> None:
        """Remember a series, unless the table was forgotten meanwhile."""
        if table.size and key not in table.series:
            table.series[key] = series
            self._grow(table, len(key) + _ENTRY)

    def _grow(self, table: Table, size: int) -> None:
        table.size += size
        self.size += size
        while self.size > self._most and self._by_symbols:
            _, oldest = self._by_symbols.popitem(last=False)
            self.size -= oldest.size
            oldest.series.clear()
            oldest.size = 0
