"""The data model: what a sample is, and what identifies a series.

Names and labels follow the Prometheus data model
(https://prometheus.io/docs/concepts/data_model/): any UTF-8, as of Prometheus 3. A *batch* holds
its samples grouped by series and in columns, which is the shape that histories, journals and most
producers' formats have anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from pushsvc.core.model.promql import bare
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Rejected

Kind: TypeAlias = Literal["gauge", "counter", "delta", "state"]
"""gauge: goes up and down. counter: cumulative, falls only on a reset. delta: the change since the
sample before. state: a string or bool that holds until the next one."""

Value: TypeAlias = float | str | bool | None
"""None is an ending."""
EXACT = 2**53
"""Values are IEEE 754 doubles: integers from this size on may have been rounded."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Sorted by name, values never empty (an empty value means the label is absent)."""

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Identity(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What identifies a series: its name and labels.

    `text` is the canonical form, `node_load1{host="a"}` or `{"http.server.duration",host="a"}`,
    equal exactly when name and labels are. Made by `identify`, which checks the parts. `==`
    compares the objects only: compare `text`.
    """

    name: str
    labels: Labels
    text: str


class Rows(msgspec.Struct, gc=False):
    """The samples of one series in one batch, in the order they were published.

    `times` are Unix milliseconds. `kind`, `unit` and `help` are None where the producer did not
    say. Values are finite floats, or str and bool where the kind is state; the two never mix. None
    is an ending, of either: from that time on there is no value, until the next one comes.
    """

    identity: Identity
    times: list[int]
    values: list[Value]
    kind: Kind | None = None
    unit: str | None = None
    help: str | None = None
    given: bool = False
    """Whether the producer gave all the times: then a time identifies a sample of its series. Times
    that were stamped on arrival don't. Samples of both sorts come as two `Rows`."""
    starts: list[int] | None = None
    """Of deltas whose format says it: when each one's interval began (Unix milliseconds)."""

    @property
    def stateful(self) -> bool | None:
        """Whether these are values of a state: not floats. None where all are endings."""
        for value in self.values:
            if value is not None:
                return type(value) is not float
        return None


class Columns(msgspec.Struct, frozen=True):
    """One number for each of some series, with a kind but without a unit or a help."""

    identities: tuple[Identity, ...]
    """The same object each time that the same series come in this order."""
    times: Sequence[int]
    values: Sequence[float]
    kinds: tuple[Kind | None, ...]
    """Of each."""
    given: bool

    @property
    def rows(self) -> list[Rows]:
        """The same, each by itself."""
        given = self.given
        columns = zip(self.identities, self.times, self.values, self.kinds, strict=True)
        return [
            Rows(identity, [time], [value], kind, None, None, given)
            for identity, time, value, kind in columns
        ]

    def part(self, start: int, stop: int) -> Columns:
        """The same for some of the series."""
        return Columns(
            self.identities[start:stop],
            self.times[start:stop],
            self.values[start:stop],
            self.kinds[start:stop],
            self.given,
        )


class Batch(msgspec.Struct):
    """Samples that were ingested together and get one sequence number.

    It is made from rows or from columns, and has `rows` in both cases. Rows of columns are made
    only when they are asked for, since they are most of the cost of reading an entry.
    """

    _rows: list[Rows] | None
    columns: Columns | None = None

    @property
    def rows(self) -> list[Rows]:
        if self._rows is None:
            assert self.columns is not None
            self._rows = self.columns.rows
        return self._rows

    @property
    def series(self) -> int:
        """How many `rows` there are."""
        return len(self.rows) if self.columns is None else len(self.columns.times)

    @property
    def count(self) -> int:
        """Samples."""
        if self.columns is not None:
            return len(self.columns.times)
        return sum([len(rows.times) for rows in self.rows])


def identify(name: str, labels: Mapping[str, str], limits: Limits) -> Identity:
    """Check a name and labels against the data model and give their canonical identity.

    Labels with an empty value are dropped, as Prometheus does.

    Raises Rejected with a code of `name`, `labels` or `label` that says what is wrong with which.
    """
    _check_name("name", "metric name", name, "", limits)
    if len(labels) > limits.labels:
        raise Rejected(
            "labels",
            f"{shorten(name)} has {len(labels)} labels, the limit is {limits.labels} "
            "(limits.labels)",
            limit="labels",
        )
    for label, value in labels.items():
        _check_label(name, label, value, limits)
    kept = tuple(sorted((label, value) for label, value in labels.items() if value))
    return Identity(name, kept, canonical(name, kept))


def _check_name(code: str, what: str, name: str, of: str, limits: Limits) -> None:
    if not name:
        raise Rejected(code, f"{what}{of} is empty")
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        raise Rejected(
            code, f"{what} {shorten(name)}{of} is not valid Unicode: a lone surrogate"
        ) from None
    if size > limits.name_bytes:
        raise Rejected(
            code,
            f"{what} {shorten(name)}{of} is {size} bytes long, the limit is "
            f"{limits.name_bytes} (limits.name_bytes)",
            limit="name_bytes",
        )


def _check_label(name: str, label: str, value: str, limits: Limits) -> None:
    if label.startswith("__"):
        raise Rejected(
            "label", f"label name {shorten(label)} of {shorten(name)}: names in __ are reserved"
        )
    _check_name("label", "label name", label, f" of {shorten(name)}", limits)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Rejected(
            "label",
            f"value of label {shorten(label)} of {shorten(name)} is not valid Unicode: a lone "
            "surrogate",
        ) from None
    if size > limits.value_bytes:
        raise Rejected(
            "label",
            f"value of label {shorten(label)} of {shorten(name)} is {size} bytes long, the limit "
            f"is {limits.value_bytes} (limits.value_bytes)",
            limit="value_bytes",
        )


def canonical(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """Write a series as a PromQL selector that matches only it: `up{host="a",job="b"}`.

    Names with other characters are quoted, the metric name within the braces:
    `{"http.server.duration","a.b"="c"}`.
    """
    inside = ",".join([f"{label_in_selector(label)}={quote(value)}" for label, value in labels])
    if bare(name):
        return f"{name}{{{inside}}}" if inside else name
    return f"{{{quote(name)},{inside}}}" if inside else f"{{{quote(name)}}}"


def label_in_selector(label: str) -> str:
    """A label's name as PromQL writes it, quoted where it must be."""
    return label if _LABEL_NAME.fullmatch(label) else quote(label)


def quote(text: str) -> str:
    """A double-quoted PromQL string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def shorten(text: str, length: int = 60) -> str:
    """Quote text from a client for an error message, cut to a readable length."""
    return repr(text if len(text) <= length else text[:length] + "…")
