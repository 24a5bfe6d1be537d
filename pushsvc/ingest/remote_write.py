"""Prometheus remote write, versions 1.0 and 2.0: a snappy block of protobuf to a Batch.

What a series is called comes as the very same bytes in each request, so its labels are read once
and looked up by those bytes from then on; the usual request, one sample of each series, is then
taken apart without protobuf. Whatever looks otherwise goes through protobuf.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/,
https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from math import isfinite
from typing import Any

import cramjam
import msgspec
from google.protobuf.message import DecodeError

from pushsvc.core.limits import Limits
from pushsvc.core.series import Batch, Identity, Kind, Rows, identify
from pushsvc.errors import Malformed, Rejected, TooLarge
from pushsvc.ingest.remote_write_messages import MetricMetadata, Request, TimeSeries

_STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN with which Prometheus says that a series has ended."""
_double = struct.Struct("<d").unpack
_pack = struct.Struct("<d").pack
_REMEMBERED = 4096
"""Bytes of labels beyond which a series is read anew each time."""
_FAMILIES = 50_000
"""Metric families whose metadata is kept."""
_REPORTED = 20
"""Refusals that are told one by one."""
_KINDS: dict[int, Kind] = {1: "counter", 2: "gauge", 3: "counter", 5: "counter"}
"""By the specifications' metric types: of histograms and summaries the components count up."""
_COUNTING = ("_total", "_bucket", "_count", "_sum")


class _Known(msgspec.Struct):
    """A series that came before."""

    identity: Identity
    kind: Kind | None
    unit: str | None = None
    help: str | None = None


class Decoded(msgspec.Struct):
    """What a request brings, and what of it can't be taken."""

    batch: Batch
    samples: int = 0
    """Samples in the batch."""
    refused: int = 0
    """Samples, or whole series, that a producer should not send again."""
    histograms: int = 0
    """Native histograms, which are refused too."""
    passed_over: int = 0
    """Samples that are NaN or infinite: they mean something to Prometheus, and nothing here."""
    markers: int = 0
    """Staleness markers, each the end of a series."""
    complaints: list[str] = []


