"""Prometheus' text format and OpenMetrics, as exporters show it and scripts push it, to a Batch.

A sample is a line: what a series is called comes as the same bytes each time, and is read once, by
prometheus_client's parser. Before it stand the lines that say of what type, unit and help its
family is; a sample of another name has none of that. Lines are judged one by one. Exemplars are
passed over, and so are the lines `_created` of OpenMetrics, which are no samples: they say when a
counter began.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from pushsvc.core.model.series import Batch, identify, shorten
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Rejected, TooLarge
from pushsvc.ingest.families import TYPES, kind_of, unit_of
from pushsvc.ingest.gathered import Gathered, Known
from pushsvc.ingest.numerals import plain_number
from pushsvc.ingest.pace import paced
from pushsvc.ingest.refusals import Refusals

_REMEMBERED = 4096
"""Bytes of a series, or of the lines before it, beyond which it is read anew each time."""
_MOST_DIGITS = 20
_HEAD = rb'(?:[^\s{"#]*[ \t]*\{(?:[^"}]|"(?:[^"\\]|\\.)*+")*+\}[ \t]*|[^\s{}"#]++[ \t]+)'
_SAMPLE = re.compile(rb"(%b)([^\s#]++)(?:[ \t]+([^\s#]++))?(?:[ \t]+#[ \t].*+)?" % _HEAD, re.DOTALL)
_ABOUT = re.compile(
    r'#[ \t]+(TYPE|HELP|UNIT)[ \t]+("(?:[^"\\]|\\.)*+"|[^\s"]++)(?:[ \t]+(.*+))?', re.DOTALL
)
_WORDS = ([b"TYPE"], [b"HELP"], [b"UNIT"])
_ESCAPED = re.compile(r'\\([\\n"])')
_SUFFIXES = {
    1: ("", "_total"),
    3: ("_bucket", "_sum", "_count"),
    4: ("_bucket", "_gsum", "_gcount"),
    5: ("", "_sum", "_count"),
    6: ("", "_info"),
}
"""By type, the endings that a family's samples may have behind its name."""
_BEGUN = (1, 3, 5)
"""Types whose families may have lines that say when they began."""


class Decoded(msgspec.Struct):
    """The samples of a body, and the lines that were refused."""

    batch: Batch
    samples: int = 0
    passed_over: int = 0
    """Samples that are NaN or infinite: Prometheus keeps them, and they are ignored here."""
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    """Lines that were refused, each with its number and why."""


class _Family(NamedTuple):
    """What the lines before samples say of them."""

    name: str = ""
    type: int = 0
    unit: str = ""
    help: str = ""


class _Body:
    """One body while it is read."""

    def __init__(
        self, now_ms: int, time: int | None, labels: Mapping[str, str], *, openmetrics: bool
    ) -> None:
        self.decoded = Decoded(Batch([]))
        self.gathered = Gathered()
        self.now_ms = now_ms
        self.time = time
        self.labels = dict(labels)
        self.openmetrics = openmetrics
        self.key = tuple(sorted(self.labels.items()))
        self.about: list[str] = []
        """The lines since the last sample that say what comes next."""
        self.family = _Family()
        self.known: dict[bytes, Known | None] = {}
        """The series of that family, by their bytes; None for what is no sample."""
        self.ended = False


