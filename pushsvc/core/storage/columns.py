"""Which series the columns of a batch are of, known from those of before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from pushsvc.core.model.series import Batch, Identity, Kind, Rows
from pushsvc.core.storage.catalog import Catalog, Series, Watcher
from pushsvc.core.storage.entry import PIECE
from pushsvc.core.storage.history import History, follow

_views = attrgetter("views")
_HELD = 256
"""Columns that are remembered: of so many producers, about."""


class KnownSeries(msgspec.Struct, frozen=True):
    """Those of a batch of which nothing can be refused, nor changes what is said of them."""

    series: Sequence[Series]
    histories: Sequence[History]

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, KnownSeries]]:
        """The batch as `entry.pieces` cuts it, each with those that it is of."""
        columns = batch.columns
        if columns is None or len(self.series) <= PIECE:
            yield batch, self
            return
        for start in range(0, len(self.series), PIECE):
            stop = start + PIECE
            known = KnownSeries(self.series[start:stop], self.histories[start:stop])
            yield Batch(None, columns.part(start, stop)), known

    def follow(self, seq: int, batch: Batch, touched: dict[Watcher, None]) -> list[Rows]:
        """Take in what is ordinary in a batch of them, and mark the views of those series dirty,
        which are put with `touched`; gives the rest, for which more is to be done."""
        columns = batch.columns
        if columns is None:
            return batch.rows
        late = follow(self.histories, seq, columns.times, columns.values, columns.given)
        if any(map(_views, self.series)):
            left = frozenset(late)
            for place, series in enumerate(self.series):
                if series.views and place not in left:
                    for view in series.views:
                        touched[view] = None
                        view.dirty[series.ref] = series
        return [batch.rows[place] for place in late]


class _Found(msgspec.Struct, frozen=True):
    identities: tuple[Identity, ...]
    version: int
    """Of the catalog."""
    kinds: tuple[Kind | None, ...]
    known: KnownSeries | None


class KnownColumns:
    """What was found for the same columns last time holds until the catalog changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, _Found] = OrderedDict()

    def find(self, batch: Batch, catalog: Catalog) -> KnownSeries | None:
        """The series of a batch in columns; None where it must be looked at one by one."""
        columns = batch.columns
        if columns is None:
            return None
        key = id(columns.identities)
        found = self._found.get(key)
        if found is not None and found.version == catalog.version and found.kinds == columns.kinds:
            self._found.move_to_end(key)
            return found.known
        series = [catalog.get(identity.text) for identity in columns.identities]
        known = None
        if None not in series and len({id(one) for one in series}) == len(series):
            same = [one for one in series if one is not None]
            if not all(map(Series.takes_as_it_is, same, columns.kinds)):
                return None  # which may be otherwise the next time
            known = KnownSeries(same, [one.history for one in same])
        self._found[key] = _Found(columns.identities, catalog.version, columns.kinds, known)
        if len(self._found) > _HELD:
            self._found.popitem(last=False)
        return known
