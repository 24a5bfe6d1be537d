"""Takes the rows that an expression reads out of the catalog.

All are taken at once, so that they are of one moment of the log. After that the expression can be
worked out in another thread, while the catalog changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import TooMuch
from pushsvc.core.expression.evaluate import Rows
from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Select,
    Subquery,
    When,
    Window,
    children_of,
)
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import Identity, Value
from pushsvc.core.query.scope import Scope
from pushsvc.core.query.selector import Matcher, Selector, selector_of
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.history import is_ending

_Matchers = tuple[tuple[Matcher, ...], ...]

_NAMED = Matcher(METRIC_LABEL, "=~", ".+")


class _Cut(NamedTuple):
    """Rows of a series, in the order of time."""

    identity: Identity
    times: Sequence[int]
    values: Sequence[Value]
    endings: bool
    """Whether there may be endings among them."""


class Stored:
    """The rows that it takes to work an expression out: a `Source`."""

    def __init__(self, cuts: dict[_Matchers, list[_Cut]]) -> None:
        self._cuts = cuts

    def select(self, matchers: _Matchers) -> Iterator[Rows]:
        return map(_rows, self._cuts[matchers])


def gather(
    catalog: Catalog,
    node: Node,
    start: int,
    end: int,
    lookback: int,
    allowed: Scope,
    limits: Limits,
) -> Stored:
    """Take the rows that the steps from `start` to `end` (Unix ms) read, from the series that are
    allowed.

    Series of states are left out: they have no numbers. Raises TooMuch past
    `limits.expression_series` or `limits.expression_samples`.
    """
    wanted = {}
    series = 0
    for matchers, time in earliest(node, start, end, lookback).items():
        found = [
            one
            for one in catalog.select(map(selector_of_matchers, matchers), allowed)
            if one.kind != "state"
        ]
        series += len(found)
        if series > limits.expression_series:
            raise TooMuch("expression_series", limits.expression_series, "series")
        wanted[matchers] = time, found
    return cut(wanted, limits.expression_samples)


def earliest(node: Node, start: int, end: int, lookback: int) -> dict[_Matchers, int]:
    """The selectors in an expression, and for each the time (Unix ms) from which on the steps from
    `start` to `end` read its series."""
    found: dict[_Matchers, int] = {}
    for matchers, time in _spans(node, start, end, start, end, lookback):
        found[matchers] = min(time, found.get(matchers, time))
    return found


def latest(node: Node) -> dict[_Matchers, int]:
    """The selectors in an expression, and for each how long after a step (ms) the latest sample may
    be that the step reads; negative if all are earlier."""
    found: dict[_Matchers, int] = {}
    for matchers, time in _ends(node, 0):
        found[matchers] = max(time, found.get(matchers, time))
    return found


def cut(wanted: Mapping[_Matchers, tuple[int, Iterable[Series]]], most: int) -> Stored:
    """Take the rows of these series, by selector, each from its time (Unix ms) on. Raises TooMuch
    if they are more than `most` together."""
    cuts: dict[_Matchers, list[_Cut]] = {}
    samples = 0
    for matchers, (time, series) in wanted.items():
        taken = cuts[matchers] = []
        for one in series:
            past = one.history
            first = past.since(time)
            samples += past.total - first
            if samples > most:
                raise TooMuch("expression_samples", most, "samples")
            curve = past.curve(first, past.total, adds=one.kind == "delta")
            taken.append(_Cut(one.identity, *curve, past.endings > 0))
    return Stored(cuts)


def labels_of(identity: Identity) -> label_sets.Labels:
    """The labels of a stored series, its name among them."""
    return label_sets.make([(METRIC_LABEL, identity.name), *identity.labels])


def _rows(cut: _Cut) -> Rows:
    values = cut.values
    if cut.endings:
        values = [None if is_ending(value) else value for value in values]
    return Rows(labels_of(cut.identity), cut.times, values)  # type: ignore[arg-type]


def selector_of_matchers(matchers: tuple[Matcher, ...]) -> Selector:
    """The selector for these matchers. One that would match a series without labels also asks for a
    name, which every series has."""
    distinct = set(matchers)
    if all(matcher.matches("") for matcher in distinct):
        distinct.add(_NAMED)
    return selector_of(distinct)


def _spans(
    node: Node, start: int, end: int, low: int, high: int, lookback: int
) -> Iterator[tuple[_Matchers, int]]:
    """Each selector in `node`, and the time from which on it is read if `node` is worked out at
    steps between `low` and `high`. `start` and `end` are those of the whole expression."""

    def moment(when: When) -> tuple[int, int]:
        match when.at:
            case None:
                return low - when.offset, high - when.offset
            case "start":
                at = start
            case "end":
                at = end
            case at:
                pass
        return at - when.offset, at - when.offset

    match node:
        case Select(matchers, when):
            yield matchers, moment(when)[0] - lookback
        case Window(select, length):
            yield select.matchers, moment(select.when)[0] - length
        case Subquery(inner, length, _, when):
            first, last = moment(when)
            yield from _spans(inner, start, end, first - length, last, lookback)
        case Negate(inner):
            yield from _spans(inner, start, end, low, high, lookback)
        case Aggregate(_, inner, parameter):
            yield from _spans(inner, start, end, low, high, lookback)
            if parameter is not None:
                yield from _spans(parameter, start, end, low, high, lookback)
        case Binary(_, left, right):
            yield from _spans(left, start, end, low, high, lookback)
            yield from _spans(right, start, end, low, high, lookback)
        case Call(_, arguments):
            for argument in arguments:
                yield from _spans(argument, start, end, low, high, lookback)


def _ends(node: Node, high: int) -> Iterator[tuple[_Matchers, int]]:
    match node:
        case Select(matchers, when):
            yield matchers, high - when.offset
        case Window(select):
            yield from _ends(select, high)
        case Subquery(inner, when=when):
            yield from _ends(inner, high - when.offset)
        case _:
            for child in children_of(node):
                yield from _ends(child, high)
