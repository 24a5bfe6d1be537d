"""Expressions that are worked out step after step give what they give from the beginning."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Iterator
from math import isnan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import EvaluationError, TooMuch
from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator, least_read
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live import Live, why_not
from pushsvc.core.expression.reading import ExpressionError, read
from pushsvc.core.expression.stored import cut, earliest, selector_of_matchers
from pushsvc.core.expression.tree import Node
from pushsvc.core.expression.vector import Element
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import Identity
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import prune
from tests.core.expression.promqltest import Storage, run
from tests.core.expression.test_promqltest import FILES, prometheus_files

Result = dict[Labels, float] | str


def series_of(ref: int, labels: Labels, limit: int = 1000) -> Series:
    named = {name: value for name, value in labels if name != METRIC_LABEL}
    identity = Identity(
        label_sets.get(labels, METRIC_LABEL), tuple(named.items()), label_sets.show(labels)
    )
    return Series(
        ref, identity, "gauge", "", "", seq=0, claims=1, stateful=False, history_limit=limit
    )


def plainly(node: Node, series: list[Series], step: int) -> Result:
    """The result by the plain way, of the rows that are held now."""
    wanted = {}
    for matchers, time in earliest(node, step, step, LOOKBACK).items():
        selectors = [selector_of_matchers(each) for each in matchers]
        found = [one for one in series if any(s.matches(one.identity) for s in selectors)]
        wanted[matchers] = time, found
    evaluator = Evaluator(cut(wanted, 1 << 62), step, step, most=1 << 62)
    try:
        result = evaluator.at(node, step)
    except EvaluationError:
        return "refused"
    assert least_read(node) <= evaluator.read
    if isinstance(result, float):
        return {(): result}
    assert isinstance(result, list)
    return {one.labels: one.value for one in result if isinstance(one, Element)}


def lively(live: Live, step: int) -> Result:
    """The result of a step."""
    try:
        labels, values = live.at(step)
    except EvaluationError:
        return "refused"
    assert len(set(labels)) == len(labels)
    pairs = zip(labels, values, strict=True)
    return {labels: value for labels, value in pairs if value is not None}


def shown(result: Result) -> object:
    """As it is compared: bit for bit, any NaN being one."""
    if isinstance(result, str):
        return result
    return {labels: "NaN" if isnan(value) else value for labels, value in result.items()}


@functools.cache
def node_of(text: str) -> Node:
    return read(text)


@pytest.mark.parametrize("name", FILES)
def test_the_cases_of_prometheus_step_by_step(name: str) -> None:
    """Each of their questions that goes on for ever: at the steps before it, and at its own."""
    compared = 0

    def compare(text: str, start: int, end: int, step: int, storage: Storage) -> None:
        nonlocal compared
        try:
            node = read(text)
            if why_not(node):
                return
            live = Live(node)
        except (ExpressionError, EvaluationError):
            return
        every = [
            (ref, labels, sorted(points.items()))
            for ref, (labels, points) in enumerate(storage.rows.items())
            if not any(
                isinstance(value, str) or value != value
                for value in points.values()
                if value is not None
            )
            and label_sets.get(labels, METRIC_LABEL)
        ]
        all_series = [series_of(ref, labels, 10_000) for ref, labels, _ in every]
        for one in all_series:
            live.admit(one)
        told = [0] * len(every)
        gap = step or 15_000
        for moment in range(max(0, start - 6 * gap) if not step else start, end + 1, gap):
            for place, (_, _, points) in enumerate(every):
                while told[place] < len(points) and points[told[place]][0] <= moment:
                    time, value = points[told[place]]
                    all_series[place].history.extend(moment, [time], [value], True)
                    told[place] += 1
            compared += 1
            wanted = plainly(node, all_series, moment)
            assert shown(lively(live, moment)) == shown(wanted), (text, moment)

    for _ in run((prometheus_files() / f"{name}.test").read_text(), visit=compare):
        pass
    assert compared or name == "at_modifier"


EXPRESSIONS = [
    "a",
    "a offset 7s",
    "-a",
    'a{x="1"} or b',
    "a and on (x) b",
    "a unless b",
    "a or on () b",
    "rate(a[20s])",
    "rate(a[20s] offset 5s)",
    "increase(a[1m])",
    "delta(b[15s])",
    "irate(a[20s])",
    "idelta(a[20s])",
    "changes(a[30s])",
    "resets(a[30s])",
    "deriv(a[30s])",
    "predict_linear(a[30s], 60)",
    "double_exponential_smoothing(a[30s], 0.5, 0.5)",
    "quantile_over_time(0.7, a[30s])",
    "quantile_over_time(scalar(b), a[30s])",
    "max_over_time(a[20s]) - min_over_time(a[20s])",
    "avg_over_time(a[20s]) + stddev_over_time(a[20s])",
    "sum_over_time(a[20s])",
    "first_over_time(a[20s])",
    "last_over_time(a[20s])",
    "count_over_time(a[20s])",
    "present_over_time(a[3s])",
    "ts_of_max_over_time(a[20s])",
    "mad_over_time(a[20s])",
    "absent(a)",
    'absent(a{x="1"})',
    'absent_over_time(a{x="1"}[5s])',
    "timestamp(a)",
    "timestamp(a + 1)",
    "time() - timestamp(b)",
    "scalar(a)",
    'vector(scalar(a{x="1"}))',
    "sum(a)",
    "sum by (x) (a)",
    "avg without (x) (a)",
    "count by (__name__) ({__name__=~'.+'})",
    "stddev(a)",
    "quantile(0.5, a)",
    "quantile by (x) (scalar(b), a)",
    "topk(2, a)",
    "bottomk by (x) (1, a)",
    "limitk(2, a)",
    "limit_ratio(0.5, a)",
    "topk(scalar(b), a)",
    "count_values('v', a)",
    "a + b",
    "a > b",
    "a > bool b",
    "a == 2",
    "2 < bool a",
    "a * on (x) group_left (y) b",
    "a * on (x) group_left b",
    "a / ignoring (y) b",
    "b * on (x) group_right a",
    "sum(a) / count(a)",
    "sum by (x) (rate(a[20s])) / sum by (x) (rate(b[20s]))",
    "{__name__=~'a|b'}",
    "rate({__name__=~'a|b'}[20s])",
    "abs(a - 3)",
    "clamp(a, 1, 4)",
    "hour(a)",
    "sgn(a)",
    "label_replace(a, 'z', '$1', 'x', '(.*)')",
    "label_replace(a, 'x', '', 'x', '.*')",
    "label_join(a, 'z', '-', 'x', 'y')",
    "histogram_quantile(0.9, h)",
    "histogram_quantile(0.9, sum by (le) (rate(h[30s])))",
    "histogram_fraction(0, 1, h)",
    "sort_desc(a)",
    "max_over_time(a[20s:5s])",
    "sum_over_time(sum(rate(a[10s]))[20s:5s])",
    "max_over_time(rate(a[10s])[20s:3s] offset 4s)",
    "rate(a[20s]) and max_over_time(a[20s:5s]) > 2",
    "sum(a) or vector(0)",
    "time()",
    "pi() * 2",
]

LABELS: list[Labels] = [
    label_sets.make(pairs)
    for pairs in (
        {"__name__": "a", "x": "1"},
        {"__name__": "a", "x": "2"},
        {"__name__": "a", "x": "1", "y": "1"},
        {"__name__": "b", "x": "1"},
        {"__name__": "b", "x": "2", "y": "3"},
        {"__name__": "h", "le": "0.5"},
        {"__name__": "h", "le": "1"},
        {"__name__": "h", "le": "+Inf"},
        {"__name__": "b"},
        {"__name__": "a", "y": "2"},
    )
]

# What happens between two steps: rows for a series, or something that happens to it.
row = st.tuples(
    st.integers(0, len(LABELS) - 1),
    st.sampled_from((0, 1, 700, 1000, 1000, 2500, 6000, -400, -3000, 9000, 30_000)),
    st.sampled_from((None, 0.0, 1.0, 2.0, 3.0, 1e16, -1.0, 0.1, 7.5)),
    st.booleans(),
)
event = st.one_of(
    row,
    row,
    row,
    row,
    st.tuples(st.sampled_from(("gone", "new")), st.integers(0, len(LABELS) - 1)),
    st.tuples(st.just("prune"), st.integers(0, 12)),
)
story = st.lists(
    st.tuples(st.sampled_from((1000, 1000, 1000, 5000, 20_000)), st.lists(event, max_size=12)),
    min_size=2,
    max_size=14,
)


@pytest.fixture(scope="module")
def one_at_a_time() -> Iterator[None]:
    """Preparations have a piece for each series."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pushsvc.core.expression.live.tracked._AT_ONCE", 1)
        yield


