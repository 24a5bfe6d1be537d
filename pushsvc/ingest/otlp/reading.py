"""Reading one OTLP request: what can be applied is gathered, what can't is noted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import isfinite
from typing import NamedTuple, cast

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pushsvc.core.model.series import EXACT, Batch, Identity, Kind, Rows, shorten
from pushsvc.errors import Rejected, TooLarge
from pushsvc.ingest.otlp.known import Known
from pushsvc.ingest.otlp.names import Unit, fits, labels, metric_name, read_unit
from pushsvc.ingest.otlp.points import Part, Point, parts_of
from pushsvc.ingest.refusals import Refusals

_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_KINDS: dict[int, Kind] = {1: "delta", 2: "counter"}
"""By aggregation temporality."""

_REASONS = 5
"""Different reasons for refusals that are reported; points refused for one of them are counted."""

_GROWTH = 8
"""Bytes of series names and labels that a request may make, for each byte it may have: the labels
of one histogram are written again for each of its buckets."""

_ATTRIBUTES = 128
"""Attributes of a resource that are looked at."""


class Decoded(msgspec.Struct):
    """A request: what can be applied, and what can't."""

    batch: Batch
    refusals: Refusals
    points: dict[str, list[int]]
    """By the text of a series, which data points its rows are of."""
    starts: dict[str, int]
    """Start times that were met, by series in nanoseconds: for `OtlpDecoder.remember`."""
    silent: int
    """Points without a recorded value."""
    rounded: int = 0
    """Integers beyond 2^53, which may have been rounded."""


class At(NamedTuple):
    """The times of a data point, in Unix milliseconds."""

    time: int
    given: bool
    """Whether the producer gave it."""
    start: int | None
    """When its interval began, if that is said."""


class Target(msgspec.Struct):
    """What a resource adds to its series."""

    labels: dict[str, str]
    info: dict[str, str]
    """What else is known of it."""


