"""Works an expression out at a step.

This is the plain way, in which each step reads all rows that it needs. It is the reference: tests
compare the quicker way of `live` with it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from math import inf, nan
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from pushsvc.core.expression import aggregates, buckets, functions, operators, windows
from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.annotations import Annotations
from pushsvc.core.expression.errors import EvaluationError, TooMuch
from pushsvc.core.expression.labels import METADATA, Labels
from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Select,
    Subquery,
    Text,
    When,
    Window,
    children_of,
    type_of,
)
from pushsvc.core.expression.vector import Element, Vector
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.query.selector import Match, Matcher, regex

LOOKBACK: Final = 5 * 60_000
"""How old a sample may be, in ms, to count as the present value of its series; as in Prometheus."""

SUBQUERY_STEP: Final = 60_000
"""The step of a subquery that names none, in ms."""


class Rows(NamedTuple):
    """The past of one series: times in ms, each later than the one before; a value of None is an
    ending."""

    labels: Labels
    times: Sequence[int]
    values: Sequence[float | None]


class Source(Protocol):
    """Where series come from. It is asked once for each selector of a query."""

    def select(self, matchers: tuple[tuple[Matcher, ...], ...]) -> Iterable[Rows]:
        """The series that all matchers of at least one of the lists match."""


class Series(NamedTuple):
    """Samples of one series in a range, after `start` and up to `end` (ms)."""

    labels: Labels
    times: Sequence[int]
    values: Sequence[float]
    start: int
    end: int
    nameless: bool = False


Result: TypeAlias = float | str | Vector | list[Series]


def least_read(node: Node) -> int:
    """How many samples one step of an expression counts at the least, whatever is stored: one for
    each step of its subqueries."""
    match node:
        case Subquery(inner, length, every):
            return length // (every or SUBQUERY_STEP) * (1 + least_read(inner))
    return sum(map(least_read, children_of(node)))


class Evaluator:
    """Works out one expression at steps between `start` and `end` (Unix ms).

    With `late_names`, the name of a result that is no longer that metric is removed only at the end
    of the expression, as Prometheus does with its feature `promql-delayed-name-removal`. `most` is
    how many samples may be read, each counted at every step that reads it; it bounds the time that
    this takes. `give_way` is called again and again meanwhile.
    """

    def __init__(
        self,
        source: Source,
        start: int,
        end: int,
        *,
        step: int = 0,
        lookback: int = LOOKBACK,
        late_names: bool = False,
        most: float = inf,
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._start = start
        self._end = end
        self._step = step
        self._lookback = lookback
        self._late_names = late_names
        self._most = self._left = most
        self._give_way = give_way
        self.annotations = Annotations()
        """What may be wrong with the query, from all steps so far."""
        self._selected: dict[tuple[tuple[Matcher, ...], ...], list[Rows]] = {}

    def at(self, node: Node, step: int) -> Result:
        """The result at a step: a number, a text, a vector, or the samples of ranges.

        Raises EvaluationError where there is none.
        """
        match type_of(node):
            case "scalar":
                return self._scalar(node, step)
            case "string":
                assert isinstance(node, Text)
                return node.value
            case "matrix":
                found = self._matrix(node, step)
                return _distinct([self._finished_series(series) for series in found])
        return _distinct([_finished(element) for element in self._vector(node, step)])

    # -- scalars -----------------------------------------------------------------------------------

    def _scalar(self, node: Node, step: int) -> float:
        match node:
            case Number(value):
                return value
            case Negate(inner):
                return -self._scalar(inner, step)
            case Binary(op, left, right):
                return operators.scalars(op, self._scalar(left, step), self._scalar(right, step))
            case Call("time"):
                return step / 1000
            case Call("start"):
                return self._start / 1000
            case Call("end"):
                return self._end / 1000
            case Call("range"):
                return (self._end - self._start) / 1000
            case Call("step"):
                return self._step / 1000
            case Call("pi"):
                return 3.141592653589793
            case Call("scalar", (inner,)):
                vector = self._vector(inner, step)
                return vector[0].value if len(vector) == 1 else nan
        raise EvaluationError(f"{_named(node)} can't be worked out as a number")

    # -- vectors -----------------------------------------------------------------------------------

    def _vector(self, node: Node, step: int) -> Vector:
        match node:
            case Select():
                return self._instant(node, step)
            case Negate(inner):
                return self._each(self._vector(inner, step), lambda value: -value)
            case Aggregate():
                return self._aggregate(node, step)
            case Binary():
                return self._binary(node, step)
            case Call():
                return self._call(node, step)
        raise EvaluationError(f"{_named(node)} can't be worked out as a vector")

    def _instant(self, node: Select, step: int) -> Vector:
        return [Element(labels, value) for labels, _, value in self._newest(node, step)]

    def _newest(self, node: Select, step: int) -> Iterable[tuple[Labels, int, float]]:
        moment = self._moment(node.when, step)
        all_rows = self._rows(node)
        self._read(len(all_rows))
        for rows in all_rows:
            place = bisect_right(rows.times, moment) - 1
            if place < 0 or rows.times[place] <= moment - self._lookback:
                continue
            value = rows.values[place]
            if value is not None:
                yield rows.labels, rows.times[place], value

    @property
    def read(self) -> int:
        """How many samples were read so far, where there is a bound."""
        return 0 if self._most == inf else int(self._most - self._left)

    def _read(self, samples: int) -> None:
        """Count samples that are read. Raises TooMuch."""
        self._left -= samples
        if self._left < 0:
            raise TooMuch("expression_samples", int(self._most), "samples")
        self._give_way()

    def _moment(self, when: When, step: int) -> int:
        if when.at == "start":
            step = self._start
        elif when.at == "end":
            step = self._end
        elif when.at is not None:
            step = when.at
        return step - when.offset

    def _rows(self, node: Select) -> list[Rows]:
        found = self._selected.get(node.matchers)
        if found is None:
            found = self._selected[node.matchers] = list(self._source.select(node.matchers))
        return found

    def _each(self, vector: Vector, function: Callable[[float], float | None]) -> Vector:
        found = []
        for element in vector:
            value = function(element.value)
            if value is not None:
                found.append(Element(element.labels, value, nameless=True))
        return self._named(found)

    def _named(self, vector: Vector) -> Vector:
        """The vector without the names of results that are no longer that metric, unless these are
        removed at the end."""
        if self._late_names:
            return vector
        return _distinct([_finished(element) for element in vector])

    def _aggregate(self, node: Aggregate, step: int) -> Vector:
        parameter: float | str | None = None
        if isinstance(node.parameter, Text):
            parameter = node.parameter.value
            if not parameter:
                raise EvaluationError('invalid label name ""')
        elif node.parameter is not None:
            parameter = self._scalar(node.parameter, step)
            if node.op == "quantile":
                self.annotations.quantile(parameter)
            elif node.op == "limit_ratio":
                self.annotations.ratio(parameter)
        return aggregates.aggregate(node, self._vector(node.inner, step), parameter)

    def _binary(self, node: Binary, step: int) -> Vector:
        if type_of(node.left) == "scalar":
            number = self._scalar(node.left, step)
            vector = self._vector(node.right, step)
            return self._named(operators.with_scalar(node, vector, number, scalar_left=True))
        if type_of(node.right) == "scalar":
            vector = self._vector(node.left, step)
            number = self._scalar(node.right, step)
            return self._named(operators.with_scalar(node, vector, number, scalar_left=False))
        left, right = self._vector(node.left, step), self._vector(node.right, step)
        if node.op in operators.SETS:
            return operators.sets(node, left, right)
        return _distinct(self._named(operators.vectors(node, left, right)))

    # -- functions ---------------------------------------------------------------------------------

    def _call(self, node: Call, step: int) -> Vector:
        name, arguments = node.function, node.arguments
        if name in windows.FUNCTIONS:
            return self._windowed(node, step)
        if name in functions.FUNCTIONS:
            numbers = [self._scalar(argument, step) for argument in arguments[1:]]
            function = functions.FUNCTIONS[name]
            return self._each(
                self._vector(arguments[0], step), lambda value: function(value, *numbers)
            )
        if name in functions.DATES:
            date = functions.DATES[name]
            if not arguments:
                value = date(step // 1000)
                assert value is not None
                return [Element(label_sets.NONE, value)]
            return self._each(self._vector(arguments[0], step), date)
        special = _SPECIAL.get(name)
        if special is None:
            raise EvaluationError(f"{name}() isn't supported")
        return special(self, arguments, step)

    def _windowed(self, node: Call, step: int) -> Vector:
        function = windows.FUNCTIONS[node.function]
        ranges = [argument for argument in node.arguments if type_of(argument) == "matrix"]
        numbers = [
            self._scalar(argument, step)
            for argument in node.arguments
            if type_of(argument) == "scalar"
        ]
        keeps = node.function in windows.KEEP_NAME
        found = []
        for series in self._matrix(ranges[0], step):
            given = windows.Range(
                series.times, series.values, series.start, series.end, step, numbers
            )
            value = function(given)
            if value is not None:
                found.append(Element(series.labels, value, series.nameless or not keeps))
                if node.function in ("rate", "increase"):
                    self.annotations.rated(series.labels)
        if found and node.function == "quantile_over_time":
            self.annotations.quantile(numbers[0])
        return self._named(found)

    # -- ranges ------------------------------------------------------------------------------------

    def _matrix(self, node: Node, step: int) -> list[Series]:
        match node:
            case Window(select, length):
                return self._window(select, length, step)
            case Subquery():
                return self._subquery(node, step)
        raise EvaluationError(f"{_named(node)} can't be worked out as a range")

    def _window(self, select: Select, length: int, step: int) -> list[Series]:
        end = self._moment(select.when, step)
        start = end - length
        found = []
        for labels, all_times, all_values in self._rows(select):
            low, high = bisect_right(all_times, start), bisect_right(all_times, end)
            self._read(high - low + 1)
            times: list[int] = []
            values: list[float] = []
            for time, value in zip(all_times[low:high], all_values[low:high], strict=True):
                if value is not None:
                    times.append(time)
                    values.append(value)
            if times:
                found.append(Series(labels, times, values, start, end))
        return found

    def _subquery(self, node: Subquery, step: int) -> list[Series]:
        end = self._moment(node.when, step)
        start = end - node.range
        every = node.step or SUBQUERY_STEP
        points: dict[Labels, tuple[list[int], list[float]]] = {}
        nameless: dict[Labels, bool] = {}
        for moment in range((start // every + 1) * every, end + 1, every):
            self._read(1)  # so that a step without anything to read isn't free
            for element in self._inner(node.inner, moment):
                times, values = points.setdefault(element.labels, ([], []))
                nameless.setdefault(element.labels, element.nameless)
                if times and times[-1] == moment:
                    raise EvaluationError("vector cannot contain metrics with the same labelset")
                times.append(moment)
                values.append(element.value)
        return [
            Series(labels, times, values, start, end, nameless[labels])
            for labels, (times, values) in points.items()
        ]

    def _inner(self, node: Node, step: int) -> Vector:
        if type_of(node) == "scalar":
            return [Element(label_sets.NONE, self._scalar(node, step))]
        return self._vector(node, step)

    def _finished_series(self, series: Series) -> Series:
        if not series.nameless:
            return series
        return series._replace(labels=label_sets.drop(series.labels, METADATA))

    # -- functions with rules of their own ---------------------------------------------------------

    def _of_vector(self, arguments: tuple[Node, ...], step: int) -> Vector:
        return [Element(label_sets.NONE, self._scalar(arguments[0], step))]

    def _timestamp(self, arguments: tuple[Node, ...], step: int) -> Vector:
        inner = arguments[0]
        if isinstance(inner, Select):
            found = [
                Element(labels, time / 1000, nameless=True)
                for labels, time, _ in self._newest(inner, step)
            ]
            return self._named(found)
        return self._each(self._vector(inner, step), lambda _: step / 1000)

    def _absent(self, arguments: tuple[Node, ...], step: int) -> Vector:
        (inner,) = arguments
        of = self._matrix if type_of(inner) == "matrix" else self._vector
        return [] if of(inner, step) else [Element(asked_labels(inner), 1.0)]

    def _sort(self, arguments: tuple[Node, ...], step: int) -> Vector:
        vector = self._vector(arguments[0], step)
        return sorted(vector, key=lambda element: _last_if_nan(element.value))

    def _sort_desc(self, arguments: tuple[Node, ...], step: int) -> Vector:
        vector = self._vector(arguments[0], step)
        return sorted(vector, key=lambda element: _last_if_nan(-element.value))

    def _sort_by_label(self, arguments: tuple[Node, ...], step: int) -> Vector:
        return sorted(self._vector(arguments[0], step), key=_by_labels(arguments[1:]))

    def _sort_by_label_desc(self, arguments: tuple[Node, ...], step: int) -> Vector:
        vector = self._vector(arguments[0], step)
        return sorted(vector, key=_by_labels(arguments[1:]), reverse=True)

    def _label_replace(self, arguments: tuple[Node, ...], step: int) -> Vector:
        target, replacement, source, pattern = (_text(argument) for argument in arguments[1:])
        try:
            compiled = regex(pattern, captures=True)
        except ValueError as error:
            raise EvaluationError(
                f"invalid regular expression in label_replace(): {pattern} ({error})"
            ) from None
        if not target:
            raise EvaluationError(f"invalid destination label name in label_replace(): {target}")
        found = []
        for element in self._vector(arguments[0], step):
            match = compiled.fullmatch(label_sets.get(element.labels, source).encode())
            if match is not None:
                element = _labelled(element, target, _expand(replacement, match))
            found.append(element)
        return _distinct(found)

    def _label_join(self, arguments: tuple[Node, ...], step: int) -> Vector:
        target, separator, *sources = (_text(argument) for argument in arguments[1:])
        for name in sources:
            if not name:
                raise EvaluationError(f"invalid source label name in label_join(): {name}")
        if not target:
            raise EvaluationError(f"invalid destination label name in label_join(): {target}")
        found = []
        for element in self._vector(arguments[0], step):
            joined = separator.join(label_sets.get(element.labels, name) for name in sources)
            found.append(_labelled(element, target, joined))
        return _distinct(found)

    # -- classic histograms ------------------------------------------------------------------------

    def _histograms(self, vector: Vector) -> dict[Labels, list[buckets.Bucket]]:
        found: dict[Labels, list[buckets.Bucket]] = {}
        for element in vector:
            try:
                bound = float(label_sets.get(element.labels, "le"))
            except ValueError:
                self.annotations.bucket(element.labels)
                continue
            labels = label_sets.drop(element.labels, ("le",))
            found.setdefault(labels, []).append(buckets.Bucket(bound, element.value))
        return found

    def _histogram_quantile(self, arguments: tuple[Node, ...], step: int) -> Vector:
        share = self._scalar(arguments[0], step)
        self.annotations.quantile(share)
        found = self._histograms(self._vector(arguments[1], step))
        return self._named(
            [
                Element(labels, self._quantile(share, labels, given), nameless=True)
                for labels, given in found.items()
            ]
        )

    def _quantile(self, share: float, labels: Labels, given: list[buckets.Bucket]) -> float:
        value, forced = buckets.quantile(share, given)
        if forced:
            self.annotations.forced(labels)
        return value

    def _histogram_quantiles(self, arguments: tuple[Node, ...], step: int) -> Vector:
        found = self._histograms(self._vector(arguments[0], step))
        label = _text(arguments[1])
        results = []
        for argument in arguments[2:]:
            share = self._scalar(argument, step)
            self.annotations.quantile(share)
            for labels, given in found.items():
                marked = label_sets.replace(labels, label, _share(share))
                value = self._quantile(share, labels, given)
                results.append(Element(marked, value, nameless=True))
        return self._named(results)

    def _histogram_fraction(self, arguments: tuple[Node, ...], step: int) -> Vector:
        lower, upper = (self._scalar(argument, step) for argument in arguments[:2])
        found = self._histograms(self._vector(arguments[2], step))
        return self._named(
            [
                Element(labels, buckets.fraction(lower, upper, given), nameless=True)
                for labels, given in found.items()
            ]
        )

    def _of_native_histograms(self, arguments: tuple[Node, ...], step: int) -> Vector:
        # There are no native histograms here, and of numbers these functions have no result.
        self._vector(arguments[0], step)
        return []


_Labelled = TypeVar("_Labelled", Element, Series)
_Special: TypeAlias = Callable[[Evaluator, tuple[Node, ...], int], Vector]

_SPECIAL: Final[dict[str, _Special]] = {
    "absent": Evaluator._absent,
    "absent_over_time": Evaluator._absent,
    "histogram_avg": Evaluator._of_native_histograms,
    "histogram_count": Evaluator._of_native_histograms,
    "histogram_fraction": Evaluator._histogram_fraction,
    "histogram_quantile": Evaluator._histogram_quantile,
    "histogram_quantiles": Evaluator._histogram_quantiles,
    "histogram_stddev": Evaluator._of_native_histograms,
    "histogram_stdvar": Evaluator._of_native_histograms,
    "histogram_sum": Evaluator._of_native_histograms,
    "label_join": Evaluator._label_join,
    "label_replace": Evaluator._label_replace,
    "sort": Evaluator._sort,
    "sort_by_label": Evaluator._sort_by_label,
    "sort_by_label_desc": Evaluator._sort_by_label_desc,
    "sort_desc": Evaluator._sort_desc,
    "timestamp": Evaluator._timestamp,
    "vector": Evaluator._of_vector,
}


def _finished(element: Element) -> Element:
    """The element without the name of a metric that it no longer is."""
    if not element.nameless:
        return element
    return Element(label_sets.drop(element.labels, METADATA), element.value)


def _distinct(found: list[_Labelled]) -> list[_Labelled]:
    if len({one.labels for one in found}) < len(found):
        raise EvaluationError("vector cannot contain metrics with the same labelset")
    return found


def _labelled(element: Element, name: str, value: str) -> Element:
    """The element with another value for one label. A metric name that is set so isn't removed
    later."""
    labels = label_sets.replace(element.labels, name, value)
    return Element(labels, element.value, element.nameless and name != METRIC_LABEL)


def asked_labels(node: Node) -> Labels:
    """The labels whose values a selector determines: those with one matcher, which is `=`."""
    select = node.select if isinstance(node, Window) else node
    if not isinstance(select, Select) or len(select.matchers) != 1:
        return label_sets.NONE
    found: dict[str, str] = {}
    seen = set()
    for matcher in select.matchers[0]:
        if matcher.name == METRIC_LABEL:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return label_sets.make(found)


def _last_if_nan(value: float) -> tuple[bool, float]:
    return (True, 0.0) if value != value else (False, value)


def _by_labels(arguments: tuple[Node, ...]) -> Callable[[Element], Any]:
    names = [_text(argument) for argument in arguments]

    def key(element: Element) -> Any:
        values = [functions.natural(label_sets.get(element.labels, name)) for name in names]
        return values, element.labels

    return key


def _text(node: Node) -> str:
    assert isinstance(node, Text)
    return node.value


def _share(value: float) -> str:
    """A number as OpenMetrics writes it in a label: 1.0, 0.99, +Inf."""
    if value in (inf, -inf) or value != value:
        return aggregates.written(value)
    return repr(value)


_PLACES: Final = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def _expand(template: str, match: Match) -> str:
    """Put the groups of a match into a template, by Go's rules: `$1`, `${1}`, `$name`."""

    def group(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        try:
            taken = match.group(int(name) if name.isdecimal() else name.encode())
        except IndexError:
            taken = None
        return (taken or b"").decode()

    return _PLACES.sub(group, template)


def _named(node: Node) -> str:
    return node.function + "()" if isinstance(node, Call) else type(node).__name__.lower()