class RemoteWriteDecoder:
    """Decodes requests. It remembers series and metadata; not to be called from two threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # By what is equal in every request: in version 1.0 the bytes of the labels, which begin
        # with a tag; in version 2.0 the numbers of the symbols, which begin with a type.
        self._series: dict[bytes, _Known] = {}
        self._symbols: dict[str, int] = {}
        self._families: dict[str, Any] = {}
        self._last_raw = b""
        self._last_time = 0

    def decode(self, body: bytes, now_ms: int, *, version: int) -> Decoded:
        """Decode a request of version 1 or 2, as it was sent.

        Raises Malformed where it can't be read at all, TooLarge beyond `limits.body_bytes` or
        `limits.batch_samples`; what is wrong with single series stands in the answer.
        """
        data = self._inflate(body)
        taking = _Taking(self._limits, now_ms)
        try:
            if version == 1:
                self._first(data, taking)
            else:
                self._second(data, taking)
        except DecodeError as error:
            raise Malformed("protobuf", f"not a remote write request: {error}") from None
        except UnicodeDecodeError:
            raise Malformed("protobuf", "a string is not UTF-8") from None
        return taking.finish()

    def _inflate(self, body: bytes) -> bytes:
        size = _announced(body)
        if size > self._limits.body_bytes:
            raise TooLarge(
                "body",
                f"the body inflates to {size} bytes, the limit is {self._limits.body_bytes} "
                "(limits.body_bytes)",
                limit="body_bytes",
            )
        try:
            return bytes(cramjam.snappy.decompress_raw(body))
        except cramjam.DecompressionError as error:
            raise Malformed("snappy", f"not a snappy block: {error}") from None

    # -- version 1.0 -------------------------------------------------------------------------------

    def _first(self, data: bytes, taking: _Taking) -> None:
        known = self._series.get
        metadata = False
        for field, start, end in _fields(data):
            if field == 0x0A:
                # The last 18 bytes of a series with one sample of this century: its value and its
                # time, each behind its tag. What stands before is labels that were met already,
                # or this is not such a series.
                middle = end - 18
                if (
                    data[middle : middle + 3] == b"\x12\x10\x09"
                    and data[end - 7] == 0x10
                    and (series := known(data[start:middle])) is not None
                    and (time := self._time(data[end - 6 : end])) is not None
                ):
                    taking.add(series, data[middle + 3 : middle + 11], time)
                else:
                    self._series_of(data[start:end], taking)
            elif field == 0x1A:
                metadata = True
                self._remember_family(MetricMetadata.FromString(data[start:end]))
        if metadata:
            # What series are is told apart from what they are at: see to it from now on.
            self._series.clear()

    def _time(self, raw: bytes) -> int | None:
        """The time that six bytes are, mostly the one of the sample before."""
        if raw != self._last_raw:
            time = _varint6(raw)
            if time is None:
                return None
            self._last_raw, self._last_time = raw, time
        return self._last_time

    def _series_of(self, data: bytes, taking: _Taking) -> None:
        """Read one series in full."""
        message = TimeSeries.FromString(data)
        taking.histograms += len(message.histograms)
        samples = message.samples
        if not samples:
            return
        # The labels come first; only then are they a prefix that says which series this is.
        size = sum(each.ByteSize() + _head(each.ByteSize()) for each in samples)
        prefix = data[: len(data) - size]
        key = prefix if not message.histograms and _is_labels(prefix) else None
        series = None if key is None else self._series.get(key)
        if series is None:
            labels = {label.name: label.value for label in message.labels}
            if len(labels) != len(message.labels):
                taking.refuse("a label is there twice", len(samples))
                return
            try:
                series = self._identify(labels)
            except Rejected as problem:
                taking.refuse(problem.detail, len(samples))
                return
            if key is not None and len(key) <= _REMEMBERED:
                if len(self._series) >= 2 * self._limits.series:
                    self._series.clear()
                self._series[key] = series
        for sample in samples:
            taking.add(series, _pack(sample.value), sample.timestamp)

    def _identify(self, labels: dict[str, str]) -> _Known:
        name = labels.pop("__name__", "")
        identity = identify(name, labels, self._limits)
        family = self._families.get(name)
        if family is None:
            for suffix in _COUNTING:
                family = family or self._families.get(name.removesuffix(suffix))
        if family is None:
            counting = name.endswith(_COUNTING)
            return _Known(identity, "counter" if counting else None)
        kind = self._kind(name, family.type, labels)
        return _Known(identity, kind, family.unit or None, family.help or None)

    @staticmethod
    def _kind(name: str, type_: int, labels: dict[str, str]) -> Kind | None:
        if type_ in (3, 5) and not name.endswith(_COUNTING[1:]):
            return "gauge" if "quantile" in labels else None
        return _KINDS.get(type_)

    def _remember_family(self, family: Any) -> None:
        limit = self._limits.value_bytes
        if len(family.help.encode()) <= limit and len(family.unit.encode()) <= limit:
            if len(self._families) >= _FAMILIES:
                self._families.clear()
            self._families[family.metric_family_name] = family

    # -- version 2.0 -------------------------------------------------------------------------------

    def _second(self, data: bytes, taking: _Taking) -> None:
        request = Request.FromString(data)
        symbols = list(request.symbols) or [""]
        if symbols[0]:
            raise Malformed("symbols", "the first symbol must be empty")
        if len(self._symbols) + len(symbols) > 8 * self._limits.series:
            # The numbers are in the keys of series.
            self._symbols.clear()
            self._series.clear()
        numbers = [self._symbols.setdefault(each, len(self._symbols)) for each in symbols]
        for message in request.timeseries:
            taking.histograms += len(message.histograms)
            samples = message.samples
            if not samples:
                continue
            try:
                series = self._symbolic(message, symbols, numbers)
            except Rejected as problem:
                taking.refuse(problem.detail, len(samples))
                continue
            for sample in samples:
                taking.add(series, _pack(sample.value), sample.timestamp)

    def _symbolic(self, message: Any, symbols: list[str], numbers: list[int]) -> _Known:
        metadata = message.metadata
        refs = message.labels_refs
        try:
            # Numbers of symbols, which are the same in every request: few bytes, and no strings.
            key = array(
                "I",
                [
                    metadata.type & 0xFF,
                    numbers[metadata.help_ref],
                    numbers[metadata.unit_ref],
                    *[numbers[ref] for ref in refs],
                ],
            ).tobytes()
        except IndexError:
            raise Malformed("symbols", "a series refers to a symbol that isn't there") from None
        series = self._series.get(key)
        if series is None:
            words = [symbols[ref] for ref in refs]
            help_, unit = symbols[metadata.help_ref], symbols[metadata.unit_ref]
            if len(words) % 2:
                raise Malformed("symbols", "labels come in pairs of a name and a value")
            labels = dict(zip(words[::2], words[1::2], strict=True))
            if 2 * len(labels) != len(words):
                raise Rejected("label", "a label is there twice")
            name = labels.pop("__name__", "")
            identity = identify(name, labels, self._limits)
            limit = self._limits.value_bytes
            kind = self._kind(name, metadata.type, labels)
            series = _Known(
                identity,
                kind or ("counter" if not metadata.type and name.endswith(_COUNTING) else None),
                unit if unit and len(unit.encode()) <= limit else None,
                help_ if help_ and len(help_.encode()) <= limit else None,
            )
            if sum(map(len, words)) <= _REMEMBERED:
                if len(self._series) >= 2 * self._limits.series:
                    self._series.clear()
                self._series[key] = series
        return series


class _Taking:
    """A batch as it grows."""

    def __init__(self, limits: Limits, now_ms: int) -> None:
        self._limits = limits
        self._earliest = now_ms - limits.past_seconds * 1000
        self._latest = now_ms + limits.future_seconds * 1000
        self._rows: dict[str, Rows] = {}
        self._ended: dict[str, tuple[Identity, int]] = {}
        self._decoded = Decoded(Batch([]), complaints=[])
        self.histograms = 0
        self.samples = 0

    def add(self, series: _Known, raw: bytes, time: int) -> None:
        """Take in one sample: its value as eight bytes, its time in Unix milliseconds."""
        value: float = _double(raw)[0]
        text = series.identity.text
        if isfinite(value) and self._earliest <= time <= self._latest:
            rows = self._rows.get(text)
            if rows is None:
                self._rows[text] = Rows(
                    series.identity, [time], [value], series.kind, series.unit, series.help
                )
            else:
                rows.times.append(time)
                rows.values.append(value)
            self.samples += 1
        elif not isfinite(value):
            if raw == _STALE:
                self._ended[text] = series.identity, time
                self._decoded.markers += 1
            else:
                self._decoded.passed_over += 1
        else:
            self.refuse(f"the time of a sample of {text} is too far from now", 1)

    def refuse(self, complaint: str, samples: int) -> None:
        self._decoded.refused += samples
        if len(self._decoded.complaints) < _REPORTED:
            self._decoded.complaints.append(complaint)

    def finish(self) -> Decoded:
        decoded = self._decoded
        decoded.samples = self.samples
        if decoded.samples > self._limits.batch_samples:
            raise TooLarge(
                "batch",
                f"{decoded.samples} samples in one request, the limit is "
                f"{self._limits.batch_samples} (limits.batch_samples)",
                limit="batch_samples",
            )
        ended = []
        for text, (identity, time) in self._ended.items():
            rows = self._rows.get(text)
            if rows is None or rows.times[-1] <= time:
                ended.append(identity)
        decoded.batch = Batch(list(self._rows.values()), ended)
        decoded.histograms = self.histograms
        if decoded.histograms:
            decoded.complaints.append(
                f"{decoded.histograms} native histograms: send classic ones instead"
            )
        return decoded


# -- the wire format, as far as it is looked at without protobuf ----------------------------------


def _announced(body: bytes) -> int:
    """The size that a snappy block begins by announcing (a varint)."""
    size = shift = 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size
    raise Malformed("snappy", "not a snappy block: it doesn't begin with a length")


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message: tag, start and end; others are passed over."""
    at, size = 0, len(data)
    while at < size:
        tag = data[at]
        # Nearly every tag is one byte, and every length one or two.
        if tag < 0x80 and tag & 7 == 2 and at + 2 < size:
            length = data[at + 1]
            if length < 0x80:
                at += 2
            elif data[at + 2] < 0x80:
                length = (length & 0x7F) | data[at + 2] << 7
                at += 3
            else:
                length, at = _varint(data, at + 1)
            if at + length > size:
                raise DecodeError("a field goes beyond the end")
            yield tag, at, at + length
            at += length
            continue
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 2:
            length, at = _varint(data, at)
            if at + length > size:
                raise DecodeError("a field goes beyond the end")
            yield tag, at, at + length
            at += length
        elif wire == 0:
            _, at = _varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        else:
            raise DecodeError("a field of an unknown sort")
    if at != size:
        raise DecodeError("a field goes beyond the end")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift = byte & 0x7F, 7
        while shift < 70:
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at + 1
            shift += 7
    except IndexError:
        pass
    raise DecodeError("a number without an end")


def _varint6(raw: bytes) -> int | None:
    """The number that these six bytes are; None if it is a shorter or a longer one."""
    value = 0
    for place, byte in enumerate(raw):
        if (byte < 0x80) != (place == 5):
            return None
        value |= (byte & 0x7F) << 7 * place
    return value


def _head(size: int) -> int:
    """Bytes of tag and length before a message of so many."""
    return 1 + max(1, (size.bit_length() + 6) // 7)


def _is_labels(data: bytes) -> bool:
    """Whether these are whole labels and nothing else."""
    try:
        return all(tag == 0x0A for tag, _, _ in _fields(data)) and _only_lengths(data)
    except DecodeError:
        return False


def _only_lengths(data: bytes) -> bool:
    at = 0
    while at < len(data):
        if data[at] != 0x0A:
            return False
        length, at = _varint(data, at + 1)
        at += length
    return at == len(data)
