"""The native format: samples as JSON or MessagePack, alone, in a batch, or one to a line.

    {"name": "node_load1", "labels": {"host": "a"}, "value": 0.42, "time": 1732320000000,
     "kind": "gauge", "unit": "", "help": ""}

All but name and value are optional; a value of null is an ending. A batch is
`{"samples": [...]}`; NDJSON has one sample a line. MessagePack says the same with the same names.
On a WebSocket a batch may have a `tag`, a string or an integer that its answer repeats.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from pushsvc.core.delivery.documents import SampleValue
from pushsvc.core.model.series import (
    Batch,
    Columns,
    Identity,
    Kind,
    Rows,
    Value,
    identify,
    shorten,
)
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem, Rejected, TooLarge
from pushsvc.ingest.pace import paced

_NO_LABELS = msgspec.Raw(b"{}")


# Constraints are those of the description: `extra_json_schema` costs nothing where it is decoded,
# and each is checked further on, with an error that says more.
_Labels: TypeAlias = Annotated[
    msgspec.Raw,
    Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "string"}}),
]


class Sample(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One value of one series."""

    name: Annotated[str, Meta(extra_json_schema={"minLength": 1})]
    value: SampleValue
    labels: _Labels = msgspec.field(default_factory=lambda: _NO_LABELS)
    time: Annotated[
        int | None, Meta(description="Unix milliseconds; the time of arrival if not said.")
    ] = None
    kind: Kind | None = None
    unit: str | None = None
    help: str | None = None


