"""Native histograms, which become classic ones."""

from __future__ import annotations

import struct
from math import inf
from typing import Any

from pushsvc.core.model.series import identify
from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.gathered import Known
from pushsvc.ingest.histograms.kept import MOST, Sample, Shape, Shapes, endings, samples_of
from pushsvc.ingest.histograms.native import CUSTOM, Native, spans

STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN with which Prometheus marks the end of a series; of a native histogram it is the sum."""
_GAUGE = 3
"""The reset hint of a histogram whose numbers go up and down."""
_pack = struct.Struct("<d").pack


class Natives:
    """What is remembered of native histograms from one request to the next."""

    def __init__(self, limits: Limits, most_buckets: int = MOST) -> None:
        self._limits = limits
        self._most = most_buckets
        self.shapes = Shapes(limits.series)
        self._series: dict[tuple[str, str, str | None, bool], Known] = {}

    def series(self, base: Known, sample: Sample, *, gauge: bool) -> Known:
        """The series of a sample of a histogram that is called `base`. Raises Rejected."""
        key = base.identity.text, sample.suffix, sample.le, gauge
        known = self._series.get(key)
        if known is None:
            labels = dict(base.identity.labels)
            if sample.le is not None:
                labels["le"] = sample.le
            known = Known(
                identify(base.identity.name + sample.suffix, labels, self._limits),
                "gauge" if gauge else "counter",
                base.unit if sample.suffix == "_sum" else None,
                base.help,
            )
            if len(self._series) >= 2 * self._limits.series:
                self._series.clear()
            self._series[key] = known
        return known

    def samples(self, message: Any, before: Shape | None) -> tuple[list[Sample], Shape | None]:
        """The samples of a histogram, of protobuf, and its shape from now on. Raises Rejected."""
        if _pack(message.sum) == STALE:
            return endings(before), None
        return samples_of(
            _native(message),
            message.timestamp,
            before,
            most=self._most,
            counting=not is_gauge(message),
        )


def is_gauge(message: Any) -> bool:
    return bool(message.reset_hint == _GAUGE)


def _native(message: Any) -> Native:
    """A histogram of protobuf; of both versions they are alike. Raises Rejected."""
    schema = message.schema
    integers = message.WhichOneof("count") == "count_int"
    bounds = tuple(message.custom_values) if schema == CUSTOM else ()
    return Native(
        schema,
        float(message.count_int if integers else message.count_float),
        message.sum,
        float(message.zero_count_int or message.zero_count_float),
        message.zero_threshold,
        spans(
            [(each.offset, each.length) for each in message.positive_spans],
            message.positive_deltas,
            message.positive_counts,
        ),
        spans(
            [(each.offset, each.length) for each in message.negative_spans],
            message.negative_deltas,
            message.negative_counts,
        ),
        bounds[:-1] if bounds and bounds[-1] == inf else bounds,
    ).check()
