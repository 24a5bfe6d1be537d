"""A binary request as producers send it, taken apart without protobuf's own objects.

Each message is split into what comes again and again, which is looked up by its bytes, and numbers
of a fixed size. What was not met before is read by protobuf, within as many messages as it stands
in, so that nothing is taken here that protobuf would refuse. What doesn't look as usual at all
raises Irregular.

https://protobuf.dev/programming-guides/encoding/; fields may come in any order. Those of a number
come in the order of their tags, or with its value at the end (Go's protobuf puts members of a oneof
there).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from math import nan
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
    ScopeMetrics,
)

from pushsvc.core.model.series import EXACT
from pushsvc.ingest.otlp.names import scope_labels
from pushsvc.ingest.otlp.points import NO_VALUE, points_of
from pushsvc.ingest.otlp.reading import Reading
from pushsvc.ingest.otlp.recurring import (
    REMEMBERED,
    KnownFamily,
    KnownScope,
    KnownTarget,
    Recurring,
)
from pushsvc.ingest.pace import paced
from pushsvc.ingest.varint import encode_varint

_FIRST, _SECOND = 0x0A, 0x12
"""Tags of the fields 1 and 2 where they are messages."""
_NUMBERS = frozenset({0x2A, 0x3A})
_HISTOGRAM = 0x4A
_DATA = _NUMBERS | {_HISTOGRAM, 0x52, 0x5A}
"""Tags of a metric's fields that have points: gauge and sum, histogram, and others."""

_START, _TIME, _DOUBLE, _INTEGER, _ATTRIBUTES = 0x11, 0x19, 0x21, 0x31, 0x3A
"""Tags of a number's fields. A histogram's first two are the same."""
_COUNT, _SUM, _BUCKETS, _MIN, _MAX = 0x21, 0x29, 0x32, 0x59, 0x61
_timed = struct.Struct("<BQBd").unpack_from
_started = struct.Struct("<BQBQBd").unpack_from
_timed_count = struct.Struct("<BQBQ").unpack_from
_started_count = struct.Struct("<BQBQBQ").unpack_from
_double = struct.Struct("<d").unpack_from
_integer = struct.Struct("<q").unpack_from

_MANY = 128
"""Points of a metric between which its reader may be held up; with fewer, that is between
metrics."""
_Spans: TypeAlias = list[int]
"""Where parts begin and end, in turns."""


class Irregular(Exception):
    """This has to be read by protobuf as a whole."""


def read(body: bytes, reading: Reading, recurring: Recurring) -> None:
    """Read a request. Raises Irregular or DecodeError where it isn't as usual, or what Reading
    raises: then only protobuf can tell what is wrong, if anything is."""
    walk = _Walk(body, reading, recurring)
    try:
        targets, frame = _split(body, 0, len(body), _FIRST)
        if frame:
            raise Irregular
        for start, end in _pairs(targets):
            walk.target(start, end)
    except (IndexError, struct.error):
        raise Irregular from None


