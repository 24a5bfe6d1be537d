"""Counters of line protocol, by their names."""

from __future__ import annotations

import pytest

from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.counters import TELEGRAF, Counters
from pushsvc.ingest.influx import InfluxDecoder
from tests.ingest.samples import NOW


@pytest.mark.parametrize(
    ("name", "is_counter"),
    [
        ("net_bytes_recv", True),
        ("net_tcp_insegs", True),
        ("net_tcp_currestab", False),
        ("net_speed", False),
        ("cpu_time_user", True),
        ("cpu_usage_user", False),
        ("diskio_io_time", True),
        ("diskio_iops_in_progress", False),
        ("docker_container_cpu_usage_total", True),
        ("docker_container_cpu_usage_percent", False),
        ("kernel_boot_time", False),
        ("nstat_TcpInSegs", True),
        ("nstat_TcpCurrEstab", False),
        ("processes_total", False),
        ("system_uptime", False),
        ("redis_used_cpu_sys", True),
        ("redis_used_memory", False),
        ("swap_in", True),
        ("swap_used", False),
        ("my_net_bytes_recv", False),
        ("shop_orders", False),
    ],
)
def test_what_telegraf_counts(name: str, is_counter: bool) -> None:
    assert (name in Counters()) is is_counter


def test_own_patterns_are_looked_at_first_and_the_first_decides() -> None:
    counters = Counters(["!shop_orders_open", "shop_orders_*", "!net_err_*", "a.b"])
    assert "shop_orders_taken" in counters
    assert "shop_orders_open" not in counters
    assert "net_err_in" not in counters
    assert "net_drop_in" in counters
    assert "a.b" in counters
    assert "aXb" not in counters


def test_the_table_has_names_and_nothing_else() -> None:
    for measurement, fields in TELEGRAF.items():
        for field in fields.split():
            assert f"{measurement}{field.lstrip('!')}".replace("*", "").replace("_", "").isalnum()


def test_lines_say_the_kind_of_what_counts_and_of_nothing_else() -> None:
    decoder = InfluxDecoder(Limits(), Counters(["jobs"]))
    body = f"net,interface=eth0 bytes_recv=5i,speed=10i {NOW}000000\njobs value=3\njobs_x value=1"
    for _ in range(2):  # met for the first time, and known
        decoded = decoder.decode(body.encode(), NOW)
        kinds = {rows.identity.name: rows.kind for rows in decoded.batch.rows}
        assert kinds == {
            "net_bytes_recv": "counter",
            "net_speed": None,
            "jobs": "counter",
            "jobs_x": None,
        }
