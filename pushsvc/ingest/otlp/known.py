"""What is remembered of OpenTelemetry's series from one request to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pushsvc.core.model.series import Identity, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import TooLarge
from pushsvc.ingest.histograms.kept import MOST, Shapes

_REMEMBERED_CHARACTERS = 1024
"""Series whose text is longer than this are checked each time they come."""

_Labels: TypeAlias = tuple[tuple[str, str], ...]


class Known:
    """How series are to be read, and a memory of their identities and start times.

    Each memory is cleared when it has grown to twice the series the hub may have. Safe to use from
    worker threads.
    """

    def __init__(
        self, limits: Limits, promoted: frozenset[str], *, as_they_are: bool, buckets: int = MOST
    ) -> None:
        self.limits = limits
        self.buckets = buckets
        """How many buckets are kept of an exponential histogram, at the most."""
        self.shapes = Shapes(limits.series)
        self.promoted = promoted
        """Resource attributes that become labels of every series."""
        self.as_they_are = as_they_are
        """Whether names of metrics and attributes are kept unchanged, instead of translated."""
        self._identities: dict[tuple[str, _Labels], Identity] = {}
        self._starts: dict[str, int] = {}

    def began(self, starts: Mapping[str, int]) -> None:
        """Note these start times (nanoseconds), by the text of the series."""
        if len(self._starts) + len(starts) > 2 * self.limits.series:
            self._starts.clear()
        self._starts.update(starts)

    def started(self, series: str) -> int | None:
        """The last noted start time of this series."""
        return self._starts.get(series)

    def identity(self, name: str, pairs: _Labels) -> Identity:
        """The identity of a series. Raises Rejected."""
        identity = self._identities.get((name, pairs))
        if identity is None:
            identity = identify(name, dict(pairs), self.limits)
            if len(identity.text) <= _REMEMBERED_CHARACTERS:
                if len(self._identities) >= 2 * self.limits.series:
                    self._identities.clear()
                self._identities[name, pairs] = identity
        return identity

    def too_many(self) -> TooLarge:
        """The error for a request with too many samples, data points or metrics."""
        return TooLarge(
            "batch",
            f"more than {self.limits.batch_samples} samples, data points or metrics in one "
            "request (limits.batch_samples)",
            limit="batch_samples",
        )
