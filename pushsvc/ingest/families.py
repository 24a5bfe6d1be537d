"""Metric families as Prometheus' formats have them: what a series is, by the type of its family."""

from __future__ import annotations

from pushsvc.core.model.series import Kind

COUNTING = ("_total", "_bucket", "_count", "_sum")
"""Endings of the names of cumulative values."""
TYPES = {
    "counter": 1,
    "gauge": 2,
    "histogram": 3,
    "gaugehistogram": 4,
    "summary": 5,
    "info": 6,
    "stateset": 7,
}
"""The numbers of metric types in the specifications of remote write; 0 is none."""

_NUMBERS = ("_bucket", "_count", "_gcount")
"""Endings of the names of those components of histograms and summaries that count things."""
_KINDS: dict[int, Kind] = {
    **dict.fromkeys((1, 3, 5), "counter"),
    **dict.fromkeys((2, 4, 6, 7), "gauge"),
}
"""By type: of histograms and summaries the components count up."""


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