@given(
    story,
    st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=6, unique=True),
    st.integers(1, 6),
)
@settings(deadline=None, max_examples=200)
@example(
    [(1000, [(0, 0, 1.0, True)]), (1000, [(0, 1000, None, True)]), (5000, [(0, 9000, 2.0, True)])],
    ["a", "rate(a[20s])", "changes(a[30s])"],
    1,
)
@pytest.mark.usefixtures("one_at_a_time")
def test_a_step_gives_what_the_whole_gives(
    story: list[tuple[int, list[tuple[object, ...]]]], texts: list[str], begin: int
) -> None:
    """Whenever they began, at once or piece by piece while all sorts of things happen."""
    all_series: dict[int, Series] = {}
    begun = [(text, Live(node_of(text))) for text in texts]
    lives = dict(enumerate([live for _, live in begun]))
    preparing: list[Iterator[None]] = []
    moment = 1_000_000
    refs = 0
    clocks = dict.fromkeys(range(len(LABELS)), moment)
    for seq, (wait, events) in enumerate(story):
        if seq == begin:
            for text in texts:
                live = lives[len(lives)] = Live(node_of(text))
                begun.append((text, live))
                for known in all_series.values():
                    live.admit(known)
                preparing.append(live.prepare(moment))
        moment += wait
        for what in events:
            for pieces in preparing:
                next(pieces, None)
            if what[0] == "gone":
                one = all_series.pop(what[1], None)  # type: ignore[call-overload]
                for live in lives.values() if one else ():
                    live.dismiss(one)
                continue
            if what[0] == "prune":
                histories = [one.history for one in all_series.values()]
                prune(histories, seq - what[1], 40)  # type: ignore[operator]
                continue
            place = what[1] if what[0] == "new" else what[0]
            assert isinstance(place, int)
            if place not in all_series:
                refs += 1
                one = all_series[place] = series_of(refs, LABELS[place], 40)
                for live in lives.values():
                    live.admit(one)
            if what[0] != "new":
                _, later, value, stamped = what
                # One that is stamped comes in the order of time, as a rule.
                clocks[place] += later  # type: ignore[operator]
                time = max(clocks.values()) if stamped else clocks[place]
                all_series[place].history.extend(seq, [time], [value], not stamped)  # type: ignore[list-item]
        ordered = sorted(all_series.values(), key=lambda one: one.ref)
        for pieces in preparing:
            collections.deque(pieces, maxlen=0)
        for text, live in begun:
            wanted = plainly(node_of(text), ordered, moment)
            assert shown(lively(live, moment)) == shown(wanted), text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a[5m]", "a range of samples"),
        ('"text"', "a text"),
        ("a @ 5", "@ stands still"),
        ("sum(rate(a[5m] @ end()))", "@ stands still"),
        ("max_over_time(a[5m:1m] @ 7)", "@ stands still"),
        ("vector(end())", "end() is about a range"),
    ],
)
def test_what_has_no_meaning_at_steps_that_go_on(text: str, reason: str) -> None:
    assert reason in (why_not(read(text)) or "")