class _Walk:
    """Through a request."""

    def __init__(self, data: bytes, reading: Reading, recurring: Recurring) -> None:
        self._data = data
        self._reading = reading
        self._recurring = recurring

    def target(self, start: int, end: int) -> None:
        reading, recurring = self._reading, self._recurring
        reading.look()
        scopes, frame = _split(self._data, start, end, _SECOND)
        target = recurring.target(frame)
        if target is None:
            target = recurring.add_target(
                frame, len(frame), reading.target(_resource(frame).resource)
            )
        reading.latest = None
        for of_scope in _pairs(scopes):
            reading.look()
            metrics, about = _split(self._data, *of_scope, _SECOND)
            scope = target.scopes.get(about)
            if scope is None:
                labels = scope_labels(_scope(about).scope)
                scope = recurring.add_scope(target, about, len(about), labels)
            for start, end in paced(_pairs(metrics)):
                reading.look()
                self._metric(target, scope, start, end)
        if reading.latest is not None:
            reading.describe(target.target, reading.latest)

    def _metric(self, target: KnownTarget, scope: KnownScope, start: int, end: int) -> None:
        data = self._data
        tag, field, inner, after = _data_of(data, start, end)
        if tag not in _NUMBERS and tag != _HISTOGRAM:
            self._reading.metric(_metric(data[start:end]), scope.labels)
            return
        spans, temporality = _split(data, inner, after, _FIRST)
        key = tag, data[start:field], data[after:end], temporality
        message = None
        known = scope.families.get(key)
        if known is None:
            message = _metric(data[start:end])
            family = self._reading.family(message, scope.labels)
            if family is None:
                return
            known = self._recurring.add_family(target, scope, key, end - start, family)
        count = len(spans) // 2
        self._reading.look(count)
        points = _Points(self._recurring, target, known, data[start:end], message, count)
        some = paced(_pairs(spans)) if count > _MANY else _pairs(spans)
        if tag == _HISTOGRAM:
            self._histograms(some, points)
        else:
            self._numbers(some, points)

    def _numbers(self, spans: Iterable[tuple[int, int]], points: _Points) -> None:
        data, reading = self._data, self._reading
        take, known = reading.take_number, points.known.series.get
        for index, (start, end) in enumerate(spans):
            key: bytes | None
            first = data[start]
            if first == _TIME:
                _, time, tag, value = _timed(data, start)
                after, began = start + 18, 0
            elif first == _START:
                _, began, second, time, tag, value = _started(data, start)
                after = start + 27
                if second != _TIME:
                    points.read(reading, index, None)
                    continue
            else:
                points.read(reading, index, None)
                continue
            if tag == _ATTRIBUTES and after <= end:  # and the value behind them
                key = data[after - 9 : end - 9]
                tag, after = data[end - 9], end
                (value,) = _double(data, end - 8)
            else:
                key = data[after:end]
            if tag == _INTEGER:
                (number,) = _integer(data, after - 8)
                value = float(number) if -EXACT < number < EXACT else nan
            elif tag != _DOUBLE:
                key = None
            if (
                after > end
                or key is None
                or (series := known(key)) is None
                or not take(series[0], began, time, value)
            ):
                points.read(reading, index, key)

    def _histograms(self, spans: Iterable[tuple[int, int]], points: _Points) -> None:
        data, reading = self._data, self._reading
        known = points.known.series.get
        for index, (start, end) in enumerate(spans):
            key = None
            if data[start] == _START:
                _, began, second, time, third, count = _started_count(data, start)
                at = start + 27
            else:
                second, time, third, count = _timed_count(data, start)
                at, began = start + 18, 0
            if second == _TIME and third == _COUNT:
                total: float | None = None
                if data[at] == _SUM:
                    (total,) = _double(data, at + 1)
                    at += 9
                # Some write the least and the greatest value here, and others at the end.
                for tag in (_MIN, _MAX):
                    if data[at] == tag:
                        at += 9
                counts: tuple[int, ...] = ()
                if data[at] == _BUCKETS:
                    size, at = _length(data, at + 1)
                    counts = struct.unpack_from(f"<{size // 8}Q", data, at) if at < end else ()
                    at += size
                    if size % 8 or at > end:
                        at = end + 1
                if data[end - 9] == _MAX and data[end - 18] == _MIN:
                    end -= 18
                if at <= end:
                    key = (total is not None, data[at:end])
            if (
                key is None
                or (series := known(key)) is None
                or not reading.take_histogram(series, began, time, counts, total, count)
            ):
                points.read(reading, index, key)


class _Points:
    """Those of a metric, for what isn't known of them."""

    def __init__(
        self,
        recurring: Recurring,
        target: KnownTarget,
        known: KnownFamily,
        metric: bytes,
        message: Metric | None,
        count: int,
    ) -> None:
        self.known = known
        self._recurring = recurring
        self._target = target
        self._metric = metric
        self._count = count
        self._points: Any = None
        if message is not None:
            self._found(message)

    def _found(self, message: Metric) -> None:
        self._points = points_of(message, self.known.family.what)
        if len(self._points) != self._count:
            raise Irregular

    def read(self, reading: Reading, index: int, key: bytes | tuple[bool, bytes] | None) -> None:
        """Take in a point as protobuf reads it; `key` is where all is that it says besides times
        and values, and is remembered if that is so."""
        if self._points is None:
            self._found(_metric(self._metric))
        point = self._points[index]
        samples = reading.point(self.known.family, point)
        if samples is None or key is None:
            return
        rest = key if isinstance(key, bytes) else key[1]
        if len(rest) <= REMEMBERED and _says_the_rest(point, rest, len(samples)):
            self._recurring.add_series(self._target, self.known, key, len(rest), samples)


