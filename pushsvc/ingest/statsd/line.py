"""One line of StatsD, with the extensions of DogStatsD.

    page.views:1|c|@0.1|#env:prod,canary

Name, value and type, then in any order a sample rate, tags, and the time of a count or a gauge in
Unix seconds (`|T1656581400`); without it a value gets the time of its arrival. Several values may
be packed into one line (`took:12:15:9|ms`). A container's id and unknown fields are ignored.

https://github.com/statsd/statsd/blob/master/docs/metric_types.md
https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/
"""

from __future__ import annotations

import re
from math import isfinite

import msgspec

from pushsvc.errors import Malformed

COUNTER, GAUGE, TIMER, HISTOGRAM, SET = b"c", b"g", b"ms", b"h", b"s"
_TYPES = {kind: kind for kind in (COUNTER, GAUGE, TIMER, HISTOGRAM, SET)} | {b"d": HISTOGRAM}
"""To DogStatsD a distribution is a histogram over all hosts; here every histogram is one."""

_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]+")


class Line(msgspec.Struct, gc=False):
    """What a line says. `series` is name and tags as they were written."""

    series: bytes
    type: bytes
    values: list[bytes]
    time: int | None
    """Unix milliseconds; None where the line has no time."""
    weight: float
    """How many events each value stands for: 10 where the sample rate is 0.1."""


def is_other(line: bytes) -> bool:
    """Whether this is an event or a service check of DogStatsD, which aren't metrics."""
    return line.startswith((b"_e{", b"_sc|"))


def parse_line(line: bytes) -> Line:
    """Split a line; its values and names are parsed later. Raises Malformed."""
    head, *fields = line.split(b"|")
    name, colon, values = head.partition(b":")
    if not fields or not colon:
        raise Malformed("line", "not of the form name:value|type")
    kind = _TYPES.get(fields[0])
    if kind is None:
        raise Malformed("type", f"type {fields[0][:20]!r} is not one of c, g, ms, h, d, s")
    weight, tags, time = 1.0, b"", None
    for field in fields[1:]:
        if field.startswith(b"@"):
            rate = read_number(field[1:])
            if not 0 < rate <= 1 or not isfinite(1 / rate):
                raise Malformed("rate", "a sample rate lies between 0 and 1")
            weight = 1 / rate
        elif field.startswith(b"#"):
            tags = field
        elif field.startswith(b"T"):
            if not field[1:].isdigit() or len(field) > 12:
                raise Malformed("time", f"{field[1:30]!r} is no time in Unix seconds")
            time = int(field[1:]) * 1000
    split = values.split(b":") if kind is not SET else [values]
    return Line(name + tags, kind, split, time, weight)


def read_number(text: bytes) -> float:
    """A finite number. Raises Malformed."""
    if _NUMBER.fullmatch(text) is None or not isfinite(number := float(text)):
        raise Malformed("value", f"{text[:30]!r} is not a number")
    return number


def read_series(series: bytes) -> tuple[str, dict[str, str]]:
    """Metric name and labels in the Prometheus character set. Raises Malformed.

    Characters that a name may not have become `_`. A tag without a value becomes a label with the
    value `true`; if several tags become one label, the last one counts.
    """
    try:
        name, _, tags = series.decode().partition("#")
    except UnicodeDecodeError:
        raise Malformed("line", "not valid UTF-8") from None
    name = _NOT_IN_NAMES.sub("_", name.strip())
    labels = {}
    for tag in tags.split(","):
        key, colon, value = tag.partition(":")
        if key:
            label = _NOT_IN_LABELS.sub("_", key)
            if label[0].isdigit() or label.startswith("__"):
                label = f"tag_{label.lstrip('_')}"
            labels[label] = value if colon else "true"
    return (f"_{name}" if name[:1].isdigit() else name), labels
