"""Evaluating an expression, and encoding the result as Prometheus does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec import UNSET

from pushsvc.app.dashboards.prometheus.answers import Answer, Data, Found, Pair
from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.aggregates import written
from pushsvc.core.expression.evaluate import Evaluator, Result
from pushsvc.core.expression.evaluate import Series as Ranged
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.stored import Stored
from pushsvc.core.expression.tree import Node


def answer(
    source: Stored,
    node: Node,
    start: int,
    end: int,
    step: int,
    lookback: int,
    most: int,
    limit: int | None,
    give_way: Callable[[], None],
) -> bytes:
    """Evaluate at `start`, or at each `step` from `start` to `end`, and encode the answer.

    Times are Unix ms; `step` 0 means one time. At most `limit` series are answered. It computes for
    long, so it is called in a thread, and calls `give_way` again and again. Raises
    EvaluationError."""
    evaluator = Evaluator(
        source, start, end, step=step, lookback=lookback, most=most, give_way=give_way
    )
    if not step:
        result = evaluator.at(node, start)
        return _annotated(_at_one_time(result, start, limit, give_way), evaluator)
    series: dict[Labels, list[Pair]] = {}
    for moment in range(start, end + 1, step):
        result = evaluator.at(node, moment)
        if isinstance(result, float):
            series.setdefault(label_sets.NONE, []).append(_pair(moment, result))
            continue
        assert isinstance(result, list)
        for element in result:
            assert not isinstance(element, Ranged)
            series.setdefault(element.labels, []).append(_pair(moment, element.value))
    found = (Found(dict(labels), values=series[labels]) for labels in sorted(series)[:limit])
    return _annotated(Data("matrix", _encoded(found, give_way)), evaluator)


def _encoded(found: Iterable[Found], give_way: Callable[[], None]) -> list[msgspec.Raw]:
    """Each by itself, since making and encoding many at once lets nobody else run."""
    encoded = []
    for one in found:
        encoded.append(msgspec.Raw(msgspec.json.encode(one)))
        give_way()
    return encoded


def _annotated(data: Data, evaluator: Evaluator) -> bytes:
    told = evaluator.annotations
    return msgspec.json.encode(
        Answer(data=data, warnings=told.warnings or UNSET, infos=told.infos or UNSET)
    )


def _at_one_time(
    result: Result, time: int, limit: int | None, give_way: Callable[[], None]
) -> Data:
    if isinstance(result, float):
        return Data("scalar", _pair(time, result))
    if isinstance(result, str):
        return Data("string", (time / 1000, result))
    ranges = [one for one in result if isinstance(one, Ranged)]
    if ranges:
        found = (
            Found(dict(one.labels), values=list(map(_pair, one.times, one.values)))
            for one in ranges[:limit]
        )
        return Data("matrix", _encoded(found, give_way))
    found = (
        Found(dict(one.labels), value=_pair(time, one.value))
        for one in result[:limit]
        if not isinstance(one, Ranged)
    )
    return Data("vector", _encoded(found, give_way))


def _pair(time: int, value: float) -> Pair:
    return time / 1000, written(value)
