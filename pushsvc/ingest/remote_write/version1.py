"""Version 1.0: each series with its labels as text, metadata by family and apart from it.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

from typing import Any

from pushsvc.core.model.series import Kind, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Rejected
from pushsvc.ingest.families import COUNTING, kind_of, unit_of
from pushsvc.ingest.gathered import Known
from pushsvc.ingest.pace import paced
from pushsvc.ingest.remote_write.known import REMEMBERED, KnownSeries
from pushsvc.ingest.remote_write.messages import MetricMetadata, TimeSeries
from pushsvc.ingest.remote_write.taking import Taking
from pushsvc.ingest.remote_write.wire import (
    SAMPLE_HEAD,
    Times,
    fields,
    head_bytes,
    is_labels,
    sample_at,
)

_FAMILIES = 50_000
"""Metric families whose metadata is kept."""


class Version1:
    """Reads requests of version 1.0."""

    def __init__(self, limits: Limits, series: KnownSeries) -> None:
        self._limits = limits
        self._series = series
        self._families: dict[str, Any] = {}
        self._times = Times()

    def take(self, data: bytes, taking: Taking) -> None:
        """Take in what a request has. Raises DecodeError and UnicodeDecodeError where it can't be
        read."""
        known, times = self._series.group().get, self._times
        metadata = False
        for field, start, end in paced(fields(data)):
            if field == 0x0A:
                # The last 18 bytes of a series with one sample of this century: its value and its
                # time, each behind its tag. The bytes before are the labels of a known series, or
                # this is a series of another form.
                middle = end - 18
                if middle > start and (series := known(data[start:middle])) is not None:
                    head, value, raw = sample_at(data, middle)
                    if (
                        head == SAMPLE_HEAD
                        and value - value == 0.0
                        and (raw == times.raw or times.read(raw))
                    ):
                        taking.add(series, value, times.last)
                        continue
                # The same with a value of 0, which is left out.
                middle = end - 9
                if middle > start and data[middle + 1] == 7:
                    raw = data[middle + 2 : end]
                    if (
                        (series := known(data[start:middle])) is not None
                        and data[middle] == SAMPLE_HEAD[0]
                        and (raw == times.raw or times.read(raw))
                    ):
                        taking.add(series, 0.0, times.last)
                        continue
                self._series_of(data[start:end], taking)
            elif field == 0x1A:
                metadata = True
                self._remember_family(MetricMetadata.FromString(data[start:end]))
        if metadata:
            # Metadata comes apart from samples: known series are read again with it.
            self._series.clear()

    def _series_of(self, data: bytes, taking: Taking) -> None:
        """Read one series in full."""
        message = TimeSeries.FromString(data)
        taking.exemplars += len(message.exemplars)
        samples = message.samples
        count = len(samples) + len(message.histograms)
        if not count:
            return
        # The labels come first; only then are they a prefix that identifies the series.
        size = sum(each.ByteSize() + head_bytes(each.ByteSize()) for each in samples)
        prefix = data[: len(data) - size]
        key = prefix if not message.histograms and is_labels(prefix) else None
        group = self._series.group()
        series = None if key is None else group.get(key)
        if series is None:
            labels = {label.name: label.value for label in message.labels}
            if len(labels) != len(message.labels):
                taking.refuse("label", "a label is there twice", count)
                return
            try:
                series = self._identify(labels)
            except Rejected as problem:
                taking.refuse(problem.code, problem.detail, count)
                return
            if key is not None and len(key) <= REMEMBERED:
                self._series.remember(group, key, series)
        for sample in samples:
            taking.add_any(series, sample.value, sample.timestamp)
        for histogram in message.histograms:
            taking.add_native(series, histogram, 0)

    def _identify(self, labels: dict[str, str]) -> Known:
        name = labels.pop("__name__", "")
        identity = identify(name, labels, self._limits)
        family = self._families.get(name)
        if family is None:
            for suffix in COUNTING:
                family = family or self._families.get(name.removesuffix(suffix))
        guess: Kind | None = "counter" if name.endswith(COUNTING) else None
        if family is None:
            return Known(identity, guess)
        kind = kind_of(name, family.type, labels) if family.type else guess
        unit = unit_of(name, family.type, labels, family.unit)
        return Known(identity, kind, unit, family.help or None)

    def _remember_family(self, family: Any) -> None:
        limit = self._limits.value_bytes
        if len(family.help.encode()) <= limit and len(family.unit.encode()) <= limit:
            if len(self._families) >= _FAMILIES:
                self._families.clear()
            self._families[family.metric_family_name] = family
