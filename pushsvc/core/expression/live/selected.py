"""The stored series that a selector matches."""

from __future__ import annotations

from typing import TypeAlias

from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.stored import labels_of, selector_of_matchers
from pushsvc.core.query.selector import Matcher
from pushsvc.core.storage.catalog import Series

Matchers: TypeAlias = tuple[tuple[Matcher, ...], ...]


class Selected:
    """The series that a selector matches, in the order of their refs, which is that of their
    creation."""

    def __init__(self, matchers: Matchers) -> None:
        self._selectors = [selector_of_matchers(each) for each in matchers]
        self._series: dict[int, Series] = {}
        self.version = 0
        """Changes whenever a series comes or goes."""
        self._ordered: list[Series] | None = None
        self._labels: list[Labels] = []

    def admit(self, series: Series) -> bool:
        """Take a series in if the selector matches it; tells whether it does."""
        if not any(selector.matches(series.identity) for selector in self._selectors):
            return False
        self._series[series.ref] = series
        self.version += 1
        self._ordered = None
        return True

    def dismiss(self, series: Series) -> None:
        """Remove a series."""
        if self._series.pop(series.ref, None) is not None:
            self.version += 1
            self._ordered = None

    @property
    def series(self) -> list[Series]:
        """The series, in the order of their refs."""
        return self.order()

    @property
    def labels(self) -> list[Labels]:
        """The labels of each series; the same object until one comes or goes."""
        self.order()
        return self._labels

    def order(self) -> list[Series]:
        """Put the series in order, if any came or went, and give them."""
        if self._ordered is None:
            self._ordered = [self._series[ref] for ref in sorted(self._series)]
            self._labels = [labels_of(one.identity) for one in self._ordered]
        return self._ordered
