"""Finds the series of a batch in columns, and remembers them for the next batch of the same
series."""

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
"""Sets of columns that are remembered. A producer usually has one."""


_SHOWN = 4
"""Views of a batch are remembered if they show each of its series about so many times at most:
what is remembered takes memory for each series of each view."""


class KnownSeries:
    """The series of a batch, where no sample can be refused and none changes what is known of a
    series."""

    __slots__ = ("_shown", "histories", "series")

    def __init__(self, series: Sequence[Series], histories: Sequence[History]) -> None:
        self.series = series
        self.histories = histories
        self._shown: Sequence[Shown] | None = None  # None if it isn't known, or too much

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, KnownSeries]]:
        """The batch, cut as by `entry.pieces`; each piece comes with its series."""
        columns = batch.columns
        if columns is None or len(self.series) <= PIECE:
            yield batch, self
            return
        for start in range(0, len(self.series), PIECE):
            stop = start + PIECE
            known = KnownSeries(self.series[start:stop], self.histories[start:stop])
            yield Batch(None, columns.part(start, stop)), known

    def follow(self, seq: int, batch: Batch, touched: dict[Watcher, None]) -> list[Rows]:
        """Append the ordinary samples of their batch, mark their series dirty in all views that
        show them, and add these views to `touched`. Gives the other rows, which the caller has to
        take in."""
        columns = batch.columns
        if columns is None:
            return batch.rows
        late = follow(self.histories, seq, columns.times, columns.values, columns.given)
        if not late:
            for shown in self._shown_by_views():
                touched[shown.view] = None
                shown.view.mark(seq, columns, shown.series, shown.places)
        elif any(map(_views, self.series)):
            left = frozenset(late)
            for place, series in enumerate(self.series):
                if series.views and place not in left:
                    for view in series.views:
                        touched[view] = None
                        view.dirty[series.ref] = series
        return [batch.rows[place] for place in late]

    def _shown_by_views(self) -> Sequence[Shown]:
        if self._shown is not None:
            return self._shown
        places: dict[Watcher, list[int]] = {}
        if any(map(_views, self.series)):
            for place, one in enumerate(self.series):
                for view in one.views:
                    places.setdefault(view, []).append(place)
        shown = []
        for view, some in places.items():
            every = len(some) == len(self.series)
            of_view = self.series if every else [self.series[place] for place in some]
            shown.append(Shown(view, {one.ref: one for one in of_view}, None if every else some))
        if sum(map(len, places.values())) <= _SHOWN * len(self.series):
            self._shown = shown
        return shown

    def forget_views(self) -> None:
        """Look again who shows the series: a view came or went."""
        self._shown = None


class Shown(msgspec.Struct, frozen=True):
    """What a view shows of a batch."""

    view: Watcher
    series: dict[int, Series]
    """By ref, in their order in the batch."""
    places: Sequence[int] | None
    """Their places in the batch; None if it shows all."""


class _Found(msgspec.Struct, frozen=True):
    identities: tuple[Identity, ...]
    version: int
    """The catalog's version when this was found."""
    kinds: tuple[Kind | None, ...]
    known: KnownSeries | None


class KnownColumns:
    """Remembers what was found for columns, which is right until the catalog changes."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, _Found] = OrderedDict()

    def forget_views(self) -> None:
        """Look again who shows the series: a view came or went."""
        for found in self._found.values():
            if found.known is not None:
                found.known.forget_views()

    def find(self, batch: Batch, catalog: Catalog) -> KnownSeries | None:
        """The series of a batch in columns; None if its rows must be checked one by one."""
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
                return None  # not remembered: the next time they may
            known = KnownSeries(same, [one.history for one in same])
        self._found[key] = _Found(columns.identities, catalog.version, columns.kinds, known)
        if len(self._found) > _HELD:
            self._found.popitem(last=False)
        return known
