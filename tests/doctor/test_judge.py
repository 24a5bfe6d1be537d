"""Each judgement, at its edges."""

from __future__ import annotations

import re

import msgspec
import pytest

from pushsvc.doctor import advice
from pushsvc.doctor.findings import Finding
from pushsvc.doctor.judge import (
    Clock,
    judge_busy,
    judge_drip,
    judge_echo,
    judge_epochs,
    judge_quiet,
    judge_skew,
    judge_transport,
    judge_upload,
    read_clock,
)
from pushsvc.doctor.measured import Busy, Drip, Echo, Quiet, Upload


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
            {"compressed": "ok", "unbuffered": "ok"},
        ),
        (
            Drip((1.0, 1.0, 1.0), (0, 500, 1000), "gzip"),
            {"compressed": "problem", "buffered": "problem"},
        ),
    ],
)
def test_a_drip(drip: Drip, expected: dict[str, str]) -> None:
    assert levels(judge_drip(drip)) == expected


@pytest.mark.parametrize(
    ("each", "clock", "level"),
    [
        ([0.002, 0.003, 0.002], Clock(0.0, 0.001), "ok"),
        # Each by the same: that only a clock can tell.
        ([0.208, 0.209, 0.208], Clock(0.0, 0.001), "delayed"),
        ([0.208, 0.209, 0.208], None, "ok"),
        ([0.208, 0.209, 0.208], Clock(1000.0, 0.001), "delayed"),
        ([0.208, 0.209, 0.208], Clock(-1000.0, 0.001), "delayed"),
        # A way that is long, and one whose clock nobody knows well.
        ([0.15, 0.15, 0.16], Clock(0.0, 0.15), "ok"),
        ([0.002, 0.9, 0.002], Clock(0.0, 0.001), "ok"),
    ],
)
def test_lines_that_are_all_late(each: list[float], clock: Clock | None, level: str) -> None:
    ahead = 0.0 if clock is None else clock.ahead
    # Sent half a second apart from 1,000 s on by this clock.
    sent = [round((1000.1 + 0.5 * number + ahead) * 1000) for number in range(3)]
    arrived = [0.1 + 0.5 * number + late for number, late in enumerate(each)]
    found = judge_drip(Drip(tuple(arrived), tuple(sent), began=1000.0), clock)
    [delayed] = found
    assert delayed.code == ("delayed" if level == "delayed" else "unbuffered")
    if level == "delayed":
        assert delayed.cure == "delay"
        assert "by 207 ms as a rule and 208 ms at the most" in delayed.text


@pytest.mark.parametrize(
    ("upload", "level", "said"),
    [
        (Upload(1_500_000, 1.0, 0.98, 200), "ok", "as it is sent"),
        (Upload(1_500_000, 0.0, 0.0, 200), "ok", "1.5 MB gets through."),
        (Upload(1_500_000, 1.0, 0.02, 200), "note", "arrived within 0.0 s"),
        (Upload(1_500_000, 1.0, 0.0, 413), "problem", "status 413"),
        (Upload(1_500_000, 1.0, 0.0, 502), "problem", "status 502"),
        (Upload(1_500_000, 1.0, 0.0, 0, "the connection broke"), "problem", "the connection broke"),
    ],
)
def test_an_upload(upload: Upload, level: str, said: str) -> None:
    [found] = judge_upload(upload)
    assert found.level == level
    assert said in found.text
    assert (found.cure is None) == (level == "ok")
    assert judge_upload(None) == []


def test_several_that_share_nothing() -> None:
    assert judge_epochs(()) == judge_epochs(("a", "a", "")) == []
    [found] = judge_epochs(("a", "b", "a"))
    assert (found.code, found.level) == ("epochs", "problem")


@pytest.mark.parametrize(
    ("tried", "level", "said"),
    [
        # A heartbeat would prevent it in a stream, and there is none in a poll.
        ([Quiet(10, 10, "alive"), Quiet(30, 23, "cut")], "problem", "a long poll waits 25 s"),
        ([Quiet(20, 20, "alive")], "note", "was not tried"),
        ([Quiet(30, 30, "alive")], "ok", "30 s is survived"),
        ([Quiet(30, 30, "alive"), Quiet(60, 40, "cut")], "note", "prevents it"),
    ],
)
def test_a_poll_is_quiet_for_longer_than_a_heartbeat(
    tried: list[Quiet], level: str, said: str
) -> None:
    [found] = judge_quiet("HTTP stream", tried, 10.0, poll_wait=25.0)
    assert found.level == level, found.text
    assert said in found.text


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


@pytest.mark.parametrize(
    ("headers", "trusted", "address", "level", "advised"),
    [
        # It does what the advice would say: what is missing is trust.
        ({"x-forwarded-for": "b"}, False, "a", "problem", False),
        ({"x-real-ip": "b"}, True, "a", "problem", True),
        ({"forwarded": "for=b"}, True, "a", "problem", True),
        ({"x-forwarded-for": "unknown"}, True, "a", "problem", True),
        ({"x-forwarded-for": "a"}, True, "a", "ok", False),
        ({"x-forwarded-for": "b", "x-real-ip": "b"}, True, "b", "ok", False),
    ],
)
def test_addresses(
    headers: dict[str, str], trusted: bool, address: str, level: str, advised: bool
) -> None:
    echo = Echo(0, "1.1", "a", trusted, address, "http", headers=headers)
    [found] = [one for one in judge_echo(echo, "HTTP/2", "http") if one.code == "forwarding"]
    assert found.level == level, found.text
    assert (found.cure is not None) == advised


def test_a_page_that_may_do_nothing() -> None:
    echo = Echo(0, "1.1", "a", address="a", scheme="http", origin_refused="say web.origins")
    told = {one.code: one for one in judge_echo(echo, "HTTP/2", "https")}
    assert "say web.origins" in told["origin"].text
    assert told["origin"].cure == "forwarding"
    assert "scheme" not in told  # it is the same fault
    unbelieved = msgspec.structs.replace(echo, headers={"x-forwarded-host": "dash"})
    told = {one.code: one for one in judge_echo(unbelieved, "HTTP/2", "https")}
    assert told["origin"].cure is None
    assert judge_transport("WebSocket", "403", origin_refused=True).cure == "forwarding"
    assert judge_transport("WebSocket", "403").cure == "upgrade"


def test_a_clock_is_only_called_wrong_beyond_what_is_unsure() -> None:
    assert judge_skew(read_clock(100.0, 100.2, 105.0)).level == "note"
    assert judge_skew(read_clock(100.0, 110.0, 111.0)).level == "ok"


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
