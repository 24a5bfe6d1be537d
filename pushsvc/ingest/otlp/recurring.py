"""What came before, by the bytes that said it.

A producer sends the same series again and again: of a data point only times and values change. So
what its other bytes mean is remembered, resource by resource, and read once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import msgspec

from pushsvc.core.model.series import Identity
from pushsvc.ingest.otlp.points import Part
from pushsvc.ingest.otlp.reading import Family, Series, Target

REMEMBERED = 4096
"""Bytes of a point, besides its values, beyond which it is read anew each time."""
_ENTRY = 220
"""Bytes that something takes besides its texts, at the most: objects, and its place in a table."""
_TEXT = 120
"""Bytes that a label takes besides its text, at the most."""


class KnownFamily(msgspec.Struct):
    """A metric, and its series by the bytes of their attributes."""

    family: Family
    series: dict[Hashable, tuple[Series, ...]]


class KnownScope(msgspec.Struct):
    """What a scope of a resource adds, and its metrics by what says what they are."""

    labels: dict[str, str]
    families: dict[Hashable, KnownFamily]


class KnownTarget(msgspec.Struct):
    """A resource."""

    target: Target
    scopes: dict[Hashable, KnownScope]
    size: int = 0
    """Bytes that all of this takes, about."""
    full: bool = False
    """Whether no more of it is to be remembered in this request."""

    def clear(self) -> None:
        """Forget its series, also for code that is reading it."""
        for scope in self.scopes.values():
            for known in scope.families.values():
                known.series.clear()
        self.scopes.clear()
        self.size, self.full = 0, True


class Recurring:
    """Resources that came before, with all that is theirs.

    When all of it takes more than so many bytes, those are forgotten that didn't come for the
    longest. One that is alone too large begins anew with each request.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._targets: OrderedDict[Hashable, KnownTarget] = OrderedDict()
        self.size = 0
        """Bytes that all of it takes, about."""

    def target(self, key: Hashable) -> KnownTarget | None:
        """A resource that came before."""
        known = self._targets.get(key)
        if known is not None:
            self._targets.move_to_end(key)
            known.full = False
        return known

    def add_target(self, key: Hashable, size: int, target: Target) -> KnownTarget:
        """Remember what a resource is, by a key of this size; for the others below it is alike."""
        known = self._targets[key] = KnownTarget(target, {})
        texts = [*target.labels.items(), *target.info.items()]
        self._grow(known, size + sum(len(label) + len(text) + _TEXT for label, text in texts))
        return known

    def add_scope(
        self, target: KnownTarget, key: Hashable, size: int, labels: dict[str, str]
    ) -> KnownScope:
        known = KnownScope({**target.target.labels, **labels}, {})
        if not target.full:
            target.scopes[key] = known
            self._grow(target, size + _TEXT * len(known.labels))
        return known

    def add_family(
        self, target: KnownTarget, scope: KnownScope, key: Hashable, size: int, family: Family
    ) -> KnownFamily:
        known = KnownFamily(family, {})
        if not target.full:
            scope.families[key] = known
            self._grow(target, size + 4 * len(family.help))
        return known

    def add_series(
        self,
        target: KnownTarget,
        known: KnownFamily,
        key: Hashable,
        size: int,
        samples: Sequence[tuple[Identity, Part]],
    ) -> None:
        """Remember the series that a point became."""
        if target.full:
            return
        help_text = known.family.help
        known.series[key] = tuple(
            [
                Series(identity, identity.text, part.kind, part.unit, help_text)
                for identity, part in samples
            ]
        )
        texts = [4 * len(identity.text) + _TEXT * len(identity.labels) for identity, _ in samples]
        self._grow(target, size + sum(texts) + _ENTRY * len(samples))

    def _grow(self, target: KnownTarget, size: int) -> None:
        target.size += _ENTRY + size
        self.size += _ENTRY + size
        while self.size > self._most:
            key, oldest = next(iter(self._targets.items()))
            self.size -= oldest.size
            oldest.clear()
            del self._targets[key]
