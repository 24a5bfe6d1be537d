"""What a principal may read or write: the series that one of a set of selectors matches.

A scope restricts what is asked for: a series is shown when a selector of the request matches it AND
one of the scope does. Both are matched against the identity in the catalog, never against text, so
that no way of writing a selector can get around the scope.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pushsvc.core.model.series import Identity
from pushsvc.core.query.selector import EVERY_SERIES, Selector


class Scope(msgspec.Struct, frozen=True, eq=False):
    """A set of series by selector; `selectors` is None for all of them, empty for none.

    Made by `scope_of`. `key` is equal exactly when the sets of selectors are.
    """

    selectors: tuple[Selector, ...] | None

    @property
    def key(self) -> tuple[str, ...] | None:
        return None if self.selectors is None else tuple(one.text for one in self.selectors)

    @property
    def empty(self) -> bool:
        """Whether no series can ever be in it."""
        return self.selectors == ()

    def admits(self, identity: Identity) -> bool:
        """Whether a series of this identity is in it."""
        return self.selectors is None or any(one.matches(identity) for one in self.selectors)


def scope_of(selectors: Iterable[Selector]) -> Scope:
    """The scope of these selectors, in canonical order and each once."""
    distinct = {one.text: one for one in selectors}
    if EVERY_SERIES in distinct:
        return EVERYTHING
    return Scope(tuple(distinct[text] for text in sorted(distinct)))


EVERYTHING: Final = Scope(None)
NOTHING: Final = Scope(())
