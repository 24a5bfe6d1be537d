"""Expressions at random, of the whole language that is supported, and series to ask them of."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pushsvc.core.expression.functions import DATES, FUNCTIONS
from pushsvc.core.expression.windows import FUNCTIONS as WINDOWS

_SELECTORS = (
    "requests_total",
    'requests_total{job="a"}',
    'requests_total{code=~"2..",job!="b"}',
    "requests_total{instance!~'1|2'}",
    "temperature",
    'temperature{job=~"a|c"}',
    "sparse",
    'sparse{job="nobody"}',
    '{__name__=~"temp.*|sparse"}',
)
_GROUPINGS = ("", " by (job)", " by (job, instance)", " without (instance)", " by (nothing)")
_TWO = ("clamp_max", "clamp_min")
_NUMBERS = ("0", "1", "2", "0.5", "-1.5", "10", "100", "1e3", "0.9")


class Generator:
    """Makes expressions, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def expressions(self, count: int) -> Iterator[str]:
        for _ in range(count):
            yield self._vector(3)

    def _one(self, of: tuple[str, ...] | list[str]) -> str:
        return self._random.choice(of)

    def _selector(self) -> str:
        text = self._one(_SELECTORS)
        if self._random.random() < 0.2:
            text += " offset " + self._one(("30s", "2m", "-1m"))
        elif self._random.random() < 0.08:
            text += self._one((" @ start()", " @ end()"))
        return text

    def _range(self, depth: int) -> str:
        if depth > 0 and self._random.random() < 0.25:
            span = self._one(("[2m:20s]", "[3m:45s]", "[90s:7s]", "[2m:]"))
            return f"({self._vector(depth - 1)}){span}"
        text = self._one(_SELECTORS) + self._one(("[1m]", "[2m]", "[5m]", "[45s]", "[13s]"))
        if self._random.random() < 0.2:
            text += " offset " + self._one(("30s", "1m", "-30s"))
        return text

    def _scalar(self, depth: int) -> str:
        if depth > 0 and self._random.random() < 0.3:
            return self._one(
                [
                    f"scalar({self._vector(depth - 1)})",
                    "time()",
                    "pi()",
                    f"({self._scalar(depth - 1)} {self._one(('+', '-', '*', '/', '^', '%'))} 3)",
                ]
            )
        return self._one(_NUMBERS)

    def _vector(self, depth: int) -> str:
        if depth <= 0:
            return self._selector()
        kinds = (
            self._windowed, self._windowed, self._windowed, self._of_one, self._aggregate,
            self._aggregate, self._pairs, self._with_number, self._with_number, self._special,
            self._histogram, self._set,
        )  # fmt: skip
        return self._random.choice(kinds)(depth)

    def _windowed(self, depth: int) -> str:
        name = self._one(sorted(WINDOWS))
        inner = self._range(depth - 1)
        if name == "quantile_over_time":
            return f"{name}({self._scalar(0)}, {inner})"
        if name == "predict_linear":
            return f"{name}({inner}, 60)"
        if name == "double_exponential_smoothing":
            return f"{name}({inner}, 0.3, 0.6)"
        return f"{name}({inner})"

    def _of_one(self, depth: int) -> str:
        name = self._one(sorted({*FUNCTIONS, *DATES}))
        # Of what is infinite the date is anything, in Prometheus another one on each machine.
        inner = self._selector() if name in DATES else self._vector(depth - 1)
        if name in _TWO:
            return f"{name}({inner}, {self._scalar(1)})"
        if name == "clamp":
            return f"clamp({inner}, 2, {self._scalar(0)})"
        if name == "round" and self._random.random() < 0.5:
            return f"round({inner}, 0.3)"
        return f"{name}({inner})"

    def _aggregate(self, depth: int) -> str:
        inner, grouping = self._vector(depth - 1), self._one(_GROUPINGS)
        name = self._one(
            ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk",
             "quantile", "count_values")
        )  # fmt: skip
        if name in ("topk", "bottomk"):
            # Of equal values either may be taken: there are none among these.
            return f"{name}{grouping}(2, {self._one(_SELECTORS)})"
        if name == "quantile":
            return f"quantile{grouping}({self._scalar(1)}, {inner})"
        if name == "count_values":
            return f'count_values{grouping}("value", round({inner}, 5))'
        return f"{name}{grouping}({inner})"

    def _pairs(self, depth: int) -> str:
        op = self._one(("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="))
        flag = " bool" if op[0] in "=!<>" and self._random.random() < 0.5 else ""
        left, right = self._vector(depth - 1), self._vector(depth - 1)
        how = self._random.randrange(4)
        if how == 0:
            return f"({left}) {op}{flag} ({right})"
        if how == 1:
            return f"sum by (job) ({left}) {op}{flag} avg by (job) ({right})"
        if how == 2:
            matching = self._one(("on (job) group_left", "on (job) group_left (instance)"))
            return f"({left}) {op}{flag} {matching} max by (job) ({right})"
        return f"sum by (job) ({left}) {op}{flag} ignoring (code, instance) group_right ({right})"

    def _with_number(self, depth: int) -> str:
        op = self._one(("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="))
        flag = " bool" if op[0] in "=!<>" and self._random.random() < 0.5 else ""
        sides = [f"({self._vector(depth - 1)})", self._scalar(1)]
        self._random.shuffle(sides)
        return f"{sides[0]} {op}{flag} {sides[1]}"

    def _set(self, depth: int) -> str:
        op, how = (
            self._one(("and", "or", "unless")),
            self._one(("", " on (job)", " ignoring (code)")),
        )
        return f"({self._vector(depth - 1)}) {op}{how} ({self._vector(depth - 1)})"

    def _special(self, depth: int) -> str:
        inner = self._vector(depth - 1)
        return self._one(
            [
                f"-({inner})",
                f"absent({inner})",
                f"absent_over_time({self._range(depth - 1)})",
                f"timestamp({self._selector()})",
                f"sort({inner})",
                f"sort_desc({inner})",
                f"vector({self._scalar(depth - 1)})",
                f'label_replace({inner}, "to", "$1-x", "job", "(.)")',
                f'label_join({inner}, "to", "/", "job", "instance")',
            ]
        )

    def _histogram(self, depth: int) -> str:
        share = self._scalar(depth - 1)
        buckets = self._one(
            (
                "latency_bucket",
                "rate(latency_bucket[1m])",
                "sum by (le, job) (increase(latency_bucket[2m]))",
                "sum by (le) (rate(latency_bucket[90s]))",
            )
        )
        if self._random.random() < 0.3:
            return f"histogram_fraction({self._scalar(0)}, {self._scalar(0)}, {buckets})"
        return f"histogram_quantile({share}, {buckets})"


