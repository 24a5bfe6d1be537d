"""InfluxDB line protocol: lines of a measurement, tags, fields and a time, to a Batch.

Each numeric or boolean field is a series: `MEASUREMENT_FIELD`, or `MEASUREMENT` where the field is
called `value`, with the tags as labels. Characters that a metric or label name may not have become
underscores. A boolean is a gauge of 1 and 0. A string field is no number, and is passed over.

Source: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite

import msgspec

from pushsvc.core.model.series import EXACT, Batch, identify, shorten
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Rejected, TooLarge
from pushsvc.ingest.counters import Counters
from pushsvc.ingest.gathered import Gathered, Known
from pushsvc.ingest.numerals import plain_number
from pushsvc.ingest.pace import paced
from pushsvc.ingest.refusals import Refusals

PRECISIONS = {
    **dict.fromkeys(("ns", "n"), (1, 1_000_000)),
    **dict.fromkeys(("us", "u", "µ"), (1, 1_000)),
    "ms": (1, 1),
    "s": (1_000, 1),
    "m": (60_000, 1),
    "h": (3_600_000, 1),
}
"""Milliseconds in one unit of a time, as a fraction, by the unit's name in requests."""

_REMEMBERED = 4096
_TELEGRAF = Counters()
_BOOLEANS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_INTEGER = re.compile(rb"[-+]?\d+[iu]")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
# The three parts of a line. A space separates them only if it isn't escaped or within a string; and
# only a quote right behind an equals sign among the fields begins a string: any other quote is a
# character.
_KEY = rb"(?:[^\\ ]|\\.)++"
_STRING = rb'"(?:[^"\\]|\\.)*+"'
_LINE = re.compile(
    rb"(%b) +((?:[^\\= ]|\\.|=%b|=(?!\"))++)(?: +(-?\d{1,20}))? *" % (_KEY, _STRING), re.DOTALL
)
_BEFORE_FIELDS = re.compile(rb"%b +" % _KEY, re.DOTALL)
_BEFORE_STRING = re.compile(rb'(?:[^\\=]|\\.|=(?!"))*+', re.DOTALL)
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_TAG = re.compile(rb"((?:[^\\,=]|\\.)+)=((?:[^\\,]|\\.)+)", re.DOTALL)
_FIELD = re.compile(rb"((?:[^\\,=]|\\.)+)=(%b|[^,\"]+)" % _STRING, re.DOTALL)
_COMMA = re.compile(rb"(?:[^\\,]|\\.)+", re.DOTALL)
_ESCAPED = re.compile(rb"\\([,= \\])")


class Decoded(msgspec.Struct):
    """The samples of a body, and the lines that were refused."""

    batch: Batch
    samples: int = 0
    rounded: int = 0
    """Integers beyond 2^53, which may have been rounded."""
    strings: int = 0
    """Fields that are strings, and so no samples."""
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    """Lines that were refused, each with its number and why."""


