"""Reading one OTLP request: what can be applied is gathered, what can't is noted."""

from __future__ import annotations

from itertools import accumulate, islice
from math import isfinite
from typing import NamedTuple, cast

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pushsvc.core.model.series import EXACT, Batch, Identity, Kind, Rows, shorten
from pushsvc.errors import Rejected, TooLarge
from pushsvc.ingest.histograms.kept import Shape
from pushsvc.ingest.otlp.known import Known
from pushsvc.ingest.otlp.names import fits, labels, metric_name, read_unit
from pushsvc.ingest.otlp.points import (
    NO_VALUE,
    Part,
    Point,
    exponential_parts,
    parts_of,
    points_of,
)
from pushsvc.ingest.refusals import Refusals

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
    taken: list[str | tuple[str, ...]]
    """Of each data point, the texts of the series that it became, or of the one."""
    starts: dict[str, int]
    """Start times that were met, by series in nanoseconds: for `OtlpDecoder.remember`."""
    silent: int
    """Points without a recorded value."""
    shapes: dict[str, Shape] = {}
    """Of exponential histograms, by the text of their counts."""
    rounded: int = 0
    """Integers beyond 2^53, which may have been rounded."""

    @property
    def points(self) -> dict[str, list[int]]:
        """By the text of a series, which data points its rows are of. It is made anew each time."""
        found: dict[str, list[int]] = {}
        for index, texts in enumerate(self.taken):
            for text in (texts,) if isinstance(texts, str) else texts:
                found.setdefault(text, []).append(index)
        return found


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


class Family(msgspec.Struct):
    """What all series of a metric have in common."""

    what: str
    """Which sort of data it has, as protobuf calls it."""
    metric: str
    """Its name as the producer gave it."""
    name: str
    kind: Kind
    unit: str
    help: str
    common: dict[str, str]
    """Labels of the resource and the scope."""


class Series(msgspec.Struct, frozen=True, gc=False):
    """A series that a data point becomes."""

    identity: Identity
    text: str
    """Its identity's."""
    kind: Kind
    unit: str
    help: str


