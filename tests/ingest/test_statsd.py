"""StatsD: what lines add up to, which are not taken, and any bytes at all."""

from __future__ import annotations

import random
from collections import Counter
from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.statsd.aggregate import Aggregator
from pushsvc.ingest.statsd.meter import RESERVOIR

START = 1_732_320_000_000
LIMITS = Limits(labels=4, name_bytes=30, value_bytes=40, statsd_series=10)


class Gathering:
    """An aggregator that is flushed once a second."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.counts: Counter[str] = Counter()
        self.aggregator = Aggregator(
            limits, ttl=60.0, now_ms=START, counts=self.counts, chance=random.Random(1)
        )
        self.now = 0.0

    def send(self, *lines: str | bytes) -> None:
        datagram = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
        self.aggregator.take(datagram, self.now)

    def flush(self, seconds: float = 1.0) -> dict[str, list[float]]:
        """The values by series; each is of the time of the flush, but for what begins with 0."""
        told: dict[str, Any] = {}
        begin, self.now = self.now, self.now + seconds
        for batch in self.aggregator.flush(self.now, self.time(self.now)):
            for rows in batch.rows:
                assert rows.identity.text not in told
                told[rows.identity.text] = rows.values
                assert rows.times[-1] == self.time(self.now)
                if len(rows.times) > 1:
                    assert rows.times == [self.time(begin), self.time(self.now)]
                    assert rows.values[0] == 0.0
                assert rows.kind in ("counter", "gauge")
        return told

    @staticmethod
    def time(now: float) -> int:
        return START + round(now * 1000)


def test_a_counter_is_a_total_that_begins_with_nothing_and_settles() -> None:
    statsd = Gathering()
    statsd.send("hits:1|c", "hits:2|c\r", "hits:1|c|@0.1", "")
    assert statsd.flush() == {"hits": [0.0, 13.0]}
    statsd.send("hits:3|c")
    assert statsd.flush() == {"hits": [16.0]}
    assert statsd.flush() == {"hits": [16.0]}, "once more, so that its rate falls to 0"
    assert statsd.flush() == {}
    statsd.send("hits:1|c")
    assert statsd.flush() == {"hits": [17.0]}


def test_a_counter_that_is_counted_down_is_never_told_to_fall() -> None:
    statsd = Gathering()
    statsd.send("hits:10|c")
    assert statsd.flush() == {"hits": [0.0, 10.0]}
    statsd.send("hits:-3|c")
    assert statsd.flush() == {"hits": [10.0]}
    statsd.send("hits:1|c")
    assert statsd.flush() == {}
    # What was taken back is made up for first: all increases add up to what was counted.
    statsd.send("hits:4|c")
    assert statsd.flush() == {"hits": [12.0]}


def timed(statsd: Gathering) -> list[tuple[str, bool, list[tuple[int, Any]]]]:
    """What a flush tells, times in seconds since the start."""
    statsd.now += 10.0
    return [
        (
            rows.identity.text,
            rows.given,
            [
                ((time - START) // 1000, value)
                for time, value in zip(rows.times, rows.values, strict=True)
            ],
        )
        for batch in statsd.aggregator.flush(statsd.now, statsd.time(statsd.now))
        for rows in batch.rows
    ]


def test_counts_and_gauges_with_a_time_are_told_with_it() -> None:
    second = START // 1000
    statsd = Gathering()
    statsd.send(
        f"hits:2|c|T{second + 3}",
        f"hits:1|c|T{second + 5}|#",
        f"hits:1|c|T{second + 5}",
        f"hits:1|c|T{second + 4}",  # too late for a total of its own
        f"load:5|g|T{second + 2}",
        "load:7|g",
        f"load:6|g|T{second + 1}",
    )
    told = timed(statsd)
    assert told == [
        ("hits", True, [(0, 0.0), (3, 2.0), (5, 4.0)]),
        ("hits", False, [(10, 5.0)]),
        ("load", True, [(2, 5.0), (1, 6.0)]),
        ("load", False, [(10, 7.0)]),
    ]
    statsd.send(f"hits:1|c|T{second + 7}", f"hits:1|c|T{second + 12}")
    assert timed(statsd) == [("hits", True, [(12, 7.0)])]
    assert timed(statsd) == [("hits", False, [(30, 7.0)])]
    assert timed(statsd) == []
    statsd.send(f"took:3|ms|T{second + 1}")  # of an interval, whatever it says
    assert {given for _, given, _ in timed(statsd)} == {False}


@pytest.mark.parametrize("time", ["", "x", "-5", "1", "99999999999", "1" * 30, f"{START}"])
def test_a_time_that_can_t_be_is_refused(time: str) -> None:
    statsd = Gathering()
    statsd.send(f"hits:2|c|T{time}")
    assert statsd.counts["statsd_lines_bad"] == 1
    assert statsd.flush() == {}


def test_a_gauge_is_set_or_changed() -> None:
    statsd = Gathering()
    statsd.send("temp:20|g", "temp:21.5|g")
    assert statsd.flush() == {"temp": [21.5]}
    statsd.send("temp:+2|g", "temp:-0.5|g", "other:-3|g")
    assert statsd.flush() == {"temp": [23.0], "other": [-3.0]}
    assert statsd.flush() == {}
    statsd.send("temp:23|g")
    assert statsd.flush() == {"temp": [23.0]}


@pytest.mark.parametrize("kind", ["ms", "h", "d"])
def test_timings_are_counted_summed_and_ranked(kind: str) -> None:
    statsd = Gathering()
    statsd.send(*(f"took:{value}|{kind}" for value in range(100, 0, -1)))
    assert statsd.flush() == {
        "took_count": [0.0, 100.0],
        "took_sum": [0.0, 5050.0],
        "took_min": [1.0],
        "took_max": [100.0],
        'took{quantile="0.5"}': [51.0],
        'took{quantile="0.95"}': [96.0],
        'took{quantile="0.99"}': [100.0],
    }
    statsd.send(f"took:4|{kind}|@0.5")
    assert statsd.flush() == {
        "took_count": [102.0],
        "took_sum": [5058.0],
        **{f"took_{end}": [4.0] for end in ("min", "max")},
        **{f'took{{quantile="{q}"}}': [4.0] for q in ("0.5", "0.95", "0.99")},
    }
    assert set(statsd.flush()) == {"took_count", "took_sum"}
    assert statsd.flush() == {}


def test_quantiles_of_many_are_those_of_a_fair_sample() -> None:
    statsd = Gathering()
    for value in range(20 * RESERVOIR):
        statsd.send(f"took:{value}|ms")
    told = statsd.flush()
    assert told["took_count"] == [0.0, 20.0 * RESERVOIR]
    assert told["took_max"] == [20 * RESERVOIR - 1.0]
    assert told['took{quantile="0.5"}'][0] == pytest.approx(10 * RESERVOIR, rel=0.1)


def test_units_and_kinds() -> None:
    statsd = Gathering()
    statsd.send("a:1|ms", "b:-1|h")
    (batch,) = statsd.aggregator.flush(1.0, START + 1000)
    told = {rows.identity.text: (rows.kind, rows.unit) for rows in batch.rows}
    assert told["a_sum"] == ("counter", "milliseconds")
    assert told["a_max"] == ("gauge", "milliseconds")
    assert told["a_count"] == ("counter", None)
    assert told["b_sum"] == ("gauge", None)


def test_a_set_counts_what_is_different() -> None:
    statsd = Gathering()
    statsd.send("users:ann|s", "users:bob|s", "users:ann|s", "users:a:b|s")
    assert statsd.flush() == {"users": [3.0]}
    statsd.send("users:ann|s")
    assert statsd.flush() == {"users": [1.0]}
    assert statsd.flush() == {}


@pytest.mark.parametrize(
    ("line", "series"),
    [
        ("page.views:1|g", "page_views"),
        ("a-b/c d:1|g", "a_b_c_d"),
        ("2xx:1|g", "_2xx"),
        ("a:1|g|#env:prod", 'a{env="prod"}'),
        ("a:1|g|@1|#env:prod,canary,url:http://x:80/", 'a{canary="true",env="prod",url="http://x:80/"}'),
        ("a:1|g|#env:prod|@0.5", 'a{env="prod"}'),
        ("a:1|g|#b.c:1,9d:2,__e:3", 'a{b_c="1",tag_9d="2",tag_e="3"}'),
        ("a:1|g|#env:,,x:1,x:2", 'a{x="2"}'),
        ("a:1|g|#é:ü", 'a{_="ü"}'),
        ("a:1|g|#b:1|c:ci-4af|zz", 'a{b="1"}'),
        ("a:1|g|#", "a"),
    ],
)  # fmt: skip
def test_names_and_tags(line: str, series: str) -> None:
    statsd = Gathering()
    for _ in range(2):  # the second time it is known
        statsd.send(line)
        assert statsd.flush() == {series: [1.0]}
    assert statsd.counts["statsd_lines_bad"] == 0


def test_tags_in_any_order_are_one_series() -> None:
    statsd = Gathering()
    statsd.send("a:1|c|#x:1,y:2", "a:1|c|#y:2,x:1")
    assert statsd.flush() == {'a{x="1",y="2"}': [0.0, 2.0]}


def test_values_may_be_packed() -> None:
    statsd = Gathering()
    statsd.send("a:1:2:3|c", "a:1:x|c")
    assert statsd.flush() == {"a": [0.0, 6.0]}
    assert statsd.counts["statsd_lines_bad"] == 1


BAD = [
    "a", "a:1", "a|c", ":1|c", "a:|c", "a:x|c", "a:1|x", "a:1|", "a:nan|g", "a:inf|g", "a:1e999|c",
    "a:1_0|c", "a:0x1|c", "a:1|c|@0", "a:1|c|@2", "a:1|c|@-1", "a:1|c|@x", "a:1|c|@1e-310",
    "a:-1|ms", "a:1|g|#" + "x" * 31, "a:1|g|#x:" + "y" * 41, "x" * 31 + ":1|g", "x" * 26 + ":1|ms",
    "a:1|g|#b,c,d,e,f", b"\xff:1|c", b"a:1|g|#b:\xff", "=", "é:1|",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_counted_and_takes_no_other_with_it(line: str | bytes) -> None:
    statsd = Gathering()
    statsd.send("ok:1|c", line, "ok:1|c")
    assert statsd.flush() == {"ok": [0.0, 2.0]}
    assert statsd.counts == {"statsd_lines": 3, "statsd_lines_bad": 1}
    assert 0 < len(statsd.aggregator.refused.message()) < 300
    assert len(statsd.aggregator) == 1


def test_totals_stay_finite() -> None:
    statsd = Gathering()
    for line in ("a:1e308|c", "b:1e308|ms", "c:+1e308|g"):
        statsd.send(line, line, line)
    assert statsd.counts["statsd_lines_bad"] == 6
    told = statsd.flush()
    assert (told["a"][-1], told["b_sum"][-1], told["c"][-1]) == (1e308, 1e308, 1e308)
    assert told["b_count"] == [0.0, 1.0]


def test_events_and_service_checks_are_passed_over() -> None:
    statsd = Gathering()
    statsd.send("_e{5,4}:title|text|#a:b", "_sc|Redis|2|m:down")
    assert statsd.flush() == {}
    assert statsd.counts == {"statsd_lines": 2, "statsd_lines_other": 2}


def test_a_metric_keeps_its_type() -> None:
    statsd = Gathering()
    statsd.send("a:1|c", "a:5|g", "a:1|c")
    assert statsd.flush() == {"a": [0.0, 2.0]}
    assert statsd.counts["statsd_lines_bad"] == 1
    assert "of type c, not g" in statsd.aggregator.refused.message()


def test_metrics_are_bounded_and_the_silent_make_room() -> None:
    statsd = Gathering()
    for i in range(15):
        statsd.send(f"m{i}:1|c")
    assert statsd.counts["statsd_lines_refused"] == 5
    assert "limits.statsd_series" in statsd.aggregator.refused.message()
    assert len(statsd.flush()) == 10
    statsd.send("m0:1|c")
    assert statsd.flush()["m0"] == [2.0], "those that are known flow"
    statsd.now += 59
    statsd.send("m0:1|c")
    statsd.flush(2.0)
    assert len(statsd.aggregator) == 1
    statsd.send("m14:1|c", "m0:1|c")
    assert statsd.flush() == {"m0": [4.0], "m14": [0.0, 1.0]}


def test_what_is_remembered_is_bounded() -> None:
    statsd = Gathering()
    for i in range(100):
        statsd.send(f"a:1|c|#x:1{',' * i}", f"b:1|c|#{',' * 2000}{i}")
    assert len(statsd.aggregator._known) <= 2 * LIMITS.statsd_series


GOOD = b"hits:1|c|@0.5|#env:prod,x\ntook:1:2|ms\nusers:ann|s\ntemp:+1.5|g\n_e{1,1}:a|b\nd:1|d"


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    body = bytearray(GOOD)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"|", b":", b"#", b"@", b"\n", b"1e308"])
        )
    return bytes(body)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60) | spoilt(), max_size=4))
def test_any_bytes_are_counted_or_add_up(datagrams: list[bytes]) -> None:
    statsd = Gathering()
    lines = 0
    for datagram in datagrams:
        statsd.send(datagram)
        lines += sum(1 for line in datagram.split(b"\n") if line.rstrip(b"\r"))
        for values in statsd.flush().values():
            assert all(type(value) is float and isfinite(value) for value in values)
    assert statsd.counts["statsd_lines"] == lines
    statsd.send("last:7|g")
    assert len(statsd.aggregator) <= LIMITS.statsd_series
    assert statsd.flush().get("last") == [7.0] or statsd.counts["statsd_lines_refused"]
