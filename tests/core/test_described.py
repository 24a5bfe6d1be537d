"""Kind and unit of what expressions give: in themselves, and as dashboards are told of them."""

from __future__ import annotations

from typing import Any

import pytest

from pushsvc.core.expression.reading import read
from pushsvc.core.model.series import Batch, Kind, Rows, Value, identify
from pushsvc.core.query.scope import scope_of
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits
from pushsvc.core.standing.described import Described
from pushsvc.core.storage.catalog import Series
from tests.core.test_standing import Dashboard, Log

LIMITS = Limits()

KNOWN: list[tuple[str, dict[str, str], Kind, str]] = [
    ("net_bytes_total", {"host": "a"}, "counter", "bytes"),
    ("net_bytes_total", {"host": "b"}, "counter", "By"),
    ("sent_bytes", {"host": "a"}, "delta", "bytes"),
    ("requests_total", {"host": "a"}, "counter", ""),
    ("errors_total", {"host": "a"}, "counter", ""),
    ("cpu_seconds_total", {"host": "a"}, "counter", "seconds"),
    ("wait_milliseconds", {"host": "a"}, "gauge", "milliseconds"),
    ("mem_used_bytes", {"host": "a"}, "gauge", "bytes"),
    ("mem_total_bytes", {"host": "a"}, "gauge", "bytes"),
    ("temp_celsius", {"host": "a"}, "gauge", "celsius"),
    ("load1", {"host": "a"}, "gauge", ""),
    ("usage_percent", {"host": "a"}, "gauge", "percent"),
    ("started_seconds", {"host": "a"}, "gauge", "seconds"),
    ("boot_time", {"host": "a"}, "gauge", "timestamp_seconds"),
    ("mixed", {"host": "a"}, "gauge", "bytes"),
    ("mixed", {"host": "b"}, "gauge", "seconds"),
    ("half", {"host": "a"}, "counter", "bytes"),
    ("half", {"host": "b"}, "gauge", "bytes"),
    ("http_seconds_bucket", {"host": "a", "le": "1"}, "counter", ""),
    ("http_seconds_bucket", {"host": "a", "le": "+Inf"}, "counter", ""),
    ("http_seconds_sum", {"host": "a"}, "counter", "seconds"),
    ("http_seconds_count", {"host": "a"}, "counter", ""),
    ("lonely_bucket", {"le": "1"}, "counter", "seconds"),
]

BPS = "bytes_per_second"


def series_of(ref: int, name: str, labels: dict[str, str], kind: Kind, unit: str) -> Series:
    rows = Rows(identify(name, labels, LIMITS), [1], [1.0], kind, unit)
    return Series.founded(ref, rows, 1, 10)