class InfluxDecoder:
    """Decodes bodies. It remembers the names of series; not to be called from two threads at the
    same time."""

    def __init__(self, limits: Limits, counters: Counters = _TELEGRAF) -> None:
        """`counters` are the names of metrics that are counters."""
        self._limits = limits
        self._counters = counters
        # By measurement and tags as they were sent, then by field.
        self._known: dict[bytes, dict[bytes, Known]] = {}
        # The same of lines with one field, by all that stands before the equals sign.
        self._single: dict[bytes, Known] = {}
        self._count = 0

    def decode(
        self, body: bytes, now_ms: int, *, unit: tuple[int, int] = (1, 1_000_000)
    ) -> Decoded:
        """Decode the lines of a body; `unit` is the milliseconds in one unit of their times, as a
        fraction.

        Lines are judged one by one. Raises TooLarge beyond `limits.batch_samples`.
        """
        decoded = Decoded(Batch([]))
        gathered = Gathered()
        add = gathered.add
        single, known = self._single.get, self._known.get
        multiply, divide = unit
        earliest = now_ms - self._limits.past_seconds * 1000
        latest = now_ms + self._limits.future_seconds * 1000
        last, time = b"", now_ms  # the time that was read last, mostly the next one too
        lines = enumerate(body.split(b"\n"), 1) if b'"' not in body else _split_lines(body)
        for number, line in paced(lines):
            # The usual line: of known series, in the plainest form.
            head, _, raw = line.rpartition(b" ")
            if raw != last:
                if not (
                    raw.isdigit()
                    and len(raw) < 20
                    and earliest <= int(raw) * multiply // divide <= latest
                ):
                    self._line(line, number, now_ms, unit, gathered, decoded)
                    continue
                last, time = raw, int(raw) * multiply // divide
            start, _, text = head.rpartition(b"=")
            one = single(start)
            if one is not None:
                value = plain_number(text)
                if value is not None:
                    add(one, time, value)
                    decoded.samples += 1
                    continue
            key, _, fields = head.partition(b" ")
            taken = _plain_fields(fields, known(key))
            if taken is None:
                self._line(line, number, now_ms, unit, gathered, decoded)
                continue
            for one, value in taken:
                add(one, time, value)
            decoded.samples += len(taken)
        if decoded.samples > self._limits.batch_samples:
            raise TooLarge(
                "batch",
                f"{decoded.samples} samples in one body, the limit is "
                f"{self._limits.batch_samples} (limits.batch_samples)",
                limit="batch_samples",
            )
        decoded.batch = gathered.batch()
        return decoded

    def _line(
        self,
        line: bytes,
        number: int,
        now_ms: int,
        unit: tuple[int, int],
        gathered: Gathered,
        decoded: Decoded,
    ) -> None:
        """Take in one line of any form, and note what is wrong with it."""
        line = line.strip(b"\r\t ")
        if not line or line.startswith(b"#"):
            return
        try:
            taken, strings, rounded = self._parse(line, now_ms, unit)
        except (Malformed, Rejected) as problem:
            decoded.refusals.add(problem.code, f"line {number}: {problem.detail}")
            return
        decoded.strings += strings
        decoded.rounded += rounded
        for one, time, value in taken:
            if time is None:
                gathered.stamp(one, now_ms, value)
            else:
                gathered.add(one, time, value)
            decoded.samples += 1

    def _parse(
        self, line: bytes, now_ms: int, unit: tuple[int, int]
    ) -> tuple[list[tuple[Known, int | None, float]], int, int]:
        found = _LINE.fullmatch(line)
        if found is None:
            shown = shorten(line.decode(errors="replace"))
            raise Malformed("line", f"not MEASUREMENT,TAGS FIELDS TIME: {shown}")
        key, fields, raw = found.groups()
        time = None if raw is None else int(raw) * unit[0] // unit[1]
        limits = self._limits
        if time is not None and not (
            now_ms - limits.past_seconds * 1000 <= time <= now_ms + limits.future_seconds * 1000
        ):
            raise Rejected(
                "time", "the time is too far from the server's clock: is the precision right?"
            )
        taken, strings, rounded, at = [], 0, 0, 0
        while at < len(fields):
            pair = _FIELD.match(fields, at)
            if pair is None or (pair.end() < len(fields) and fields[pair.end()] != ord(",")):
                raise Malformed(
                    "field", f"not FIELD=VALUE: {shorten(fields[at:].decode(errors='replace'))}"
                )
            at = pair.end() + 1
            value = _value(pair[2])
            if value is None:
                strings += 1
            else:
                taken.append((self._series(key, pair[1]), time, value))
                rounded += abs(value) >= EXACT and pair[2][-1:] in b"iu"
        if fields.endswith(b","):
            raise Malformed("field", "a comma after the last field")
        return taken, strings, rounded

    def _series(self, key: bytes, field: bytes) -> Known:
        fields = self._known.get(key)
        series = None if fields is None else fields.get(field)
        if series is None:
            parts = _COMMA.findall(key)
            if not parts or b",".join(parts) != key:
                raise Malformed("tags", "a comma too many among the tags")
            measurement, *tags = parts
            name = _name(measurement)
            last = _name(field)
            labels = {}
            for tag in tags:
                pair = _TAG.fullmatch(tag)
                if pair is None:
                    raise Malformed(
                        "tags", f"not TAG=VALUE: {shorten(tag.decode(errors='replace'))}"
                    )
                labels[_name(pair[1])] = _text(pair[2])
            if len(labels) != len(tags):
                raise Malformed("tags", "a tag is there twice")
            full = name if last == "value" else f"{name}_{last}"
            identity = identify(full, labels, self._limits)
            series = Known(identity, "counter" if full in self._counters else None)
            if len(key) <= _REMEMBERED:
                self._remember(key, field, series)
        return series

    def _remember(self, key: bytes, field: bytes, series: Known) -> None:
        if self._count >= 2 * self._limits.series:
            self._known.clear()
            self._single.clear()
            self._count = 0
        self._count += 1
        self._known.setdefault(key, {})[field] = series
        if b"\\" not in key and b"\\" not in field:
            self._single[key + b" " + field] = series


