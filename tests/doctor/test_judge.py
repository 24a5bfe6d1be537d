"""Each judgement, at its edges."""

from __future__ import annotations

import re

import msgspec
import pytest

from pushsvc.doctor import advice
from pushsvc.doctor.findings import Finding
from pushsvc.doctor.judge import (
    judge_busy,
    judge_drip,
    judge_echo,
    judge_quiet,
    judge_skew,
)
from pushsvc.doctor.measured import Busy, Drip, Echo, Quiet


def levels(findings: list[Finding]) -> dict[str, str]:
    return {one.code: one.level for one in findings}


@pytest.mark.parametrize(
    ("drip", "expected"),
    [
        (Drip((0.0, 0.5, 1.0), (0, 500, 1000)), {"unbuffered": "ok"}),
        (Drip((3.0, 3.5, 4.0), (0, 500, 1000)), {"unbuffered": "ok"}),  # slow, not held
        (Drip((1.0, 1.0, 1.0), (0, 500, 1000)), {"buffered": "problem"}),
        (Drip((0.9, 1.0, 1.3), (0, 500, 1000)), {"buffered": "problem"}),
        (Drip((0.1,), (0,), whole=False), {"drip_broken": "problem"}),
        (
            Drip((0.0, 0.5, 1.0), (0, 500, 1000), "gzip"),
            {"compressed": "problem", "unbuffered": "ok"},
        ),
    ],
)
def test_a_drip(drip: Drip, expected: dict[str, str]) -> None:
    assert levels(judge_drip(drip)) == expected


@pytest.mark.parametrize(
    ("tried", "total", "level", "said"),
    [
        ([Quiet(5, 5, "alive"), Quiet(20, 20, "alive")], None, "ok", "20 s is survived"),
        ([Quiet(5, 5, "alive"), Quiet(20, 10.2, "cut")], None, "problem", "after 10.2 s"),
        ([Quiet(60, 60, "alive"), Quiet(90, 61, "cut")], None, "note", "at most 20 s"),
        ([Quiet(5, 5, "alive"), Quiet(20, 25, "silent")], None, "problem", "between 5 and 20 s"),
        ([Quiet(20, 0, "failed", "status 503")], None, "unknown", "status 503"),
        ([Quiet(5, 5, "alive"), Quiet(20, 15, "cut")], 15.1, "unknown", "could not be told"),
        ([Quiet(5, 3, "cut"), Quiet(20, 3, "cut")], 15.1, "problem", "after 3.0 s"),
    ],
)
def test_quiet(tried: list[Quiet], total: float | None, level: str, said: str) -> None:
    (found,) = judge_quiet("SSE", tried, 15.0, total)
    assert found.level == level
    assert said in found.text


def test_busy() -> None:
    assert judge_busy("SSE", Busy(20), 20).level == "ok"
    assert judge_busy("SSE", Busy(15, "cut"), 20).cure == "total"


def test_how_a_request_arrived() -> None:
    plain = Echo(0, "1.1", peer="a", address="a", scheme="http")
    assert levels(judge_echo(plain, "HTTP/2", "http"))["forwarding"] == "unknown"
    forwarded = msgspec.structs.replace(plain, headers={"x-forwarded-for": "b"})
    assert levels(judge_echo(forwarded, "HTTP/2", "http"))["forwarding"] == "problem"
    trusted = msgspec.structs.replace(forwarded, trusted=True, address="b")
    assert levels(judge_echo(trusted, "HTTP/2", "http"))["forwarding"] == "ok"
    assert levels(judge_echo(trusted, "HTTP/2", "https"))["scheme"] == "problem"


def test_a_clock_is_only_called_wrong_beyond_what_is_unsure() -> None:
    assert judge_skew(100.0, 100.2, 105.0).level == "note"
    assert judge_skew(100.0, 110.0, 111.0).level == "ok"


def test_signs_and_settings() -> None:
    proxies = advice.known()
    for proxy in proxies:
        for sign in proxy.signs:
            name, colon, pattern = sign.partition(": ")
            assert colon
            assert name == name.lower()
            re.compile(pattern)
        assert all(one.source.startswith("https://") for one in proxy.settings)
    headers = {"server": "nginx/1.22.1", "via": "1.1 Caddy"}
    assert [one.name for one in advice.seen_in(headers, proxies)] == ["nginx", "Caddy"]
    (envoy, *_) = [one for one in advice.fitting({"total"}, proxies) if "Envoy" in one.name]
    assert {one.cure for one in envoy.settings} == {"total"}
