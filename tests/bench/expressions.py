"""Expressions: what a step costs that is worked out from what has changed, beside one that reads
all that it is about. Series get a sample each between two steps, which are a second apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator
from pushsvc.core.expression.live import Live
from pushsvc.core.expression.reading import read
from pushsvc.core.expression.stored import cut, earliest
from pushsvc.core.model.series import identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Series
from tests.bench.report import Figure, ratio

_BOUNDS = ("0.1", "0.2", "0.3", "0.5", "1", "2", "3", "4", "5", "7", "9", "+Inf")
_WARM = 61
"""Steps until a range of a minute is full."""


class Expressions(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    expression: str
    series: int
    results: int
    step_ms: Figure
    """CPU of a step."""
    plain_ms: Figure
    """The same, where a step reads everything."""


class ExpressionCase(msgspec.Struct, frozen=True):
    expression: str
    series: int
    rounds: int

    @property
    def title(self) -> str:
        return f"{self.expression}, {self.series:,} series"

    @property
    def steps(self) -> int:
        return self.rounds

    def run(self, step: Callable[[str], None]) -> Expressions:
        """Measure, both in each round; `step` is called before it."""
        node = read(self.expression)
        live = Live(node)
        all_series = list(_series(self.series, buckets="le" in self.expression))
        for one in all_series:
            live.admit(one)
        steps, plain = [], []
        results = 0
        for number in range(_WARM + self.rounds):
            moment = 1_000_000_000 + 1000 * number
            _feed(all_series, moment, number)
            begin = time.process_time()
            column = live.at(moment)
            cost = time.process_time() - begin
            results = len(column.labels)
            if number < _WARM:
                continue
            step(f"{self.title}: step {number - _WARM + 1} of {self.rounds}")
            steps.append(1000 * cost)
            begin = time.process_time()
            wanted = {
                matchers: (since, all_series)
                for matchers, since in earliest(node, moment, moment, LOOKBACK).items()
            }
            Evaluator(cut(wanted, 1 << 62), moment, moment).at(node, moment)
            plain.append(1000 * (time.process_time() - begin))
        return Expressions(
            self.expression, self.series, results, Figure.of(steps), Figure.of(plain)
        )


def _series(count: int, *, buckets: bool) -> Iterator[Series]:
    for ref in range(count):
        labels = {"x": str(ref % 10), "instance": str(ref)}
        if buckets:
            labels = {"x": str(ref // len(_BOUNDS)), "le": _BOUNDS[ref % len(_BOUNDS)]}
        yield Series(
            ref,
            identify("c", labels, Limits()),
            "counter",
            "",
            "",
            seq=0,
            claims=1,
            stateful=False,
            history_limit=1000,
        )


def _feed(all_series: list[Series], moment: int, number: int) -> None:
    for place, one in enumerate(all_series):
        late = place % 997
        one.history.extend(number, [moment - 1000 + late], [float(number * (1 + place % 12))], True)


def cases(*, quick: bool) -> list[ExpressionCase]:
    rounds = 5 if quick else 15
    cases = [
        ExpressionCase("sum by (x) (rate(c[1m]))", 1_000, rounds),
        ExpressionCase("histogram_quantile(0.99, c)", 2_400, rounds),
    ]
    if quick:
        return cases
    return [
        *cases,
        ExpressionCase("sum by (x) (rate(c[1m]))", 10_000, rounds),
        ExpressionCase("histogram_quantile(0.99, sum by (le) (rate(c[1m])))", 2_400, rounds),
        ExpressionCase("topk(5, rate(c[1m]))", 1_000, rounds),
        ExpressionCase("rate(c[1m]) / on (instance) c", 1_000, rounds),
        ExpressionCase("max_over_time(c[1m])", 1_000, rounds),
        ExpressionCase("max_over_time(rate(c[10s])[1m:10s])", 1_000, rounds),
        ExpressionCase("c > 100", 1_000, rounds),
    ]


COLUMNS = ("expression", "series", "results", "CPU of a step", "reading everything", "÷")


def rows(outcome: Expressions) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.expression,
        f"{outcome.series:,}",
        f"{outcome.results:,}",
        f"{outcome.step_ms.median:.2f} ms",
        f"{outcome.plain_ms.median:.1f} ms",
        ratio(outcome.plain_ms.median / outcome.step_ms.median),
    )