def described(text: str) -> tuple[str, str]:
    one = Described(read(text))
    for ref, known in enumerate(KNOWN):
        one.admit(series_of(ref, *known))
    return one.now


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        # as fast as it grows
        ("rate(net_bytes_total[1m])", BPS),
        ("sum(rate(net_bytes_total[1m]))", BPS),
        ("sum by (host) (irate(net_bytes_total[1m])) > 5", BPS),
        ("rate(sent_bytes[1m])", BPS),
        ("rate(requests_total[1m])", "per_second"),
        ("rate(cpu_seconds_total[1m])", "ratio"),
        ("rate(http_seconds_bucket[1m])", "per_second"),
        ("rate(lonely_bucket[1m])", "per_second"),
        ("deriv(temp_celsius[1m])", "celsius_per_second"),
        ("rate(mixed[1m])", ""),
        ("deriv(boot_time[1m])", ""),
        ("rate(rate(net_bytes_total[1m])[1m:])", ""),
        # in all, within a range
        ("increase(net_bytes_total[1m])", "bytes"),
        ("delta(temp_celsius[1m])", "celsius"),
        ("idelta(mem_used_bytes[1m])", "bytes"),
        ("max_over_time(rate(net_bytes_total[1m])[5m:1m])", BPS),
        ("quantile_over_time(0.9, mem_used_bytes[1m])", "bytes"),
        ("predict_linear(mem_used_bytes[1m], 60)", "bytes"),
        ("count_over_time(mem_used_bytes[1m])", ""),
        ("stdvar_over_time(mem_used_bytes[1m])", ""),
        ("ts_of_max_over_time(mem_used_bytes[1m])", "seconds"),
        ("resets(net_bytes_total[1m])", ""),
        # groups
        ("sum(mem_used_bytes)", "bytes"),
        ("avg without (host) (mem_used_bytes)", "bytes"),
        ("stddev(mem_used_bytes)", "bytes"),
        ("stdvar(mem_used_bytes)", ""),
        ("quantile(0.9, mem_used_bytes)", "bytes"),
        ("topk(2, mem_used_bytes)", "bytes"),
        ("count(mem_used_bytes)", ""),
        ('count_values("v", mem_used_bytes)', ""),
        ("group(mem_used_bytes)", ""),
        ("sum(mixed)", ""),
        ('sum(mixed{host="a"})', "bytes"),
        ('sum({__name__=~"mem_.*"})', "bytes"),
        # as it was
        ("mem_used_bytes offset 5m", "bytes"),
        ("-mem_used_bytes", "bytes"),
        ("abs(ceil(clamp(mem_used_bytes, 0, 9)))", "bytes"),
        ("round(mem_used_bytes, 1024)", "bytes"),
        ("sort(mem_used_bytes)", "bytes"),
        ('label_replace(mem_used_bytes, "a", "$1", "host", "(.*)")', "bytes"),
        ("scalar(mem_used_bytes)", "bytes"),
        ("vector(scalar(mem_used_bytes))", "bytes"),
        ("sqrt(mem_used_bytes)", ""),
        ("sgn(mem_used_bytes)", ""),
        # comparisons and sets
        ("mem_used_bytes > 1024", "bytes"),
        ("1024 < mem_used_bytes", "bytes"),
        ("mem_used_bytes > bool 1024", ""),
        ("mem_used_bytes and on (host) load1", "bytes"),
        ("mem_used_bytes unless load1", "bytes"),
        ("mem_used_bytes or mem_total_bytes", "bytes"),
        ("mem_used_bytes or load1", ""),
        ("sum(mem_used_bytes) or vector(0)", "bytes"),
        ("absent(mem_used_bytes)", ""),
        # sums
        ("mem_total_bytes - mem_used_bytes", "bytes"),
        ("mem_used_bytes + load1", ""),
        ("mem_used_bytes + temp_celsius", ""),
        ("mem_used_bytes + nothing_of_the_kind", "bytes"),
        ("temp_celsius * 9 / 5 + 32", ""),
        ("load1 + 1", ""),
        ("time() - started_seconds", "seconds"),
        ("time() - boot_time", "seconds"),
        ("boot_time + 60", ""),
        ("boot_time + boot_time", ""),
        ("wait_milliseconds + started_seconds", ""),
        # shares
        ("mem_used_bytes / mem_total_bytes", "ratio"),
        ("1 - mem_used_bytes / mem_total_bytes", "ratio"),
        ("100 * (1 - mem_used_bytes / mem_total_bytes)", "percent"),
        ("100 * mem_used_bytes / mem_total_bytes", "percent"),
        ("1 - avg(rate(cpu_seconds_total[1m]))", "ratio"),
        ("(1 - avg(rate(cpu_seconds_total[1m]))) * 100", "percent"),
        ("100 - usage_percent", "percent"),
        ("usage_percent / 100", "ratio"),
        ("usage_percent / 100 * mem_total_bytes", "bytes"),
        ("rate(errors_total[1m]) / rate(requests_total[1m])", ""),
        ("rate(net_bytes_total[1m]) / on () group_left () sum(rate(net_bytes_total[1m]))", "ratio"),
        # so much of each
        ("rate(http_seconds_sum[1m]) / rate(http_seconds_count[1m])", "seconds"),
        ("http_seconds_sum / http_seconds_count", "seconds"),
        ("sum(mem_used_bytes) / count(mem_used_bytes)", "bytes"),
        ("mem_used_bytes * on (host) (load1 > bool 0)", "bytes"),
        ("mem_used_bytes / started_seconds", BPS),
        ("rate(net_bytes_total[1m]) * started_seconds", "bytes"),
        ("mem_used_bytes * temp_celsius", ""),
        ("mem_used_bytes / load1", ""),
        ("load1 / mem_used_bytes", ""),
        ("1 / mem_used_bytes", ""),
        ("mem_used_bytes ^ 2", ""),
        ("temp_celsius / temp_celsius", ""),
        # numbers that are an amount, and numbers that convert
        ("2 * mem_used_bytes", "bytes"),
        ("-1 * rate(net_bytes_total[1m])", BPS),
        ("0.9 * mem_total_bytes", "bytes"),
        ("rate(net_bytes_total[1m]) * 8", "bits_per_second"),
        ("mem_used_bytes / 1024", "kibibytes"),
        ("mem_used_bytes / 1024 / 1024", "mebibytes"),
        ("mem_used_bytes / (1024 * 1024)", "mebibytes"),
        ("mem_used_bytes / 2 ^ 20", "mebibytes"),
        ("started_seconds * 1000", "milliseconds"),
        ("wait_milliseconds / 1000", "seconds"),
        ("started_seconds / 60", "minutes"),
        ("mem_used_bytes * 60", ""),
        ("rate(requests_total[1m]) * 60", ""),
        ("rate(net_bytes_total[1m]) * 3600", ""),
        # what was measured
        ("histogram_quantile(0.9, rate(http_seconds_bucket[1m]))", "seconds"),
        ("histogram_quantile(0.9, sum by (le) (rate(http_seconds_bucket[1m])))", "seconds"),
        ('histogram_quantile(0.9, http_seconds_bucket{le=~".+",host="a"})', "seconds"),
        ('histogram_quantile(0.9, http_seconds_bucket{host="b"})', ""),
        ("1000 * histogram_quantile(0.9, rate(http_seconds_bucket[1m]))", "milliseconds"),
        ("max_over_time(histogram_quantile(0.9, http_seconds_bucket)[1m:])", "seconds"),
        ('histogram_quantile(0.9, {__name__=~"http_seconds_bucket"})', ""),
        ("histogram_quantile(0.9, load1)", ""),
        ("histogram_fraction(0, 1, http_seconds_bucket)", "ratio"),
        # of no series
        ("time()", "seconds"),
        ("timestamp(load1)", "seconds"),
        ("vector(1)", ""),
        ("1 + 1", ""),
        ("hour()", ""),
        ("pi()", ""),
        ("nothing_of_the_kind * 2", ""),
    ],
)
def test_unit(expression: str, unit: str) -> None:
    assert described(expression)[1] == unit


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("net_bytes_total offset 1m", "counter"),
        ("sent_bytes offset 1m", "counter"),
        ("topk(1, net_bytes_total)", "counter"),
        ("net_bytes_total > 5", "counter"),
        ("net_bytes_total and load1", "counter"),
        ("net_bytes_total or requests_total", "counter"),
        ("net_bytes_total or load1", "gauge"),
        ("net_bytes_total or vector(0)", "counter"),
        ('label_replace(net_bytes_total, "a", "$1", "host", "(.*)")', "counter"),
        ("last_over_time(net_bytes_total[1m])", "counter"),
        ("half offset 1m", "gauge"),
        ("mem_used_bytes offset 1m", "gauge"),
        ("rate(net_bytes_total[1m])", "gauge"),
        ("sum(net_bytes_total)", "gauge"),
        ("-net_bytes_total", "gauge"),
        ("net_bytes_total * 2", "gauge"),
        ("net_bytes_total > bool 5", "gauge"),
        ("time()", "gauge"),
    ],
)
def test_kind(expression: str, kind: str) -> None:
    assert described(expression)[0] == kind


