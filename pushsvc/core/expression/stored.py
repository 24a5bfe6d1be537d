"""The rows that an expression is about, taken out of the catalog.

All are taken in one go, so that they are of one moment of the log; from then on an expression can
be worked out elsewhere, while the catalog goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
)
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.query.scope import Scope
from pushsvc.core.query.selector import Matcher, Selector
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Catalog, Series

_Matchers = tuple[tuple[Matcher, ...], ...]

_NAMED = Matcher(METRIC_LABEL, "=~", ".+")


class Stored:
    """What is needed of the stored series to work an expression out: a `Source`."""

    def __init__(self, rows: dict[_Matchers, list[Rows]]) -> None:
        self._rows = rows

    def select(self, matchers: _Matchers) -> Iterable[Rows]:
        return self._rows[matchers]


def gather(
    catalog: Catalog,
    node: Node,
    start: int,
    end: int,
    lookback: int,
    allowed: Scope,
    limits: Limits,
) -> Stored:
    """Take what the steps from `start` to `end` (Unix ms) read, of the series that are allowed.

    Series of states are left out: they have no numbers. Raises TooMuch past
    `limits.expression_series` or `limits.expression_samples`.
    """
    earliest: dict[_Matchers, int] = {}
    for matchers, time in _spans(node, start, end, start, end, lookback):
        earliest[matchers] = min(time, earliest.get(matchers, time))
    rows: dict[_Matchers, list[Rows]] = {}
    series = samples = 0
    for matchers, time in earliest.items():
        found = [
            one for one in catalog.select(map(_selector, matchers), allowed) if one.kind != "state"
        ]
        series += len(found)
        if series > limits.expression_series:
            raise TooMuch("expression_series", limits.expression_series, "series")
        taken = rows[matchers] = []
        for one in found:
            past = one.history
            first = past.since(time)
            samples += past.total - first
            if samples > limits.expression_samples:
                raise TooMuch("expression_samples", limits.expression_samples, "samples")
            taken.append(_rows(one, first))
    return Stored(rows)


def labels_of(series: Series) -> label_sets.Labels:
    """The labels of a stored series, its name among them."""
    identity = series.identity
    return label_sets.make([(METRIC_LABEL, identity.name), *identity.labels])


def _rows(series: Series, first: int) -> Rows:
    past = series.history
    times, values = past.curve(first, past.total, adds=series.kind == "delta")
    if past.endings:
        values = [None if value != value else value for value in values]
    return Rows(labels_of(series), times, values)  # type: ignore[arg-type]


def _selector(matchers: tuple[Matcher, ...]) -> Selector:
    if all(matcher.matches("") for matcher in matchers):
        matchers = (*matchers, _NAMED)
    names = [matcher for matcher in matchers if matcher.name == METRIC_LABEL]
    name = names[0].value if len(names) == 1 and names[0].op == "=" else None
    return Selector("", matchers, name)


def _spans(
    node: Node, start: int, end: int, low: int, high: int, lookback: int
) -> Iterator[tuple[_Matchers, int]]:
    """Each selector within, and how far back it is read if `node` is asked for at steps between
    `low` and `high`; `start` and `end` are those of the whole."""

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
