"""Version 2.0: each series refers to symbols, and has its own metadata.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
"""

from __future__ import annotations

from array import array
from typing import Any

from pushsvc.core.model.series import identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Rejected
from pushsvc.ingest.families import COUNTING, kind_of, unit_of
from pushsvc.ingest.gathered import Known
from pushsvc.ingest.pace import paced
from pushsvc.ingest.remote_write.known import REMEMBERED, KnownSeries
from pushsvc.ingest.remote_write.messages import RequestSeries
from pushsvc.ingest.remote_write.tables import Table, Tables
from pushsvc.ingest.remote_write.taking import Taking
from pushsvc.ingest.remote_write.wire import SAMPLE_HEAD, Times, fields, sample_at
from pushsvc.ingest.varint import encode_varint

_CONTINUED = bytes(range(0x80, 0x100))
"""Of the bytes of varints, those that aren't the last."""

_SAMPLE, _ZERO = 18, 9
"""Bytes of a sample of this century, with its tag and length; and of one whose value is 0."""
_TABLES = 256
"""Bytes of tables of symbols for each series that the hub may have."""

_WIDE = 8
_Family = dict[bytes, Known]
"""The known series of a family: of one type, help and unit."""
_Found = tuple[int, int, int, int, float, int]
"""Of a series: where it begins and ends, where its sample does, the value and the time; zeros for
all but the first two where it hasn't one sample behind its refs."""