def test_it_follows_the_series_there_are() -> None:
    one = Described(read("sum(x) / sum(y)"))
    first = series_of(1, "x", {"host": "a"}, "gauge", "bytes")
    second = series_of(2, "x", {"host": "b"}, "gauge", "")
    one.admit(first)
    one.admit(series_of(3, "y", {}, "gauge", "1"))
    assert one.now.unit == "bytes"
    assert one.now is one.now
    one.admit(second)
    assert one.now.unit == ""
    second.unit = "bytes"
    one.note(second)
    assert one.now.unit == "bytes"
    second.unit = "seconds"
    one.note(second)
    one.dismiss(first)
    one.dismiss(first)
    assert one.now.unit == "seconds"
    one.note(first)  # which it doesn't have any more
    assert one.now.unit == "seconds"
    one.follow([first])
    assert one.now.unit == "bytes"


def publish(
    log: Log,
    *samples: tuple[str, dict[str, str], Value],
    unit: str | None = None,
    kind: Kind | None = None,
    after: int = 0,
) -> None:
    log.stamp += after
    rows = [
        Rows(identify(name, labels, LIMITS), [log.stamp], [value], kind, unit, given=True)
        for name, labels, value in samples
    ]
    log._append(Batch(rows))


def told(documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What results were said to be, one after the other."""
    return [
        (series["kind"], series["unit"])
        for document in documents
        for series in document.get("series", ())
    ]


def test_dashboards_are_told() -> None:
    log = Log()
    hub = log.hub()
    publish(log, ("x_total", {"host": "a"}, 1.0), unit="bytes", kind="counter", after=100)
    dashboard = Dashboard(hub, "sum(rate(x_total[10s]))", "topk(1, x_total)")
    publish(log, ("x_total", {"host": "a"}, 5.0), after=600)
    log.pass_time(1_000)
    assert sorted(told(dashboard.pull())) == [("counter", "bytes"), ("gauge", BPS)]


def test_a_unit_that_is_known_later_is_told_with_the_next_step() -> None:
    log = Log()
    hub = log.hub()
    publish(log, ("x", {"host": "a"}, 1.0), after=100)
    dashboard = Dashboard(hub, "sum(x)")
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "")]
    publish(log, ("x", {"host": "a"}, 1.0), unit="bytes", after=100)
    assert told(dashboard.pull()) == []
    log.pass_time(1_000)
    (changed,) = told(dashboard.pull())
    assert changed == ("gauge", "bytes")
    publish(log, ("x", {"host": "a"}, 2.0), unit="bytes", after=1_000)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == []  # once
    publish(log, ("x", {"host": "b"}, 2.0), unit="seconds", after=100)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "")]
    publish(log, ("x", {"host": "b"}, None), after=100)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == []  # it has ended, and may go on
    late = Dashboard(hub, "sum(x)", window=60.0, prepared=True)
    assert told(late.pull()) == [("gauge", "")]


def test_it_is_told_without_a_new_value_too() -> None:
    log = Log()
    hub = log.hub()
    publish(log, ("x", {"host": "a"}, 1.0), after=100)
    dashboard = Dashboard(hub, "x > 1")
    publish(log, ("x", {"host": "a"}, 2.0), after=100)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "")]
    publish(log, ("x", {"host": "a"}, 0.0), after=100)
    log.pass_time(1_000)
    dashboard.pull()
    publish(log, ("x", {"host": "a"}, 0.0), unit="bytes", after=100)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "bytes")]


def test_it_is_the_same_wherever_the_log_is_read() -> None:
    """Who has watched all along, who begins later, and who comes back to another process."""
    log = Log()
    first = log.hub()
    publish(log, ("x", {"host": "a"}, 1.0), after=100)
    watching = Dashboard(first, "sum(x)")
    log.pass_time(1_000)
    watching.pull()
    publish(log, ("x", {"host": "a"}, 1.0), unit="bytes", after=100)
    log.pass_time(1_000)
    second, third = log.hub(), log.hub_after(first)
    others = [
        Dashboard(second, "sum(x)", window=60.0, prepared=True),
        Dashboard(second, "sum(x)", since=watching.client.cursor, prepared=True),
        Dashboard(third, "sum(x)", since=watching.client.cursor, prepared=True),
        Dashboard(third, "sum(x)"),
    ]
    log.pass_time(1_000)
    for one in [watching, *others]:
        one.pull()
        (description,) = one.series.values()
        assert (description["kind"], description["unit"]) == ("gauge", "bytes")


def test_a_quantile_goes_by_the_sum_that_comes_later() -> None:
    log = Log()
    hub = log.hub()
    buckets = [("d_bucket", {"le": "1"}, 1.0), ("d_bucket", {"le": "+Inf"}, 2.0)]
    publish(log, *buckets, kind="counter", after=100)
    dashboard = Dashboard(hub, "histogram_quantile(0.5, d_bucket)")
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "")]
    publish(log, ("d_sum", {}, 1.0), unit="seconds", kind="counter", after=100)
    log.pass_time(1_000)
    assert told(dashboard.pull()) == [("gauge", "seconds")]
    assert {
        one.identity.name for one in hub.hold(dashboard.subscriber.view.spec, 0)[0].read.values()
    } == {"d_bucket"}


def test_nobody_learns_of_what_may_not_be_read() -> None:
    log = Log()
    hub = log.hub()
    mine = {"tenant": "a", "le": "+Inf"}
    publish(log, ("d_bucket", mine, 1.0), ("x", {"tenant": "a"}, 1.0), kind="gauge", after=100)
    theirs = [("d_sum", {"tenant": "b"}, 1.0), ("x", {"tenant": "b"}, 1.0)]
    publish(log, *theirs, unit="seconds")
    allowed = scope_of([parse('{tenant="a"}')])
    dashboard = Dashboard(hub, "sum(x)", "histogram_quantile(0.5, d_bucket)", allowed=allowed)
    log.pass_time(1_000)
    dashboard.pull()
    assert {one["unit"] for one in dashboard.series.values()} == {""}
