"""What an expression's results are, kept up while the series come and go that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

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

_COUNTING: Final = (BUCKET, "_count")

_Said: TypeAlias = tuple[Kind, str, bool, bool]
"""What is said of series: kind and unit, and whether they are buckets, or those or counts, going by
their names."""


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

    def admit(self, series: Series, *, read: bool = False) -> None:
        """Take in a series, if it is one of those that are to be known. States are none: an
        expression has no use for them. `read` says that the expression is known to read it."""
        if read and len(self._tallies) == 1:
            self._tallies[0].take(series)
            self._known = None
            return
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
        self._said: dict[int, _Said] = {}
        self._counts: Counter[_Said] = Counter()

    def admit(self, series: Series) -> bool:
        if not any(one.matches(series.identity) for one in self.selectors):
            return False
        self.take(series)
        return True

    def take(self, series: Series) -> None:
        """Take in a series that matches."""
        counting = series.identity.name.endswith(_COUNTING)
        said = (
            series.kind,
            series.unit,
            counting and series.identity.name.endswith(BUCKET),
            counting,
        )
        self._said[series.ref] = said
        self._counts[said] += 1

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
        meanings = [_meaning_of(*said) for said in self._counts]
        kinds = {kind for kind, _ in meanings}
        unit: Unit = NOTHING
        for _, one in meanings:
            unit = either(unit, one)
        return Meaning("counter" if kinds == {"counter"} else "gauge", unit)


def _meaning_of(kind: Kind, text: str, buckets: bool, counting: bool) -> Meaning:
    """Of deltas an expression sees the sum so far, which is a counter."""
    unit: Unit = read_unit(text)
    grows = kind in ("counter", "delta")
    if grows and (buckets or (counting and unit == UNSAID)):
        unit = NUMBER
    return Meaning("counter" if grows else "gauge", unit)