class Version2:
    """Reads requests of version 2.0."""

    def __init__(self, limits: Limits, series: KnownSeries) -> None:
        self._limits = limits
        self._series = series
        self._symbols: dict[str, int] = {}
        self._times = Times()
        self._tables = Tables(_TABLES * limits.series)

    def take(self, data: bytes, taking: Taking) -> None:
        """Take in what a request has. Raises Malformed, DecodeError and UnicodeDecodeError where it
        can't be read."""
        symbols: list[str] = []
        spans: list[int] = []
        for tag, start, end in paced(fields(data)):
            if tag == 0x2A:
                spans += (start, end)
            elif tag == 0x22:
                symbols.append(data[start:end].decode())
        if symbols and symbols[0]:
            raise Malformed("symbols", "the first symbol must be empty")
        table = self._tables.find(tuple(symbols))
        others = self._take_known(data, spans, table, taking)
        if table is not None:
            table.misses = table.misses + 1 if others else 0
        if others:
            self._take_others(data, others, symbols, table, taking)

    def _take_known(
        self, data: bytes, spans: list[int], table: Table | None, taking: Taking
    ) -> list[_Found]:
        """Take in series as long as all came before with the same symbols, each with one sample;
        gives the others, in their order, from the first on that isn't such a one."""
        known = None if table is None else table.series.get
        times, add = self._times, taking.add
        others: list[_Found] = []
        pairs = iter(spans)
        for start, end in paced(zip(pairs, pairs, strict=True)):
            if end - start > _ZERO and (middle := start + data[start + 1] + 2) + _ZERO <= end:
                if data[middle + 1] == _ZERO - 2:  # which goes without its value
                    rest = middle + _ZERO
                    head, value, raw = SAMPLE_HEAD, 0.0, data[middle + 2 : rest]
                    whole = data[middle] == SAMPLE_HEAD[0]
                elif (rest := middle + _SAMPLE) <= end:
                    head, value, raw = sample_at(data, middle)
                    whole = head == SAMPLE_HEAD and value - value == 0.0
                else:
                    whole = False
                if whole and (raw == times.raw or times.read(raw)):
                    if known is not None:
                        one = known(data[start:middle] + data[rest:end])
                        if one is not None:
                            add(one, value, times.last)
                            continue
                        known = None
                    others.append((start, end, middle, rest, value, times.last))
                    continue
            known = None
            others.append((start, end, 0, 0, 0.0, 0))
        return others

    def _take_others(
        self,
        data: bytes,
        others: list[_Found],
        symbols: list[str],
        table: Table | None,
        taking: Taking,
    ) -> None:
        """Take in series of any form."""
        if len(self._symbols) + len(symbols) > 8 * self._limits.series:
            # The numbers are in the keys of series.
            self._symbols.clear()
            self._series.clear()
        numbers = [self._symbols.setdefault(each, len(self._symbols)) for each in symbols or [""]]
        families, sizes, keys = self._survey(data, others, numbers)
        at = 0
        for (start, end, middle, rest, value, time), family, size in paced(
            zip(others, families, sizes, strict=True)
        ):
            if family is None:
                self._unusual(data[start:end], symbols, numbers, taking)
                continue
            key = keys[at : at + size]
            at += size
            one = family.get(key)
            if one is None:
                try:
                    message = RequestSeries.FromString(data[start:end])
                    one = self._symbolic(family, key, message, symbols)
                except Rejected as problem:
                    taking.refuse(problem.code, problem.detail, 1)
                    continue
            if table is not None:
                self._tables.add(table, data[start:middle] + data[rest:end], one)
            taking.add(one, value, time)

    def _survey(
        self, data: bytes, others: list[_Found], numbers: list[int]
    ) -> tuple[list[_Family | None], list[int], bytes]:
        """Of the series that look as nearly all do (their refs, one sample, what they are) the
        families, how many bytes their keys have, and these keys, one after the other; for the
        others None and 0."""
        usual: list[_Family | None] = []
        sizes: list[int] = []
        pieces: list[bytes] = []
        families: dict[bytes, _Family] = {}  # by their bytes in this request
        for start, end, middle, rest, _, _ in paced(others):
            refs = data[start + 2 : middle]
            family = None
            if (
                middle
                and data[start] == 0x0A
                and data[start + 1] < 0x80
                and refs
                and refs[-1] < 0x80
            ):
                about = data[rest:end]
                family = families.get(about)
                if family is None and (
                    not about or (about[0] == 0x2A and about[1] == len(about) - 2)
                ):
                    metadata = RequestSeries.FromString(about).metadata
                    family = families[about] = self._family(metadata, numbers)
            usual.append(family)
            if family is None:
                sizes.append(0)
            else:
                pieces.append(refs)
                sizes.append(_WIDE * len(refs.translate(None, _CONTINUED)))
        # All at once, which protobuf does in a fraction of the time of one after the other.
        joined = b"".join(pieces)
        found = RequestSeries.FromString(b"\x0a" + encode_varint(len(joined)) + joined).labels_refs
        try:
            return usual, sizes, _key([numbers[ref] for ref in found])
        except IndexError:
            raise _dangling() from None

    def _unusual(self, data: bytes, symbols: list[str], numbers: list[int], taking: Taking) -> None:
        """Take in a series, whatever it looks like."""
        message = RequestSeries.FromString(data)
        taking.exemplars += len(message.exemplars)
        if not message.samples and not message.histograms:
            return
        try:
            family = self._family(message.metadata, numbers)
            key = _key([numbers[ref] for ref in message.labels_refs])
            series = family.get(key) or self._symbolic(family, key, message, symbols)
        except IndexError:
            raise _dangling() from None
        except Rejected as problem:
            refused = len(message.samples) + len(message.histograms)
            taking.refuse(problem.code, problem.detail, refused)
            return
        for each in message.samples:
            start = each.start_timestamp or message.created_timestamp
            if start and series.kind == "counter":
                taking.begin(series, each.value, each.timestamp, start)
            taking.add_any(series, each.value, each.timestamp)
        for each in message.histograms:
            start = each.start_timestamp or message.created_timestamp
            taking.add_native(series, each, start)

    def _family(self, metadata: Any, numbers: list[int]) -> _Family:
        try:
            help_, unit = numbers[metadata.help_ref], numbers[metadata.unit_ref]
        except IndexError:
            raise _dangling() from None
        return self._series.group((metadata.type, help_, unit))

    def _symbolic(self, family: _Family, key: bytes, message: Any, symbols: list[str]) -> Known:
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
        kind = kind_of(name, metadata.type, labels)
        series = Known(
            identity,
            kind or ("counter" if not metadata.type and name.endswith(COUNTING) else None),
            unit_of(name, metadata.type, labels, unit) if len(unit.encode()) <= limit else None,
            help_ if help_ and len(help_.encode()) <= limit else None,
        )
        if sum(map(len, words)) <= REMEMBERED:
            self._series.remember(family, key, series)
        return series


def _key(numbers: list[int]) -> bytes:
    """Numbers of symbols, in _WIDE bytes each."""
    return array("Q", numbers).tobytes()


def _dangling() -> Malformed:
    return Malformed("symbols", "a series refers to a symbol that isn't there")