class Reading:
    """One request while it is read."""

    def __init__(self, known: Known, now_ms: int) -> None:
        limits = known.limits
        self.decoded = Decoded(Batch([]), Refusals(_REASONS), [], {}, 0)
        self._batch, self._taken = self.decoded.batch.rows, self.decoded.taken
        self._known = known
        self._now_ms = now_ms
        self._earliest = now_ms - round(limits.past_seconds * 1000)
        self._latest = now_ms + round(limits.future_seconds * 1000)
        self.latest: int | None = None
        """The newest time at which a resource had a value, in ms."""
        self._rows: dict[str, Rows] = {}
        self._last = -1, 0  # a time in nanoseconds, and in ms
        self._samples = 0
        self._looked = 0
        self._written = 0

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

    def metric(self, metric: Metric, common: dict[str, str]) -> None:
        """Take in what can be taken, and note what can't."""
        family = self.family(metric, common)
        if family is not None:
            for point in points_of(metric, family.what):
                self.look()
                self.point(family, point)

    def family(self, metric: Metric, common: dict[str, str]) -> Family | None:
        """What all series of a metric have in common; None where none can be taken."""
        what = metric.WhichOneof("data")
        if what is None:
            return None
        kind: Kind = "gauge"
        if what in ("sum", "histogram", "exponential_histogram"):
            data = getattr(metric, what)
            if data.aggregation_temporality not in _KINDS:
                self._refuse(
                    metric.name,
                    "temporality",
                    "its aggregation temporality is not said",
                    len(data.data_points),
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
        return Family(what, metric.name, name, kind, unit.text, help_text, common)

    def point(self, family: Family, point: Point) -> list[tuple[Identity, Part]] | None:
        """Take in one point, all its samples or none, and give what was taken of it."""
        silent = bool(point.flags & NO_VALUE)
        self.decoded.silent += silent
        try:
            time, samples = self._point(family, point)
        except Rejected as error:
            self._refuse(family.metric, error.code, error.detail)
            return None
        if not silent:
            self._note(time)
        return samples

    def take_number(self, series: Series, start: int, time: int, value: float) -> bool:
        """Take in a point of a series that came before, its times in nanoseconds, as `point` would;
        False if it has to be asked, because something about this point isn't as usual."""
        before, ms = self._last
        if time != before:
            ms = time // 1_000_000
            if not time or not self._earliest <= ms <= self._latest:
                return False
            self._last = time, ms
        if value - value != 0.0:
            return False
        text, kind = series.text, series.kind
        began = None
        if start and kind != "gauge":
            if kind == "delta":
                began = start // 1_000_000
            elif (self.decoded.starts.get(text) or self._known.started(text)) != start:
                return False
        rows = self._rows.get(text)
        if rows is None:
            starts = None if began is None else [began]
            self._rows[text] = rows = Rows(
                series.identity, [ms], [value], kind, series.unit, series.help, True, starts
            )
            self._batch.append(rows)
            self._written += len(text)
        elif began is None and rows.starts is None and rows.given and rows.kind == kind:
            rows.times.append(ms)
            rows.values.append(value)
        else:
            return False
        if self.latest is None or ms > self.latest:
            self.latest = ms
        self._taken.append(text)
        self._samples += 1
        return True

    def take_histogram(
        self,
        series: tuple[Series, ...],
        start: int,
        time: int,
        counts: tuple[int, ...],
        total: float | None,
        count: int,
    ) -> bool:
        """The same for a histogram: its buckets, its sum if it has one, and its count."""
        ms = time // 1_000_000
        rows, last = self._rows, series[-1]
        buckets = len(series) - 1 - (total is not None)
        if (
            not time
            or not self._earliest <= ms <= self._latest
            or count >= EXACT
            or not (
                (len(counts) == buckets and sum(counts) == count) or (not counts and buckets == 1)
            )
            or (total is not None and not isfinite(total))
            or any(one.text in rows for one in series)
        ):
            return False
        began: int | None = None
        if start and last.kind == "delta":
            began = start // 1_000_000
        elif start and self._known.started(last.text) != start:
            return False
        self._note(ms)
        values = [*map(float, accumulate(counts[:-1])), float(count)]
        if total is not None:
            values.append(total)
        values.append(float(count))
        for one, value in zip(series, values, strict=True):
            starts = None if began is None else [began]
            row = Rows(one.identity, [ms], [value], one.kind, one.unit, one.help, True, starts)
            rows[one.text] = row
            self._batch.append(row)
            self._written += len(one.text)
        self._taken.append(tuple([one.text for one in series]))
        self._samples += len(series)
        return True

    def check(self) -> None:
        """Check the limits that the two above leave alone. Raises TooLarge."""
        self._check_room(0)
        self._check_written()

    def _note(self, time: int) -> None:
        if self.latest is None or time > self.latest:
            self.latest = time

    def _refuse(self, metric: str, code: str, reason: str, points: int = 1) -> None:
        self.decoded.refusals.add(code, f"{shorten(metric)}: {reason}", points)

    def _point(self, family: Family, point: Point) -> tuple[int, list[tuple[Identity, Part]]]:
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
        base.update(family.common)
        pairs = tuple(base.items())
        samples: list[tuple[Identity, Part]] = []
        if family.what == "exponential_histogram":
            parts = self._exponential(family, cast(ExponentialHistogramDataPoint, point), at, pairs)
        else:
            parts = parts_of(family.what, point, family.kind, family.unit)
        self._check_room(len(parts))
        for part in parts:
            own = pairs
            if part.label is not None:
                label = part.label[0]
                own = (*(pair for pair in pairs if pair[0] != label), part.label)
            identity = self._known.identity(family.name + part.suffix, own)
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
            self.decoded.rounded += family.what not in ("gauge", "sum") or _is_integer(point)
        reset = self._reset(samples[-1], point.start_time_unix_nano, at.time)
        for identity, part in samples:
            if part.time is not None:
                earlier = At(part.time, True, None)
                self._append(identity, earlier, part.value, part.kind, part.unit, family.help)
                continue
            if reset is not None and part.kind == "counter" and part.value is not None:
                zero = At(reset, True, None)
                self._append(identity, zero, 0.0, part.kind, part.unit, family.help)
            self._append(identity, at, part.value, part.kind, part.unit, family.help)
        self.decoded.taken.append(tuple(identity.text for identity, _ in samples))
        return at.time, samples

    def _exponential(
        self,
        family: Family,
        point: ExponentialHistogramDataPoint,
        at: At,
        pairs: tuple[tuple[str, str], ...],
    ) -> list[Part]:
        """The samples of an exponential histogram, with the bounds that it had before."""
        known = self._known
        text = known.identity(f"{family.name}_count", pairs).text
        shapes = self.decoded.shapes
        before = shapes.get(text) or known.shapes.get(text)
        parts, shape = exponential_parts(
            point, at.time, before, family.kind, family.unit, known.buckets
        )
        if shape is not None:
            shapes[text] = shape
        return [each for each in parts if each.time is None or each.time >= self._earliest]

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

    def look(self, count: int = 1) -> None:
        """Count what costs time, whether or not samples come of it. Raises TooLarge."""
        self._looked += count
        if self._looked > self._known.limits.batch_samples:
            raise self._known.too_many()

    def _write(self, identity: Identity) -> None:
        """Count the names and labels of a series that is new in this request."""
        self._written += len(identity.text)
        self._check_written()

    def _check_written(self) -> None:
        limits = self._known.limits
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
