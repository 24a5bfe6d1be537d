"""Series of earlier requests, and how their kinds are found."""

from __future__ import annotations

from typing import Any

import msgspec

from pushsvc.core.model.series import Identity, Kind

REMEMBERED = 4096
"""Bytes of labels beyond which a series is read anew each time."""
COUNTING = ("_total", "_bucket", "_count", "_sum")
"""Endings of the names of cumulative values."""
_NUMBERS = ("_bucket", "_count", "_gcount")
"""Endings of the names of those components of histograms and summaries that count things."""
_KINDS: dict[int, Kind] = {1: "counter", 2: "gauge", 3: "counter", 5: "counter"}
"""By the specifications' metric types: of histograms and summaries the components count up."""

Key = bytes | tuple[Any, ...]


class Known(msgspec.Struct):
    """A series that came before."""

    identity: Identity
    kind: Kind | None
    unit: str | None = None
    help: str | None = None


class KnownSeries:
    """Series by what is equal in every request: in version 1.0 the bytes of the labels, in version
    2.0 the family and the numbers of the labels' symbols."""

    def __init__(self, most: int) -> None:
        self._by_key: dict[Key, Known] = {}
        self._most = most
        self.get = self._by_key.get
        """The known series of a key, or None."""

    def __len__(self) -> int:
        return len(self._by_key)

    def remember(self, key: Key, series: Known) -> None:
        """Remember a series; when there are too many, all are forgotten first."""
        if len(self._by_key) >= self._most:
            self.clear()
        self._by_key[key] = series

    def clear(self) -> None:
        """Read all of them anew from now on."""
        self._by_key.clear()


def kind_of(name: str, type_: int, labels: dict[str, str]) -> Kind | None:
    """The kind of a series of a metric type; None where that says nothing."""
    if type_ in (3, 5) and not name.endswith(COUNTING[1:]):
        return "gauge" if "quantile" in labels else None
    return _KINDS.get(type_)


def unit_of(name: str, type_: int, labels: dict[str, str], unit: str) -> str | None:
    """The unit of a series whose metric family has one, if any: of a histogram of seconds, the sum
    is in seconds, and the count and the buckets are numbers. A bucket is told by its bound where
    nobody says that it is of a histogram."""
    component = type_ in (3, 4, 5) or (type_ == 0 and name.endswith("_bucket") and "le" in labels)
    return None if component and name.endswith(_NUMBERS) else unit or None