def test_labels_are_the_same_object_as_long_as_they_are_the_same() -> None:
    live = Live(read("sum by (x) (rate(a[20s])) or rate(a[20s])"))
    series = [series_of(ref, labels) for ref, labels in enumerate(LABELS[:3])]
    for one in series:
        live.admit(one)
    before = live.at(0).labels
    for moment in range(1000, 60_000, 1000):
        for one in series:
            one.history.extend(moment, [moment], [float(moment)], True)
        column = live.at(moment)
        assert column.labels is before
    live.dismiss(series[0])
    assert live.at(61_000).labels is not before


@pytest.mark.parametrize(
    "text",
    [
        functools.reduce(lambda inner, _: f"max_over_time({inner}[1m:1s])", range(10), "a"),
        "max_over_time(rate(a[10s])[5m:1s])",
        "quantile_over_time(0.5, a[1m])",
        "sum by (x) (rate(a[1m])) or a * on (x) group_left () sum by (x) (a)",
        "count_values('n', a)",
    ],
)
def test_a_step_ends_where_its_budget_does(text: str) -> None:
    series = [
        series_of(ref, (("__name__", "a"), ("n", str(ref)), ("x", str(ref % 3))))
        for ref in range(50)
    ]
    for one in series:
        times = range(0, 60_000, 1_000)
        one.history.extend(1, times, [float(time) for time in times], True)
    live = Live(read(text))
    for one in series:
        live.admit(one)
    with pytest.raises(TooMuch, match="more than 200 samples"):
        live.at(60_000, 200)
    # Beyond by what one part gives, and no more.
    assert live.budget.spent <= 200 + 300
    live.forget()
    with pytest.raises(TooMuch):
        live.at(61_000, 200)


