"""Which views a new series may be of, without asking each.

Series come by the thousand when producers restart, and there may be a thousand views. A selector
mostly wants a certain name, or label, or one of a few: a view stands under one such value of each
of its selectors, and whoever has none stands among those that are always asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from pushsvc.core.delivery.view import View
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import Identity
from pushsvc.core.query.selector import Selector

_Wanted: TypeAlias = tuple[str, str]

_FEW: Final = 32
"""Values of a label under which one selector stands, at the most."""


class Directory:
    """Views by what they want of labels."""

    def __init__(self) -> None:
        self._by_label: dict[_Wanted, dict[View, None]] = {}
        self._always: dict[View, None] = {}
        self._places: dict[View, list[_Wanted]] = {}

    def add(self, view: View) -> None:
        """Enter a view."""
        places: list[_Wanted] = []
        for selector in view.spec.selectors:
            found = self._rarest(selector)
            if not found:
                self._always[view] = None
            places += found
        for place in places:
            self._by_label.setdefault(place, {})[view] = None
        self._places[view] = places

    def remove(self, view: View) -> None:
        """Strike a view out."""
        self._always.pop(view, None)
        for place in self._places.pop(view):
            views = self._by_label.get(place)
            if views is not None:  # it may stand there for two of its selectors
                views.pop(view, None)
                if not views:
                    del self._by_label[place]

    def asked(self, identity: Identity) -> Iterator[View]:
        """The views that may show a series of this identity, each once."""
        found = dict(self._always)
        for place in ((METRIC_LABEL, identity.name), *identity.labels):
            if (views := self._by_label.get(place)) is not None:
                found.update(views)
        return iter(found)

    def _rarest(self, selector: Selector) -> list[_Wanted]:
        """Values of one label, of which a series has to have one to be selected, and under which
        the fewest views stand; empty if there are no such values."""
        best: list[_Wanted] = []
        fewest: int | None = None
        for matcher in selector.matchers:
            accepts = matcher.accepts
            if accepts is None or "" in accepts or len(accepts) > _FEW:
                continue
            places = [(matcher.name, value) for value in accepts]
            count = sum(len(self._by_label.get(place, ())) for place in places)
            if fewest is None or count < fewest:
                best, fewest = places, count
        return best
