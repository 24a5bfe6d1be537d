"""What an expression's results are, kept up while the series come and go that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pushsvc.core.expression.stored import selector_of_matchers
from pushsvc.core.expression.tree import Node
from pushsvc.core.model.series import Kind
from pushsvc.core.standing.meaning import (
    BUCKET,
    Known,
    Matchers,
    Meaning,
    meaning_of,
    selects_of,
    sums_of,
)
from pushsvc.core.standing.quantity import (
    NOTHING,
    NUMBER,
    UNSAID,
    Unit,
    either,
    read_unit,
    word_of,
)
from pushsvc.core.storage.catalog import Series


class Description(NamedTuple):
    """As series have it."""

    kind: Kind
    unit: str


class Described:
    """What the results of one expression are, going by the series that it reads by now.

    If these are of several units, the results have none.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._selected = {one.matchers: _Tally(one.matchers) for one in selects_of(node)}
        self._sums = {buckets: _Tally(sums) for buckets, sums in sums_of(node).items()}
        self.beside = [one for tally in self._sums.values() for one in tally.selectors]
        """Selectors of series that the expression doesn't read, and that say what it is about."""
        self._tallies = [*self._selected.values(), *self._sums.values()]
        self._known: Description | None = None

    def admit(self, series: Series) -> None:
        """Take in a series, if it is one of those that are to be known. States are none: an
        expression has no use for them."""
        for tally in self._tallies if series.kind != "state" else ():
            if tally.admit(series):
                self._known = None

    def dismiss(self, series: Series) -> None:
        """Let go of a series. Doing it again does nothing."""
        for tally in self._tallies:
            if tally.dismiss(series):
                self._known = None

    def follow(self, series: Iterable[Series]) -> None:
        """Have these series, and no others."""
        for tally in self._tallies:
            tally.clear()
        self._known = None
        for one in series:
            self.admit(one)

    def note(self, series: Series) -> None:
        """Take note of what is said of a series by now, if it was taken in."""
        for tally in self._tallies:
            if tally.dismiss(series):
                tally.admit(series)
                self._known = None

    @property
    def now(self) -> Description:
        """What the results are by now: the same object until that may have changed."""
        if self._known is None:
            kind, unit = meaning_of(self._node, Known(self._meaning, self._observed))
            self._known = Description(kind, word_of(unit))
        return self._known

    def _meaning(self, matchers: Matchers) -> Meaning:
        return self._selected[matchers].meaning

    def _observed(self, matchers: Matchers) -> Unit:
        sums = self._sums.get(matchers)
        return None if sums is None else sums.meaning.unit


class _Tally:
    """How many series that a selector matches are what."""

    def __init__(self, matchers: Matchers) -> None:
        self.selectors = [selector_of_matchers(each) for each in matchers]
        self._said: dict[int, Meaning] = {}
        self._counts: Counter[Meaning] = Counter()

    def admit(self, series: Series) -> bool:
        if not any(one.matches(series.identity) for one in self.selectors):
            return False
        said = _said_of(series)
        self._said[series.ref] = said
        self._counts[said] += 1
        return True

    def dismiss(self, series: Series) -> bool:
        said = self._said.pop(series.ref, None)
        if said is None:
            return False
        self._counts[said] -= 1
        if not self._counts[said]:
            del self._counts[said]
        return True

    def clear(self) -> None:
        self._said.clear()
        self._counts.clear()

    @property
    def meaning(self) -> Meaning:
        kinds = {kind for kind, _ in self._counts}
        unit: Unit = NOTHING
        for _, one in self._counts:
            unit = either(unit, one)
        return Meaning("counter" if kinds == {"counter"} else "gauge", unit)


def _said_of(series: Series) -> Meaning:
    """Of deltas an expression sees the sum so far, which is a counter."""
    kind, name = series.kind, series.identity.name
    unit: Unit = read_unit(series.unit)
    if kind in ("counter", "delta") and (
        name.endswith(BUCKET) or (unit == UNSAID and name.endswith("_count"))
    ):
        unit = NUMBER
    return Meaning("counter" if kind in ("counter", "delta") else "gauge", unit)