def _plain_fields(
    fields: bytes, known: dict[bytes, Known] | None
) -> list[tuple[Known, float]] | None:
    """The fields of a line; None where one of them is new or needs a closer look."""
    if known is None:
        return None
    taken = []
    for pair in fields.split(b","):
        field, _, text = pair.partition(b"=")
        series = known.get(field)
        value = None if series is None else plain_number(text)
        if series is None or value is None:
            return None
        taken.append((series, value))
    return taken


def _split_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; a line break within a string is part of the string."""
    number, at, size = 1, 0, len(body)
    spanning = True
    while at <= size:
        end = _line_end(body, at)
        fields = _BEFORE_FIELDS.match(body, at, end) if body.find(b'"', at, end) >= 0 else None
        if fields is not None and not body[at:end].lstrip(b" \t\r").startswith(b"#"):
            place = fields.end()
            while True:
                place = _BEFORE_STRING.match(body, place, end).end()  # type: ignore[union-attr]
                if body[place : place + 2] != b'="' or place >= end:
                    break
                string = _WHOLE_STRING.match(body, place + 1, size if spanning else end)
                if string is None:
                    # The string isn't closed: this line is refused, and no other one.
                    spanning = False
                    break
                place = string.end()
                if place > end:
                    end = _line_end(body, place)
        line = body[at:end]
        yield number, line
        number += 1 + line.count(b"\n")
        at = end + 1


def _line_end(body: bytes, at: int) -> int:
    end = body.find(b"\n", at)
    return len(body) if end < 0 else end


def _value(raw: bytes) -> float | None:
    """A field's value; None for a string. Raises Malformed."""
    if raw.startswith(b'"'):
        return None
    if _NUMBER.fullmatch(raw):
        value = float(raw)
        if isfinite(value):
            return value
        raise Rejected("value", f"out of range: {shorten(raw.decode())}")
    if _INTEGER.fullmatch(raw):
        if len(raw) > 21:
            raise Rejected("value", f"out of range: {shorten(raw.decode())}")
        return float(int(raw[:-1]))
    if raw in _BOOLEANS:
        return _BOOLEANS[raw]
    raise Malformed(
        "value", f"not a number, boolean or string: {shorten(raw.decode(errors='replace'))}"
    )


def _text(raw: bytes) -> str:
    try:
        return _ESCAPED.sub(rb"\1", raw).decode()
    except UnicodeDecodeError:
        raise Malformed("text", f"not UTF-8: {raw[:60]!r}") from None


def _name(raw: bytes) -> str:
    """A name that a metric or a label may have."""
    name = _NOT_IN_NAMES.sub("_", _text(raw))
    return f"_{name}" if name[:1].isdigit() else name