class Reading:
    """One request while it is read."""

    def __init__(self, known: Known, now_ms: int) -> None:
        limits = known.limits
        self.decoded = Decoded(Batch([]), Refusals(_REASONS), {}, {}, 0)
        self._known = known
        self._now_ms = now_ms
        self._earliest = now_ms - round(limits.past_seconds * 1000)
        self._latest = now_ms + round(limits.future_seconds * 1000)
        self._rows: dict[str, Rows] = {}
        self._samples = 0
        self._looked = 0
        self._written = 0
        self._index = 0

    def target(self, resource: Resource) -> Target:
        """Job, instance and what is promoted; the rest is for `target_info`."""
        ours, info, promoted = {}, [], []
        for attribute in islice(resource.attributes, _ATTRIBUTES):
            if attribute.key in ("service.name", "service.namespace", "service.instance.id"):
                ours[attribute.key] = attribute.value.string_value
            elif attribute.key in self._known.promoted:
                promoted.append(attribute)
            else:
                info.append(attribute)
        job = ours.get("service.name", "")
        if job and (namespace := ours.get("service.namespace")):
            job = f"{namespace}/{job}"
        named = {"job": job, "instance": ours.get("service.instance.id", "")}
        named = {label: text for label, text in named.items() if text}
        most = self._known.limits.value_bytes
        info = [attribute for attribute in info if fits(attribute.value, most)]
        promoted = [attribute for attribute in promoted if fits(attribute.value, most)]
        kept = self._known.as_they_are
        return Target(
            {**labels(promoted, most, as_they_are=kept), **named},
            labels(info, most, as_they_are=kept),
        )

    def describe(self, target: Target, time: int) -> None:
        """Publish what else is known of a resource, as far as labels can hold it."""
        if not target.info or "job" not in target.labels:
            return
        limits = self._known.limits
        room = limits.labels - len(target.labels)
        kept = [
            (label, text)
            for label, text in sorted(target.info.items())
            if label not in target.labels
            and len(label) <= limits.name_bytes
            and len(text.encode()) <= limits.value_bytes
        ]
        try:
            identity = self._known.identity(
                "target_info", (*target.labels.items(), *kept[: max(0, room)])
            )
        except Rejected:
            return  # its job or instance is refused, and so were all its points
        if identity.text not in self._rows:
            self._append(identity, At(time, True, None), 1.0, "gauge", "", "")

    def metric(self, metric: Metric, target: dict[str, str]) -> int | None:
        """Take in what can be taken, and note what can't. Gives the newest time taken, in ms."""
        what = metric.WhichOneof("data")
        if what is None:
            return None
        points: Sequence[Point] = getattr(metric, what).data_points
        if what == "exponential_histogram":
            self._refuse(
                metric,
                "exponential_histogram",
                "exponential histograms are not taken: have the SDK or the Collector aggregate "
                "with explicit buckets",
                len(points),
            )
            return None
        kind: Kind = "gauge"
        if what in ("sum", "histogram"):
            data = metric.sum if what == "sum" else metric.histogram
            if data.aggregation_temporality not in _KINDS:
                self._refuse(
                    metric, "temporality", "its aggregation temporality is not said", len(points)
                )
                return None
            kind = _KINDS[data.aggregation_temporality]
        elif what == "summary":
            kind = "counter"
        if kind == "counter" and what == "sum" and not metric.sum.is_monotonic:
            kind = "gauge"
        unit = read_unit(metric.unit, gauge=what == "gauge")
        name = metric.name
        if not self._known.as_they_are:
            name = metric_name(name, unit, total=what == "sum" and kind == "counter")
        help_text = _cut(metric.description, self._known.limits.value_bytes)
        latest: int | None = None
        for point in points:
            self.look()
            silent = bool(point.flags & _NO_VALUE)
            self.decoded.silent += silent
            try:
                time = self._point(what, name, point, kind, unit, target, help_text)
            except Rejected as error:
                self._refuse(metric, error.code, error.detail)
            else:
                if not silent:
                    latest = time if latest is None else max(latest, time)
        return latest

    def _refuse(self, metric: Metric, code: str, reason: str, points: int = 1) -> None:
        self.decoded.refusals.add(code, f"{shorten(metric.name)}: {reason}", points)

    def _point(
        self,
        what: str,
        name: str,
        point: Point,
        kind: Kind,
        unit: Unit,
        target: dict[str, str],
        help_text: str,
    ) -> int:
        """Take in one point, all its samples or none. Raises Rejected."""
        at = self._at(point)
        limits = self._known.limits
        if len(point.attributes) > limits.labels:
            raise Rejected(
                "labels",
                f"a point has {len(point.attributes)} attributes, the limit is {limits.labels} "
                "(limits.labels)",
            )
        base = labels(point.attributes, limits.value_bytes, as_they_are=self._known.as_they_are)
        base.update(target)
        pairs = tuple(base.items())
        samples: list[tuple[Identity, Part]] = []
        parts = parts_of(what, point, kind, unit.text)
        self._check_room(len(parts))
        for part in parts:
            own = pairs
            if part.label is not None:
                label = part.label[0]
                own = (*(pair for pair in pairs if pair[0] != label), part.label)
            identity = self._known.identity(name + part.suffix, own)
            rows = self._rows.get(identity.text)
            if rows is None:
                self._write(identity)
            if rows is not None and rows.kind != part.kind:
                raise Rejected(
                    "kind", f"{shorten(identity.text)} is both {rows.kind} and {part.kind}"
                )
            if part.value is not None and not isfinite(part.value):
                raise Rejected("value", "a value is not finite")
            samples.append((identity, part))
        if samples[-1][1].value is not None and abs(samples[-1][1].value) >= EXACT:
            self.decoded.rounded += what not in ("gauge", "sum") or _is_integer(point)
        reset = self._reset(samples[-1], point.start_time_unix_nano, at.time)
        self._index += 1
        for identity, part in samples:
            if reset is not None and part.kind == "counter":
                zero = At(reset, True, None)
                self._append(identity, zero, 0.0, part.kind, part.unit, help_text)
            self._append(identity, at, part.value, part.kind, part.unit, help_text)
            self.decoded.points.setdefault(identity.text, []).append(self._index)
        return at.time

    def _at(self, point: Point) -> At:
        nanoseconds, start = point.time_unix_nano, point.start_time_unix_nano
        began = start // 1_000_000 if start else None
        if not nanoseconds:
            return At(self._now_ms, False, began)
        time = nanoseconds // 1_000_000
        if self._earliest <= time <= self._latest:
            return At(time, True, began)
        seconds = abs(time - self._now_ms) // 1000
        limits = self._known.limits
        if time > self._now_ms:
            raise Rejected(
                "time",
                f"its time is {seconds} s ahead of the server's clock, the limit is "
                f"{limits.future_seconds:.0f} s (limits.future_seconds)",
            )
        raise Rejected(
            "time",
            f"its time is {seconds} s in the past, the limit is "
            f"{limits.past_seconds:.0f} s (limits.past_seconds)",
        )

    def _reset(self, sample: tuple[Identity, Part], start: int, time: int) -> int | None:
        """When, in ms, a cumulative point began anew; None if it goes on or is the first."""
        identity, part = sample
        if part.kind != "counter" or not start or part.value is None:
            return None
        starts = self.decoded.starts
        before = starts.get(identity.text) or self._known.started(identity.text)
        if before is None or start > before:
            starts[identity.text] = start
        began = start // 1_000_000
        if before is None or start <= before or not self._earliest <= began < time:
            return None
        return began

    def _check_room(self, samples: int) -> None:
        limits = self._known.limits
        if self._samples + samples > limits.batch_samples:
            raise self._known.too_many()

    def look(self) -> None:
        """Count something that costs time, whether or not samples come of it."""
        self._looked += 1
        if self._looked > self._known.limits.batch_samples:
            raise self._known.too_many()

    def _write(self, identity: Identity) -> None:
        """Count the names and labels of a series that is new in this request."""
        limits = self._known.limits
        self._written += len(identity.text)
        if self._written > _GROWTH * limits.body_bytes:
            raise TooLarge(
                "labels",
                f"the series of one request have more than {_GROWTH} times limits.body_bytes "
                "of names and labels",
                limit="body_bytes",
            )

    def _append(
        self,
        identity: Identity,
        at: At,
        value: float | None,
        kind: Kind,
        unit: str,
        help_text: str,
    ) -> None:
        self._check_room(1)
        self._samples += 1
        start = at.start if kind == "delta" else None
        rows = self._rows.get(identity.text)
        if (
            rows is None
            or rows.given is not at.given
            or (rows.starts is None) is not (start is None)
        ):
            starts: list[int] | None = None if start is None else []
            rows = Rows(identity, [], [], kind, unit, help_text, at.given, starts)
            self._rows[identity.text] = rows
            self.decoded.batch.rows.append(rows)
        rows.times.append(at.time)
        rows.values.append(value)
        if rows.starts is not None and start is not None:
            rows.starts.append(start)


def _is_integer(point: Point) -> bool:
    return cast(NumberDataPoint, point).WhichOneof("value") == "as_int"


def _cut(text: str, most: int) -> str:
    """At most so many bytes of an explanatory text."""
    return text.encode()[:most].decode(errors="ignore")