def _says_the_rest(point: Any, rest: bytes, samples: int) -> bool:
    """Whether these bytes of a point are whole fields, and none of them a time or a value."""
    try:
        found = type(point).FromString(rest)
    except DecodeError:
        return False
    kept = {"attributes", "flags", "explicit_bounds"}
    if found.flags & NO_VALUE or not {field.name for field, _ in found.ListFields()} <= kept:
        return False
    if not isinstance(point, HistogramDataPoint):
        return True
    bounds = found.explicit_bounds
    return samples == len(bounds) + 2 + point.HasField("sum")


def _framed(tag: int, data: bytes) -> bytes:
    """A field."""
    return bytes((tag,)) + encode_varint(len(data)) + data


def _resource(data: bytes) -> ResourceMetrics:
    """These bytes as a resource's part of a request. Raises DecodeError."""
    found = ExportMetricsServiceRequest.FromString(_framed(_FIRST, data))
    return found.resource_metrics[0]


def _scope(data: bytes) -> ScopeMetrics:
    """These bytes as a scope's part of a request. Raises DecodeError."""
    return _resource(_framed(_SECOND, data)).scope_metrics[0]


def _metric(data: bytes) -> Metric:
    """These bytes as a metric of a request. Raises DecodeError."""
    return _scope(_framed(_SECOND, data)).metrics[0]


def _split(data: bytes, start: int, end: int, wanted: int) -> tuple[_Spans, bytes]:
    """The fields with a tag, and all other bytes of a message. Raises Irregular."""
    spans: _Spans = []
    others: list[bytes] = []
    at = start
    while at < end:
        if data[at] == wanted:
            size = data[at + 1]
            if size < 0x80:
                begin = at + 2
            else:
                size, begin = _length(data, at + 1)
            at = begin + size
            if at > end:
                raise Irregular
            spans += (begin, at)
        else:
            begin = at
            at = _skip(data, at, end)
            others.append(data[begin:at])
    return spans, b"".join(others)


def _pairs(spans: _Spans) -> Iterator[tuple[int, int]]:
    each = iter(spans)
    return zip(each, each, strict=True)


def _data_of(data: bytes, start: int, end: int) -> tuple[int, int, int, int]:
    """Of a metric, the field with its data: tag, where the field begins, where what is in it
    begins, and where it ends. The tag is 0 where there isn't exactly one."""
    found = 0, start, start, start
    at = start
    while at < end:
        begin, tag = at, data[at]
        at = _skip(data, at, end)
        if tag in _DATA:
            if found[0]:
                return 0, start, start, start
            found = tag, begin, _length(data, begin + 1)[1], at
    return found


def _skip(data: bytes, at: int, end: int) -> int:
    """The end of a field. Raises Irregular."""
    tag = data[at]
    sort = tag & 7
    if tag >= 0x80 or tag < 8:
        raise Irregular
    at += 1
    if sort == 2:
        size, at = _length(data, at)
        at += size
    elif sort == 0:
        most = at + 10
        while data[at] >= 0x80:
            at += 1
        at += 1
        if at > most:
            raise Irregular
    elif sort in (1, 5):
        at += 8 if sort == 1 else 4
    else:
        raise Irregular
    if at > end:
        raise Irregular
    return at


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The length of a field, and where that begins. Raises Irregular for one of more than four
    bytes, or of more than it takes."""
    size = shift = 0
    for place in range(at, at + 4):
        byte = data[place]
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                break
            return size, place + 1
        shift += 7
    raise Irregular
