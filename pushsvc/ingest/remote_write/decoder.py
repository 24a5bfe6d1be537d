"""Prometheus remote write, versions 1.0 and 2.0: a snappy block of protobuf to a Batch.

What a series is called comes as the very same bytes in each request, so its labels are read once
and looked up by those bytes from then on; the usual request, one sample of each series, is then
taken apart without protobuf. Whatever looks otherwise goes through protobuf.

Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/,
https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import isfinite
from typing import Any

import cramjam
import msgspec
from google.protobuf.message import DecodeError

from pushsvc.core.model.series import Batch, Identity, Kind, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Rejected, TooLarge
from pushsvc.ingest.refusals import Refusals
from pushsvc.ingest.remote_write.messages import MetricMetadata, RequestSeries, TimeSeries

_STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN with which Prometheus says that a series has ended."""
_sample_at = struct.Struct("<3sdB6s").unpack_from
"""A sample of 18 bytes: tags and length, its value, a tag, its time."""
_pack = struct.Struct("<d").pack
_REMEMBERED = 4096
"""Bytes of labels beyond which a series is read anew each time."""
_FAMILIES = 50_000
"""Metric families whose metadata is kept."""
_KINDS: dict[int, Kind] = {1: "counter", 2: "gauge", 3: "counter", 5: "counter"}
"""By the specifications' metric types: of histograms and summaries the components count up."""
_COUNTING = ("_total", "_bucket", "_count", "_sum")


_CONTINUED = bytes(range(0x80, 0x100))
"""Of the bytes of varints, those that aren't the last."""

_Key = bytes | tuple[Any, ...]
_Family = tuple[int, int, int]
"""Its type, and the numbers of the symbols that are its help and its unit."""
_Usual = tuple[_Family, float, int, int]
"""Of a series with one sample: its family, the value, the time, and how many refs it has."""


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
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    """Samples, whole series and native histograms that a producer should not send again."""
    histograms: int = 0
    """Native histograms among them."""
    exemplars: int = 0
    """Exemplars, which are passed over."""
    starts: dict[str, int] = {}
    """When cumulative series began, in Unix milliseconds: for `RemoteWriteDecoder.remember`."""
    passed_over: int = 0
    """Samples that are NaN or infinite: they mean something to Prometheus, and nothing here."""


