"""What may be wrong with a query that has a result: Prometheus' annotations, in its words but
without the position in the query."""

from __future__ import annotations

from math import isnan
from typing import Final

from pushsvc.core.expression.labels import Labels, get
from pushsvc.core.model.promql import METRIC_LABEL

MOST: Final = 10
"""The most warnings, and the most infos, that are given; of the others only the number."""

_OF_COUNTERS: Final = ("_total", "_sum", "_count", "_bucket")


class Annotations:
    """The annotations of one query, each once. `warnings` are likely to be mistakes."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        return _told(self._warnings, "warning")

    @property
    def infos(self) -> list[str]:
        return _told(self._infos, "info")

    def rated(self, labels: Labels) -> None:
        """Check a series whose rate is asked for."""
        name = get(labels, METRIC_LABEL)
        if name and not name.endswith(_OF_COUNTERS):
            self._infos[
                "PromQL info: metric might not be a counter, name does not end in "
                f'_total/_sum/_count/_bucket: "{name}"'
            ] = None

    def quantile(self, share: float) -> None:
        """Check a quantile that is asked for."""
        if isnan(share) or not 0 <= share <= 1:
            self._warnings[
                f"PromQL warning: quantile value should be between 0 and 1, got {_written(share)}"
            ] = None

    def ratio(self, share: float) -> None:
        """Check the share of `limit_ratio`."""
        if abs(share) > 1:
            to = 1 if share > 0 else -1
            self._warnings[
                "PromQL warning: ratio value should be between -1 and 1, got "
                f"{_written(share)}, capping to {to}"
            ] = None

    def bucket(self, labels: Labels) -> None:
        """Note a bucket whose bound is missing or can't be read."""
        self._warnings[
            'PromQL warning: bucket label "le" is missing or has a malformed value of '
            f'"{get(labels, "le")}"{_of_metric(labels)}'
        ] = None

    def forced(self, labels: Labels) -> None:
        """Note a histogram whose counts had to be changed so that they rise."""
        self._infos[
            "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
            "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
            f"{_of_metric(labels)}"
        ] = None


def _of_metric(labels: Labels) -> str:
    name = get(labels, METRIC_LABEL)
    return f' for metric name "{name}"' if name else ""


def _written(share: float) -> str:
    return "NaN" if isnan(share) else f"{share:g}".replace("inf", "Inf")


def _told(said: dict[str, None], kind: str) -> list[str]:
    told = list(said)
    if len(told) <= MOST:
        return told
    return [*told[:MOST], f"{len(told) - MOST} more {kind} annotations omitted"]
