"""Turning a request's samples into a batch."""

from __future__ import annotations

import struct
from math import isfinite
from typing import Any

import msgspec

from pushsvc.core.model.series import Batch, Rows
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Rejected, TooLarge
from pushsvc.ingest.gathered import Known
from pushsvc.ingest.histograms.kept import Shape
from pushsvc.ingest.refusals import Refusals
from pushsvc.ingest.remote_write.natives import STALE, Natives, is_gauge

_pack = struct.Struct("<d").pack


class Decoded(msgspec.Struct):
    """The batch of a request, and what was refused of it."""

    batch: Batch
    samples: int = 0
    """Samples in the batch, besides those of native histograms."""
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    """Samples, whole series and native histograms that a producer should not send again."""
    histograms: int = 0
    """Native histograms in the batch."""
    shapes: dict[str, Shape] = {}
    """Of those, by the text of the series that they came as."""
    exemplars: int = 0
    """Exemplars, which are ignored."""
    starts: dict[str, int] = {}
    """When cumulative series began, in Unix milliseconds: for `RemoteWriteDecoder.remember`."""
    passed_over: int = 0
    """Samples that are NaN or infinite: Prometheus keeps them, and they are ignored here."""


class Taking:
    """A batch as it grows."""

    def __init__(
        self, limits: Limits, now_ms: int, starts: dict[str, int], natives: Natives
    ) -> None:
        self._limits = limits
        self._natives = natives
        self._shapes: dict[str, Shape] = {}
        self._before = starts
        self._starts: dict[str, int] = {}
        self._earliest = now_ms - limits.past_seconds * 1000
        self._latest = now_ms + limits.future_seconds * 1000
        self._rows: dict[str, Rows] = {}
        self._decoded = Decoded(Batch([]))
        self.histograms = 0
        self._of_histograms = 0
        self.exemplars = 0
        self.samples = 0

    def begin(self, series: Known, value: float, time: int, start: int) -> None:
        """Note when a sample's counter began. Where that has moved on, the counter was reset then,
        and a 0 is added at that time, so that the reset shows even where the new value is above the
        old one."""
        text = series.identity.text
        before = self._starts.get(text) or self._before.get(text)
        if not isfinite(value) or (before is not None and start <= before):
            return
        self._starts[text] = start
        if before is not None and self._earliest <= start < time:
            self.add(series, 0.0, start)
            self.samples -= 1  # the producer didn't send this sample

    def add(self, series: Known, value: float | None, time: int) -> None:
        """Take in one sample, of a finite value, or an ending, at a time in Unix ms."""
        identity = series.identity
        if not self._earliest <= time <= self._latest:
            self.refuse("time", f"the time of a sample of {identity.text} is too far from now", 1)
            return
        rows = self._rows.get(identity.text)
        if rows is None:
            self._rows[identity.text] = Rows(
                identity, [time], [value], series.kind, series.unit, series.help, True
            )
        else:
            rows.times.append(time)
            rows.values.append(value)
        self.samples += 1

    def add_any(self, series: Known, value: float, time: int) -> None:
        """Take in one sample whose value may be a stale marker, or one that can't be shown."""
        if isfinite(value):
            self.add(series, value, time)
        elif _pack(value) == STALE:
            self.add(series, None, time)
        else:
            self._decoded.passed_over += 1

    def add_native(self, base: Known, message: Any, start: int) -> None:
        """Take in a native histogram of a series, as its protobuf has it; `start` is when it began,
        or 0."""
        time, gauge = message.timestamp, is_gauge(message)
        text = base.identity.text
        before = self._shapes.get(text) or self._natives.shapes.get(text)
        if not self._earliest <= time <= self._latest:
            self.refuse("time", f"the time of a histogram of {text} is too far from now", 1)
            return
        try:
            samples, shape = self._natives.samples(message, before)
            series = [self._natives.series(base, each, gauge=gauge) for each in samples]
        except Rejected as problem:
            self.refuse(problem.code, f"{text}: {problem.detail}", 1)
            return
        taken = self.samples
        for one, each in zip(series, samples, strict=True):
            when = time if each.time is None else each.time
            if when < self._earliest:
                continue
            if start and not gauge and each.value is not None and each.time is None:
                self.begin(one, each.value, time, start)
            self.add(one, each.value, when)
        self._of_histograms += self.samples - taken
        self.samples = taken
        self.histograms += 1
        if shape is not None:
            self._shapes[text] = shape

    def refuse(self, code: str, reason: str, samples: int) -> None:
        self._decoded.refusals.add(code, reason, samples)

    def finish(self) -> Decoded:
        decoded = self._decoded
        decoded.samples = self.samples
        samples = self.samples + self._of_histograms
        if samples > self._limits.batch_samples:
            raise TooLarge(
                "batch",
                f"{samples} samples in one request, the limit is "
                f"{self._limits.batch_samples} (limits.batch_samples)",
                limit="batch_samples",
            )
        decoded.batch = Batch(list(self._rows.values()))
        decoded.histograms = self.histograms
        decoded.exemplars = self.exemplars
        decoded.starts = self._starts
        decoded.shapes = self._shapes
        return decoded
