"""All series of the hub, and the index from labels to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pushsvc.core.history import History
from pushsvc.core.scope import EVERYTHING, Scope
from pushsvc.core.selector import Matcher, Selector
from pushsvc.core.series import Identity, Kind, Rows

if TYPE_CHECKING:
    from pushsvc.core.view import View


class Series:
    """One series: what it is called, what its values mean, its past, and the views that show it."""

    __slots__ = (
        "declared",
        "described_seq",
        "help",
        "history",
        "identity",
        "kind",
        "ref",
        "stateful",
        "unit",
        "views",
    )

    def __init__(self, ref: int, rows: Rows, seq: int, history_limit: int) -> None:
        self.ref = ref
        self.identity: Identity = rows.identity
        self.stateful = rows.stateful
        """Whether its values are those of a state rather than numbers; that never changes."""
        self.declared = rows.kind is not None
        """Whether a producer named the kind; a kind that was guessed may still be corrected."""
        self.kind: Kind = rows.kind or ("state" if self.stateful else "gauge")
        self.unit = rows.unit or ""
        self.help = rows.help or ""
        self.described_seq = seq
        """The batch that last changed what a client must be told: creation, kind, unit or help."""
        self.history = History(history_limit, stateful=self.stateful)
        self.views: list[View] = []

    def conflict(self, rows: Rows) -> str | None:
        """Why `rows` can't belong to this series; None when they can."""
        if (rows.kind is None or rows.kind == self.kind) and rows.stateful is self.stateful:
            return None
        if rows.stateful is not self.stateful:
            got = "a state (string, bool or null)" if rows.stateful else "a number"
            return f"{self.identity.text} is a {self.kind}, the sample's value is {got}"
        if rows.kind is not None and rows.kind != self.kind and self.declared:
            return f"{self.identity.text} is a {self.kind}, the sample says {rows.kind}"
        return None

    def append(self, seq: int, rows: Rows) -> None:
        """Take in the rows of batch `seq`, and what they say of kind, unit and help."""
        self.history.extend(seq, rows.times, rows.values)
        if rows.kind is not None and not self.declared:
            self.declared = True
            if rows.kind != self.kind:
                self.kind = rows.kind
                self.described_seq = seq
        if rows.unit is not None and rows.unit != self.unit:
            self.unit = rows.unit
            self.described_seq = seq
        if rows.help is not None and rows.help != self.help:
            self.help = rows.help
            self.described_seq = seq

    def window_start(self, time: int) -> int:
        """Ordinal of the first sample that shows what the series was from `time` (ms) on.

        A state holds until the next one, so that its window begins with the one before.
        """
        start = self.history.since(time)
        return max(self.history.first, start - 1) if self.stateful else start


class Catalog:
    """Series by identity, by ref and by label."""

    def __init__(self) -> None:
        self._by_text: dict[str, Series] = {}
        self.get: Callable[[str], Series | None] = self._by_text.get
        """The series with this canonical identity: the dict's own, since each sample asks."""
        # label name -> value -> ref -> series; a dict of refs keeps the order of creation.
        self._index: dict[str, dict[str, dict[int, Series]]] = {}
        self._next_ref = 1

    def __len__(self) -> int:
        return len(self._by_text)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._by_text.values())

    def add(self, rows: Rows, seq: int, history_limit: int) -> Series:
        """Create the series of `rows`, which must not exist. It gets the next ref, never reused."""
        series = Series(self._next_ref, rows, seq, history_limit)
        self._next_ref += 1
        self._by_text[series.identity.text] = series
        for label, value in self._labels(series):
            self._index.setdefault(label, {}).setdefault(value, {})[series.ref] = series
        return series

    def remove(self, series: Series) -> None:
        """Forget a series."""
        del self._by_text[series.identity.text]
        for label, value in self._labels(series):
            values = self._index[label]
            del values[value][series.ref]
            if not values[value]:
                del values[value]
                if not values:
                    del self._index[label]

    def select(self, selectors: Iterable[Selector], allowed: Scope = EVERYTHING) -> list[Series]:
        """The series that any of the selectors matches and the scope admits, in the order of their
        creation."""
        found = self._any(selectors)
        if allowed.selectors is not None:
            admitted = self._any(allowed.selectors)
            found = {ref: series for ref, series in found.items() if ref in admitted}
        return [found[ref] for ref in sorted(found)]

    def _any(self, selectors: Iterable[Selector]) -> dict[int, Series]:
        found: dict[int, Series] = {}
        for selector in selectors:
            found.update(self._select(selector))
        return found

    def _select(self, selector: Selector) -> dict[int, Series]:
        # A matcher that refuses '' needs the label to be there: its postings bound the answer.
        # One that takes '' also takes series without the label: it can only strike series out.
        # The parser saw to it that at least one is of the first sort.
        found: dict[int, Series] | None = None
        for matcher in selector.matchers:
            if not matcher.matches(""):
                postings = self._admitted(matcher, admit=True)
                if found is None:
                    found = postings
                elif len(postings) < len(found):
                    kept = found
                    found = {ref: series for ref, series in postings.items() if ref in kept}
                else:
                    found = {ref: series for ref, series in found.items() if ref in postings}
        assert found is not None
        for matcher in selector.matchers:
            if matcher.matches(""):
                struck = self._admitted(matcher, admit=False)
                if struck:
                    found = {ref: series for ref, series in found.items() if ref not in struck}
        return found

    def _admitted(self, matcher: Matcher, *, admit: bool) -> dict[int, Series]:
        """Series whose label is there and whose value the matcher takes, or refuses."""
        values = self._index.get(matcher.name, {})
        listed = matcher.accepts if admit else None
        if listed is None:
            chosen = [
                postings for value, postings in values.items() if matcher.matches(value) is admit
            ]
        else:
            chosen = [values[value] for value in listed if value in values]
        if len(chosen) == 1:
            return chosen[0]
        found: dict[int, Series] = {}
        for postings in chosen:
            found.update(postings)
        return found

    @staticmethod
    def _labels(series: Series) -> Iterator[tuple[str, str]]:
        yield "__name__", series.identity.name
        yield from series.identity.labels