class RemoteWriteDecoder:
    """Decodes requests. It remembers series and metadata; not to be called from two threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # By what is equal in every request: in version 1.0 the bytes of the labels, in version 2.0
        # the family and the numbers of the labels' symbols.
        self._series: dict[_Key, _Known] = {}
        self._symbols: dict[str, int] = {}
        self._families: dict[str, Any] = {}
        self._starts: dict[str, int] = {}
        self._last_raw = b""
        self._last_time = 0

    def decode(self, body: bytes, now_ms: int, *, version: int) -> Decoded:
        """Decode a request of version 1 or 2, as it was sent.

        Raises Malformed where it can't be read at all, TooLarge beyond `limits.body_bytes` or
        `limits.batch_samples`; what is wrong with single series stands in the answer.
        """
        data = self._inflate(body)
        taking = _Taking(self._limits, now_ms, self._starts)
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

    def remember(self, decoded: Decoded) -> None:
        """A request was applied: what it says of when series began counts from now on."""
        if len(self._starts) + len(decoded.starts) > 2 * self._limits.series:
            self._starts.clear()
        self._starts.update(decoded.starts)

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
                if middle > start and (series := known(data[start:middle])) is not None:
                    head, value, tag, raw = _sample_at(data, middle)
                    if (
                        head == b"\x12\x10\x09"
                        and tag == 0x10
                        and value - value == 0.0
                        and (raw == self._last_raw or self._is_time(raw))
                    ):
                        taking.add(series, value, self._last_time)
                        continue
                self._series_of(data[start:end], taking)
            elif field == 0x1A:
                metadata = True
                self._remember_family(MetricMetadata.FromString(data[start:end]))
        if metadata:
            # What series are is told apart from what they are at: see to it from now on.
            self._series.clear()

    def _is_time(self, raw: bytes) -> bool:
        """Whether these six bytes are a time; mostly it is the one of the sample before."""
        time = _varint6(raw)
        if time is None:
            return False
        self._last_raw, self._last_time = raw, time
        return True

    def _series_of(self, data: bytes, taking: _Taking) -> None:
        """Read one series in full."""
        message = TimeSeries.FromString(data)
        taking.histograms += len(message.histograms)
        taking.exemplars += len(message.exemplars)
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
                taking.refuse("label", "a label is there twice", len(samples))
                return
            try:
                series = self._identify(labels)
            except Rejected as problem:
                taking.refuse(problem.code, problem.detail, len(samples))
                return
            if key is not None and len(key) <= _REMEMBERED:
                self._remember(key, series)
        for sample in samples:
            taking.add_any(series, sample.value, sample.timestamp)

    def _identify(self, labels: dict[str, str]) -> _Known:
        name = labels.pop("__name__", "")
        identity = identify(name, labels, self._limits)
        family = self._families.get(name)
        if family is None:
            for suffix in _COUNTING:
                family = family or self._families.get(name.removesuffix(suffix))
        guess: Kind | None = "counter" if name.endswith(_COUNTING) else None
        if family is None:
            return _Known(identity, guess)
        kind = self._kind(name, family.type, labels) if family.type else guess
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
        symbols: list[str] = []
        spans: list[tuple[int, int]] = []
        for tag, start, end in _fields(data):
            if tag == 0x2A:
                spans.append((start, end))
            elif tag == 0x22:
                symbols.append(data[start:end].decode())
        if symbols and symbols[0]:
            raise Malformed("symbols", "the first symbol must be empty")
        if len(self._symbols) + len(symbols) > 8 * self._limits.series:
            # The numbers are in the keys of series.
            self._symbols.clear()
            self._series.clear()
        numbers = [self._symbols.setdefault(each, len(self._symbols)) for each in symbols or [""]]
        series, refs = self._survey(data, spans, numbers)
        known = self._series.get
        at = 0
        for (start, end), usual in zip(spans, series, strict=True):
            if usual is None:
                self._unusual(data[start:end], symbols, numbers, taking)
                continue
            family, value, time, count = usual
            key = (family, *refs[at : at + count])
            at += count
            one = known(key)
            if one is None:
                try:
                    one = self._symbolic(key, RequestSeries.FromString(data[start:end]), symbols)
                except Rejected as problem:
                    taking.refuse(problem.code, problem.detail, 1)
                    continue
            taking.add(one, value, time)

    def _survey(
        self, data: bytes, spans: list[tuple[int, int]], numbers: list[int]
    ) -> tuple[list[_Usual | None], list[int]]:
        """The series that look as nearly all do (their refs, one sample of this century, what they
        are), None for the others; and the numbers of all their refs, one after the other."""
        series: list[_Usual | None] = []
        pieces: list[bytes] = []
        families: dict[bytes, _Family] = {}  # by their bytes in this request
        for start, end in spans:
            usual = None
            if (
                end - start > 20
                and data[start] == 0x0A
                and (length := data[start + 1]) < 0x80
                and (rest := start + length + 20) <= end
            ):
                head, value, tag, raw = _sample_at(data, rest - 18)
                refs = data[start + 2 : rest - 18]
                if (
                    head == b"\x12\x10\x09"
                    and tag == 0x10
                    and value - value == 0.0
                    and (raw == self._last_raw or self._is_time(raw))
                    and refs[-1:].isascii()
                ):
                    about = data[rest:end]
                    family = families.get(about)
                    if family is None and (
                        not about or (about[0] == 0x2A and about[1] == len(about) - 2)
                    ):
                        metadata = RequestSeries.FromString(about).metadata
                        family = families[about] = self._family(metadata, numbers)
                    if family is not None:
                        pieces.append(refs)
                        count = len(refs.translate(None, _CONTINUED))
                        usual = family, value, self._last_time, count
            series.append(usual)
        # All at once, which protobuf does in a fraction of the time of one after the other.
        joined = b"".join(pieces)
        found = RequestSeries.FromString(b"\x0a" + _encode_varint(len(joined)) + joined).labels_refs
        try:
            return series, [numbers[ref] for ref in found]
        except IndexError:
            raise _dangling() from None

    def _unusual(
        self, data: bytes, symbols: list[str], numbers: list[int], taking: _Taking
    ) -> None:
        """Take in a series, whatever it looks like."""
        message = RequestSeries.FromString(data)
        taking.histograms += len(message.histograms)
        taking.exemplars += len(message.exemplars)
        if not message.samples:
            return
        try:
            family = self._family(message.metadata, numbers)
            key = (family, *[numbers[ref] for ref in message.labels_refs])
            series = self._series.get(key) or self._symbolic(key, message, symbols)
        except IndexError:
            raise _dangling() from None
        except Rejected as problem:
            taking.refuse(problem.code, problem.detail, len(message.samples))
            return
        for each in message.samples:
            start = each.start_timestamp or message.created_timestamp
            if start and series.kind == "counter":
                taking.begin(series, each.value, each.timestamp, start)
            taking.add_any(series, each.value, each.timestamp)

    @staticmethod
    def _family(metadata: Any, numbers: list[int]) -> _Family:
        try:
            return metadata.type, numbers[metadata.help_ref], numbers[metadata.unit_ref]
        except IndexError:
            raise _dangling() from None

    def _symbolic(self, key: _Key, message: Any, symbols: list[str]) -> _Known:
        """A series that did not come before."""
        metadata = message.metadata
        words = [symbols[ref] for ref in message.labels_refs]
        help_ = symbols[metadata.help_ref] if symbols else ""
        unit = symbols[metadata.unit_ref] if symbols else ""
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
            self._remember(key, series)
        return series

    def _remember(self, key: _Key, series: _Known) -> None:
        if len(self._series) >= 2 * self._limits.series:
            self._series.clear()
        self._series[key] = series


def _dangling() -> Malformed:
    return Malformed("symbols", "a series refers to a symbol that isn't there")


class _Taking:
    """A batch as it grows."""

    def __init__(self, limits: Limits, now_ms: int, starts: dict[str, int]) -> None:
        self._limits = limits
        self._before = starts
        self._starts: dict[str, int] = {}
        self._earliest = now_ms - limits.past_seconds * 1000
        self._latest = now_ms + limits.future_seconds * 1000
        self._rows: dict[str, Rows] = {}
        self._decoded = Decoded(Batch([]))
        self.histograms = 0
        self.exemplars = 0
        self.samples = 0

    def begin(self, series: _Known, value: float, time: int, start: int) -> None:
        """A sample says when its counter began. Where that has moved on, the counter was reset
        then, and a 0 at that time says so even where its new value is above the old one."""
        text = series.identity.text
        before = self._starts.get(text) or self._before.get(text)
        if not isfinite(value) or (before is not None and start <= before):
            return
        self._starts[text] = start
        if before is not None and self._earliest <= start < time:
            self.add(series, 0.0, start)
            self.samples -= 1  # the producer knows of no such sample

    def add(self, series: _Known, value: float | None, time: int) -> None:
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

    def add_any(self, series: _Known, value: float, time: int) -> None:
        """Take in one sample whose value may be none to Prometheus' mind, or none that is drawn."""
        if isfinite(value):
            self.add(series, value, time)
        elif _pack(value) == _STALE:
            self.add(series, None, time)
        else:
            self._decoded.passed_over += 1

    def refuse(self, code: str, reason: str, samples: int) -> None:
        self._decoded.refusals.add(code, reason, samples)

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
        decoded.batch = Batch(list(self._rows.values()))
        decoded.histograms = self.histograms
        decoded.exemplars = self.exemplars
        decoded.starts = self._starts
        decoded.refusals.add(
            "native_histogram", "native histograms: send classic ones instead", decoded.histograms
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


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


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