class Samples(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A batch."""

    samples: list[Sample]


Tag: TypeAlias = str | int | None


class Message(Samples, forbid_unknown_fields=True, gc=False):
    """A batch whose answer has the same tag."""

    tag: Tag = None


class Codec(NamedTuple):
    """One encoding of the documents."""

    name: str
    sample: Callable[[bytes], Sample]
    body: Callable[[bytes], Samples]
    message: Callable[[bytes], Message]
    labels: Callable[[bytes | msgspec.Raw], dict[str, str]]
    keys: Callable[[bytes], dict[str, msgspec.Raw]]
    tag: Callable[[bytes | msgspec.Raw], Tag]


def _codec(name: str, decoder: Any) -> Codec:
    return Codec(
        name,
        decoder(Sample).decode,
        decoder(Samples).decode,
        decoder(Message).decode,
        decoder(dict[str, str]).decode,
        decoder(dict[str, msgspec.Raw]).decode,
        decoder(Tag).decode,
    )


JSON = _codec("JSON", msgspec.json.Decoder)
MSGPACK = _codec("MessagePack", msgspec.msgpack.Decoder)

_Key = tuple[str, bytes]

_REMEMBERED_BYTES = 4096
"""Labels of more bytes than this, white space included, are parsed anew each time."""

_EXPLAINED = 300
"""Characters of a decoder's error that are passed on, since it quotes what the producer sent."""

_IN_COLUMNS = 4
"""Samples from which on a batch is in columns: for fewer they cost more than they save."""
_ORDERS = 100_000
"""Identities in the orders that are remembered."""

_OTHER_UNITS = (
    ("seconds", 10**8, 10**11),
    ("microseconds", 10**14, 10**17),
    ("nanoseconds", 10**17, 10**20),
)
"""The unit in which a time within these bounds was probably meant, since it can't be
milliseconds."""


class _Gathered:
    """The samples of a batch, or of lines that stand for themselves, by series and in order."""

    def __init__(self, *, of_lines: bool = False) -> None:
        self.of_lines = of_lines
        self.current: dict[str, Rows] = {}
        self._parted: list[Rows] = []
        self._stateful: dict[str, bool] = {}  # for series whose rows begin with an ending

    def stateful(self, rows: Rows) -> bool | None:
        """Whether a series is a state, as far as its samples have told so far."""
        if rows.values[0] is not None:
            return type(rows.values[0]) is not float
        return self._stateful.get(rows.identity.text)

    def append(self, rows: Rows, time: int, value: Value) -> None:
        if value is not None and (not rows.values or rows.values[0] is None):
            self._stateful[rows.identity.text] = type(value) is not float
        rows.times.append(time)
        rows.values.append(value)

    def part(self, rows: Rows, given: bool) -> Rows:
        """New rows of the same series, for times that were given where the earlier ones weren't, or
        the other way round."""
        self._parted.append(rows)
        if (stateful := self.stateful(rows)) is not None:
            self._stateful[rows.identity.text] = stateful
        rows = Rows(rows.identity, [], [], rows.kind, rows.unit, rows.help, given)
        self.current[rows.identity.text] = rows
        return rows

    def batch(self) -> Batch:
        for rows in self._parted:
            rows.kind = self.current[rows.identity.text].kind
        return Batch(self._parted + list(self.current.values()))


class NativeDecoder:
    """Reads samples and remembers the identities it has met.

    Labels are looked up by the very bytes they came in, so that those of a series which publishes
    again and again are parsed and checked once. The memory is dropped when it has grown to twice
    the series the hub may have, and takes in no labels that are unreasonably long. Safe to call
    from worker threads.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._past_ms = limits.past_seconds * 1000
        self._future_ms = limits.future_seconds * 1000
        self._identities: dict[_Key, Identity] = {}
        self._orders: dict[tuple[str, int], tuple[Identity, ...]] = {}
        self._ordered = 0  # identities in those

    def batch(self, body: bytes, now_ms: int, codec: Codec = JSON) -> Batch:
        """Decode `{"samples": [...]}` or a lone sample; `now_ms` is the time of arrival.

        All or nothing. Raises Malformed, Rejected (with `index`) and TooLarge.
        """
        return self._batch(_read(body, codec, codec.body).samples, now_ms, codec)

    def message(self, body: bytes, now_ms: int, codec: Codec = JSON) -> tuple[Tag, Batch]:
        """Decode one message of a WebSocket, as `batch` does, and its tag.

        Raises what `batch` raises; the `extra` of the error has the `tag`, if one can be found.
        """
        try:
            message = _read(body, codec, codec.message)
            tag = message.tag if isinstance(message, Message) else None
            return tag, self._batch(message.samples, now_ms, codec)
        except Problem as problem:
            problem.extra["tag"] = _find_tag(body, codec)
            raise

    def _batch(self, samples: list[Sample], now_ms: int, codec: Codec) -> Batch:
        if len(samples) > self._limits.batch_samples:
            raise TooLarge(
                "batch",
                f"{len(samples)} samples in one batch, the limit is {self._limits.batch_samples} "
                "(limits.batch_samples)",
                limit="batch_samples",
            )
        if len(samples) >= _IN_COLUMNS and (batch := self._in_columns(samples, now_ms)) is not None:
            return batch
        gathered = _Gathered()
        grouped = gathered.current
        known = self._identities.get
        earliest, latest = now_ms - self._past_ms, now_ms + self._future_ms
        index = 0
        try:
            for index, sample in enumerate(paced(samples)):  # noqa: B007 - the error says where
                # The usual sample of a big batch, handled without a call: a number of a known
                # series, without further fields. All other samples take the longer way.
                value, time = sample.value, sample.time
                if (
                    type(value) is float
                    and isfinite(value)
                    and sample.unit is None
                    and sample.help is None
                    and sample.kind is None
                    and (time is None or earliest <= time <= latest)
                    and (identity := known((sample.name, bytes(sample.labels)))) is not None
                ):
                    rows = grouped.get(identity.text)
                    if rows is None:
                        grouped[identity.text] = (
                            Rows(identity, [now_ms], [value])
                            if time is None
                            else Rows(identity, [time], [value], None, None, None, True)
                        )
                        continue
                    if type(rows.values[0]) is float and rows.given is not (time is None):
                        rows.times.append(now_ms if time is None else time)
                        rows.values.append(value)
                        continue
                self._group(gathered, sample, now_ms, codec)
        except (Rejected, Malformed) as error:
            error.extra["index"] = index
            error.detail = f"samples[{index}]: {error.detail}"
            raise
        return gathered.batch()

    def _in_columns(self, samples: list[Sample], now_ms: int) -> Batch | None:
        """The usual batch of a producer that publishes again and again: one number of each of some
        known series, and nothing else. None for any other batch."""
        known = self._identities.get
        earliest, latest = now_ms - self._past_ms, now_ms + self._future_ms
        given = samples[0].time is not None
        identities: list[Identity] = []
        times: list[int] = []
        values: list[float] = []
        first = None
        for sample in paced(samples):
            value, time = sample.value, sample.time
            if (
                type(value) is not float
                or not isfinite(value)
                or sample.unit is not None
                or sample.help is not None
                or sample.kind is not None
                or (identity := known((sample.name, bytes(sample.labels)))) is None
                or identity is first
            ):
                return None
            if given:
                if time is None or not earliest <= time <= latest:
                    return None
                times.append(time)
            elif time is not None:
                return None
            if first is None:
                first = identity
            identities.append(identity)
            values.append(value)
        if not given:
            times = [now_ms] * len(values)
        order = self._order(identities)
        if order is None:
            return None
        kinds = _no_kinds(len(values))
        return Batch(None, Columns(order, array("q", times), array("d", values), kinds, given))

    def _order(self, identities: list[Identity]) -> tuple[Identity, ...] | None:
        """These identities as the same object as last time; None where this is the first time, or
        one of them occurs twice."""
        key, order = (identities[0].text, len(identities)), tuple(identities)
        before = self._orders.get(key)
        if before == order:
            return before
        if len({identity.text for identity in identities}) == len(identities):
            if self._ordered > _ORDERS:
                self._orders.clear()
                self._ordered = 0
            self._orders[key] = order
            self._ordered += len(order)
        return None

    def lines(
        self, lines: Iterable[tuple[int, bytes]], now_ms: int
    ) -> tuple[Batch, list[tuple[int, Malformed | Rejected]]]:
        """Decode numbered NDJSON lines, each on its own: what is good, and what is wrong where.

        Blank lines are passed over.
        """
        gathered = _Gathered(of_lines=True)
        errors: list[tuple[int, Malformed | Rejected]] = []
        for number, line in lines:
            if not line or line.isspace():
                continue
            try:
                self._group(gathered, JSON.sample(line), now_ms, JSON)
            except (Rejected, Malformed) as error:
                errors.append((number, error))
            except RecursionError:
                errors.append((number, Malformed("json", "the line is nested too deeply")))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                errors.append((number, _explain(error, "line", JSON)))
        return gathered.batch(), errors

    def _group(self, gathered: _Gathered, sample: Sample, now_ms: int, codec: Codec) -> None:
        """Check a sample and put it with the others of its series. Raises before it changes."""
        # The identity comes first, so that the errors of other fields can quote the name.
        identity = self._identities.get((sample.name, bytes(sample.labels)))
        if identity is None:
            identity = self._identify(sample, codec)
        value = sample.value
        kind = sample.kind
        if type(value) is float and kind != "state":
            if not isfinite(value):
                raise Rejected(
                    "value", f"value of {sample.name} is out of range: it must be finite"
                )
        elif value is not None:
            self._check_state(sample)
        time = sample.time
        given = time is not None
        if time is None:
            time = now_ms
        elif not now_ms - self._past_ms <= time <= now_ms + self._future_ms:
            raise Rejected("time", self._explain_time(sample.name, time, now_ms))
        if sample.unit or sample.help:
            self._check_meta(sample)
        rows = gathered.current.get(identity.text)
        if rows is None:
            gathered.current[identity.text] = Rows(
                identity, [time], [value], kind, sample.unit, sample.help, given
            )
            return
        self._check_alike(rows, sample, gathered.stateful(rows), of_lines=gathered.of_lines)
        if rows.given is not given:
            rows = gathered.part(rows, given)
        if kind is not None:
            rows.kind = kind
        if sample.unit is not None:
            rows.unit = sample.unit
        if sample.help is not None:
            rows.help = sample.help
        gathered.append(rows, time, value)

    @staticmethod
    def _check_alike(rows: Rows, sample: Sample, stateful: bool | None, *, of_lines: bool) -> None:
        """Raise Rejected where a sample can't be of one series with those before it."""
        value, kind, text = sample.value, sample.kind, rows.identity.text
        if value is not None and (type(value) is float) is stateful:
            if not of_lines:
                raise Rejected("value", f"{text} has both numbers and states in one batch")
            before, here = ("states", "a number") if stateful else ("numbers", "text or a boolean")
            raise Rejected("value", f"{text} has {before}, and this line's value is {here}")
        if kind is None:
            kind = rows.kind
        elif rows.kind is not None and kind != rows.kind:
            if of_lines:
                raise Rejected("kind", f"{text} is a {rows.kind}, and this line says {kind}")
            raise Rejected("kind", f"{text} is both {rows.kind} and {kind} in one batch")
        # Only where there are endings may a kind not fit the values: each sample was looked at.
        if kind is not None and (value is None or rows.values[0] is None):
            if value is not None:
                stateful = type(value) is not float
            if stateful is not None and stateful is not (kind == "state"):
                values = "states" if stateful else "numbers"
                where = "by one line, and has" if of_lines else "in one batch with"
                raise Rejected("value", f"{text} is a {kind} {where} {values}")

    def _check_state(self, sample: Sample) -> None:
        if type(sample.value) is float:
            raise Rejected(
                "value",
                f"{sample.name} is a state: its value is a string or a boolean, or null to end it",
            )
        if sample.kind is not None and sample.kind != "state":
            raise Rejected("value", f"{sample.name} is a {sample.kind}: its value must be a number")
        if type(sample.value) is str:
            self._check_text("value", sample.name, sample.value)

    def _identify(self, sample: Sample, codec: Codec) -> Identity:
        try:
            labels = {} if sample.labels is _NO_LABELS else codec.labels(sample.labels)
        except RecursionError:
            raise Malformed("labels", f"labels of {shorten(sample.name)} nest too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed("labels", f"labels of {shorten(sample.name)}: {error}") from None
        identity = identify(sample.name, labels, self._limits)
        labels_as_sent = bytes(sample.labels)
        if len(labels_as_sent) <= _REMEMBERED_BYTES:
            if len(self._identities) >= 2 * self._limits.series:
                self._identities.clear()
            self._identities[sample.name, labels_as_sent] = identity
        return identity

    def _check_meta(self, sample: Sample) -> None:
        if sample.unit:
            self._check_text("unit", sample.name, sample.unit)
        if sample.help:
            self._check_text("help", sample.name, sample.help)

    def _check_text(self, what: str, name: str, text: str) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise Rejected(what, f"{what} of {shorten(name)} has a lone surrogate") from None
        if size > self._limits.value_bytes:
            raise Rejected(
                what,
                f"{what} of {shorten(name)} is {size} bytes long, the limit is "
                f"{self._limits.value_bytes} (limits.value_bytes)",
                limit="value_bytes",
            )

    def _explain_time(self, name: str, time: int, now_ms: int) -> str:
        for unit, low, high in _OTHER_UNITS:
            if low <= time < high:
                return f"time of {name} looks like {unit} ({time}): it must be Unix milliseconds"
        away = abs(time - now_ms) // 1000
        if away > 10**15:
            return f"time of {name} is out of range: it must be Unix milliseconds"
        if time > now_ms:
            return (
                f"time of {name} is {away} s ahead of the server's clock, the limit is "
                f"{self._limits.future_seconds:.0f} s (limits.future_seconds)"
            )
        return (
            f"time of {name} is {away} s in the past, the limit is "
            f"{self._limits.past_seconds:.0f} s (limits.past_seconds)"
        )


@functools.lru_cache(32)
def _no_kinds(count: int) -> tuple[None, ...]:
    """The same object for the same number of series."""
    return (None,) * count


def _read(body: bytes, codec: Codec, whole: Callable[[bytes], Samples]) -> Samples:
    """A batch, or a lone sample as one. Raises Malformed."""
    try:
        try:
            return whole(body)
        except msgspec.ValidationError:
            # A lone sample, or a batch with something wrong in it: then the first error counts.
            if "samples" in codec.keys(body):
                raise
        return Samples([codec.sample(body)])
    except RecursionError:
        raise Malformed(codec.name.lower(), "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _explain(error, "body", codec) from None


def _find_tag(body: bytes, codec: Codec) -> Tag:
    try:
        tag = codec.keys(body).get("tag")
        return None if tag is None else codec.tag(tag)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _explain(error: Exception, what: str, codec: Codec) -> Malformed:
    """What a decoder's error means to a producer; msgspec names the place and what it expected."""
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        if len(text) > _EXPLAINED:
            # The error begins with what is wrong, and ends with the place.
            half = _EXPLAINED // 2
            text = f"{text[:half]}…{text[-half:]}"
        return Malformed("schema", text)
    return Malformed(codec.name.lower(), f"the {what} is not valid {codec.name}: {error}")