@pytest.mark.parametrize(
    "text",
    [
        "sum by (x) (rate(a[1m]))",
        "max_over_time(a[1m])",
        "max_over_time(rate(a[10s])[40s:10s])",
        "label_replace(a, 'z', '$1', 'n', '(.*)')",
        "a * on (n) group_left () a",
    ],
)
def test_what_is_prepared_has_a_first_step_like_any_other(text: str) -> None:
    def fed() -> Live:
        live = Live(read(text))
        for one in series:
            live.admit(one)
        return live

    series = [
        series_of(ref, (("__name__", "a"), ("n", str(ref)), ("x", str(ref % 3))))
        for ref in range(600)
    ]
    for one in series:
        one.history.extend(1, range(0, 60_000, 1_000), [1.0] * 60, True)
    unprepared, prepared = fed(), fed()
    spent = [0, *(prepared.budget.spent for _ in prepared.prepare(60_000))]
    wanted = unprepared.at(61_000)
    assert prepared.at(61_000) == wanted
    first = prepared.budget.spent
    unprepared.at(62_000)
    assert first < 1.5 * unprepared.budget.spent + 100
    # No piece has all of it.
    pieces = [after - before for before, after in itertools.pairwise(spent)]
    assert len(pieces) > 3
    assert max(pieces) < 0.85 * spent[-1]


def test_a_preparation_ends_where_it_is_too_much() -> None:
    live = Live(read("max_over_time(rate(a[10s])[10m:1s])"))
    for ref in range(50):
        one = series_of(ref, (("__name__", "a"), ("n", str(ref))))
        one.history.extend(1, range(0, 60_000, 1_000), [1.0] * 60, True)
        live.admit(one)
    for _ in live.prepare(60_000, 2_000):
        pass
    assert 2_000 < live.budget.spent < 3_000
    assert len(live.at(60_000).labels) == 50