class PrometheusTextDecoder:
    """Decodes bodies. It remembers the names of series; not to be called from two threads at the
    same time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # By the labels that are added and the lines before, then by the bytes of a series.
        self._families: dict[object, tuple[_Family, dict[bytes, Known | None]]] = {}
        self._count = 0

    def decode(
        self,
        body: bytes,
        now_ms: int,
        *,
        openmetrics: bool = False,
        time: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Decoded:
        """Decode a body. `time` (Unix ms) is that of samples without one, which are stamped
        `now_ms` otherwise; `labels` are given to all series, over those that they have.

        Raises TooLarge beyond `limits.batch_samples`, and Malformed where OpenMetrics doesn't come
        to its end.
        """
        reading = _Body(now_ms, time, labels or {}, openmetrics=openmetrics)
        decoded, gathered = reading.decoded, reading.gathered
        if openmetrics and not re.search(rb"(?:^|\n)# EOF\s*\Z", body):
            raise Malformed("eof", "OpenMetrics without # EOF at its end: was it cut off?")
        self._enter(reading)
        earliest = now_ms - self._limits.past_seconds * 1000
        latest = now_ms + self._limits.future_seconds * 1000
        for number, line in paced(enumerate(body.split(b"\n"), 1)):
            # The usual line: of a known series, with or without a time, in the plainest form.
            head, _, last = line.rpartition(b" ")
            if not reading.about:
                one = reading.known.get(head)
                if one is not None and (value := plain_number(last)) is not None:
                    if time is None:
                        gathered.stamp(one, now_ms, value)
                    else:
                        gathered.add(one, time, value)
                    continue
                start, _, text = head.rpartition(b" ")
                one = reading.known.get(start)
                if (
                    one is not None
                    and not openmetrics
                    and last.isdigit()
                    and len(last) < _MOST_DIGITS
                    and earliest <= (given := int(last)) <= latest
                    and (value := plain_number(text)) is not None
                ):
                    gathered.add(one, given, value)
                    continue
            try:
                self._line(line.strip(b" \t\r"), reading)
            except (Malformed, Rejected) as problem:
                decoded.refusals.add(problem.code, f"line {number}: {problem.detail}")
        decoded.batch = gathered.batch()
        decoded.samples = decoded.batch.count
        if decoded.samples > self._limits.batch_samples:
            raise TooLarge(
                "batch",
                f"{decoded.samples} samples in one body, the limit is "
                f"{self._limits.batch_samples} (limits.batch_samples)",
                limit="batch_samples",
            )
        return decoded

    def _line(self, line: bytes, reading: _Body) -> None:
        """Take in one line of any form. Raises Malformed, Rejected."""
        if not line:
            return
        if reading.ended:
            raise Malformed("eof", "it stands behind # EOF")
        if line.startswith(b"#"):
            if line.split(None, 2)[1:2] in _WORDS:
                if not _ABOUT.fullmatch(text := _decoded(line)):
                    raise Malformed("comment", f"not # WORD NAME TEXT: {shorten(text)}")
                reading.about.append(text)
            reading.ended = reading.openmetrics and line == b"# EOF"
            return
        if reading.about:
            self._enter(reading)
        found = _SAMPLE.fullmatch(line)
        if found is None:
            raise Malformed("line", f"not NAME{{LABELS}} VALUE: {_shown(line)}")
        head, raw = found[1].strip(), found[3]
        one = reading.known.get(head)
        if one is None:
            if head not in reading.known:
                one = self._series(head, reading)
            if one is None:
                return
        value = plain_number(found[2])
        if value is None:
            value = _number(found[2])
            if not isfinite(value):
                reading.decoded.passed_over += 1
                return
        time = reading.time if raw is None else self._time(raw, reading)
        if time is None:
            reading.gathered.stamp(one, reading.now_ms, value)
        else:
            reading.gathered.add(one, time, value)

    def _enter(self, reading: _Body) -> None:
        """A family begins, with the lines that came since the last sample."""
        about = tuple(reading.about)
        reading.about = []
        key = reading.key, about
        entry = self._families.get(key)
        if entry is None:
            entry = self._family(about), {}
            if sum(map(len, about)) <= _REMEMBERED:
                self._grow()
                self._families[key] = entry
        reading.family, reading.known = entry

    def _grow(self) -> None:
        if self._count >= 2 * self._limits.series:
            # Also for who is reading one of them.
            for _, known in self._families.values():
                known.clear()
            self._families.clear()
            self._count = 0
        self._count += 1

    def _family(self, about: tuple[str, ...]) -> _Family:
        """What these lines say."""
        family = _Family()
        for word, name, text in [_ABOUT.fullmatch(line).groups("") for line in about]:  # type: ignore[union-attr]
            if name.startswith('"'):
                name = _unescaped(name[1:-1])
            if name != family.name:
                family = _Family(name)
            if word == "TYPE":
                family = family._replace(type=TYPES.get(text.strip(), 0))
            elif word == "UNIT":
                family = family._replace(unit=text.strip())
            else:
                family = family._replace(help=_unescaped(text))
        most = self._limits.value_bytes
        return family._replace(
            unit=family.unit if len(family.unit.encode()) <= most else "",
            help=family.help if len(family.help.encode()) <= most else "",
        )

    def _series(self, head: bytes, reading: _Body) -> Known | None:
        """A series that didn't come before; None where it is no series. Raises Malformed,
        Rejected."""
        try:
            (found,) = text_string_to_metric_families(f"{_decoded(head)} 0")
            (sample,) = found.samples
        except (ValueError, IndexError):
            raise Malformed("line", f"not NAME{{LABELS}}: {_shown(head)}") from None
        name, family = sample.name, reading.family
        mine = family.name and name.startswith(family.name)
        suffix = name[len(family.name) :] if mine else None
        series: Known | None
        if suffix == "_created" and family.type in _BEGUN:
            series = None
        else:
            labels = {**sample.labels, **reading.labels}
            identity = identify(name, labels, self._limits)
            if suffix is not None and suffix in _SUFFIXES.get(family.type, ("",)):
                series = Known(
                    identity,
                    kind_of(name, family.type, labels),
                    unit_of(name, family.type, labels, family.unit),
                    family.help or None,
                )
            else:
                series = Known(identity, None)
        if len(head) <= _REMEMBERED:
            self._grow()
            reading.known[head] = series
        return series

    def _time(self, raw: bytes, reading: _Body) -> int:
        """A time of a sample, in Unix ms. Raises Malformed, Rejected."""
        limits = self._limits
        given = _number(raw)
        if not isfinite(given):
            raise Malformed("time", f"not a time: {_shown(raw)}")
        if reading.openmetrics:
            given *= 1000
        if not (
            reading.now_ms - limits.past_seconds * 1000
            <= given
            <= reading.now_ms + limits.future_seconds * 1000
        ):
            unit = "seconds" if reading.openmetrics else "milliseconds"
            raise Rejected("time", f"the time is too far from the server's clock: is it in {unit}?")
        return round(given)


def _number(text: bytes) -> float:
    """A number of any form, also one that isn't finite. Raises Malformed."""
    try:
        if b"_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise Malformed("value", f"not a number: {_shown(text)}") from None


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("text", f"not UTF-8: {raw[:60]!r}") from None


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _shown(raw: bytes) -> str:
    return shorten(raw.decode(errors="replace"))