Sample = tuple[dict[str, str], float | None, int]
"""Labels, value (None: an ending) and time in ms."""


def samples(seed: int, start: int, seconds: int) -> Iterator[list[Sample]]:
    """What a few services would tell, batch by batch: with resets, gaps, and ends."""
    random = Random(seed)
    counters = {
        (job, instance, code): random.uniform(0, 50)
        for job in "abc"
        for instance in "123"
        for code in ("200", "500")
    }
    buckets = {(job, le): 0.0 for job in "ab" for le in ("0.1", "0.5", "1", "2.5", "+Inf")}
    for at in range(0, seconds, 10):
        time = start + at * 1000
        batch: list[Sample] = []
        for key in counters:
            job, instance, code = key
            labels = {"__name__": "requests_total", "job": job, "instance": instance, "code": code}
            if random.random() < 0.02:
                counters[key] = 0.0
            counters[key] += random.expovariate(0.2)
            if key == ("c", "3", "500") and at >= seconds // 2:
                if at - 10 < seconds // 2:
                    batch.append((labels, None, time))
            elif random.random() > 0.05:
                batch.append((labels, counters[key], time + random.randrange(3000)))
        for job in "abc":
            labels = {"__name__": "temperature", "job": job, "instance": "1"}
            batch.append((labels, random.gauss(3, 20), time + random.randrange(500)))
        if at % 70 == 0:
            labels = {"__name__": "sparse", "job": random.choice("ab"), "instance": "9"}
            batch.append((labels, random.random(), time))
        for job in "ab":
            grown = 0.0
            for le in ("0.1", "0.5", "1", "2.5", "+Inf"):
                grown += random.randrange(5)
                buckets[job, le] += grown
                labels = {"__name__": "latency_bucket", "job": job, "le": le}
                batch.append((labels, buckets[job, le], time + 7))
        yield batch
