"""Who sends, within bounds."""

from __future__ import annotations

import pytest

from pushsvc.core.resources.account import Account
from pushsvc.ingest.producers import Producers, Sender
from pushsvc.ingest.refusals import Refusals


def sender(name: str = "a", agent: str = "", *, identified: bool = False) -> Sender:
    return Sender(Account(name, identified), agent, "192.0.2.1")


def test_each_format_account_and_agent_is_one() -> None:
    producers = Producers()
    producers.sent("otlp", sender(agent="x/1"), 5, 1_000)
    producers.sent("otlp", sender(agent="x/1"), 7, 2_000)
    producers.sent("otlp", sender(agent="x/2"), 1, 3_000)
    producers.sent("influx", sender(), 1, 4_000)
    producers.sent("influx", sender(identified=True), 1, 5_000)
    producers.sent("influx", sender(), 1, 6_000)
    told = [
        (one.format, one.account.kind, one.agent, one.requests, one.samples, one.first_ms)
        for one in producers
    ]
    assert told == [
        ("influx", "address", "", 2, 2, 4_000),
        ("influx", "identity", "", 1, 1, 5_000),
        ("otlp", "address", "x/2", 1, 1, 3_000),
        ("otlp", "address", "x/1", 2, 12, 1_000),
    ]


def test_the_last_error_is_kept_with_how_much_was_refused() -> None:
    producers = Producers()
    refusals = Refusals()
    refusals.add("time", "line 3: too late", 2)
    producers.sent("influx", sender(), 8, 1_000)
    producers.refused("influx", sender(), refusals, 1_000)
    (one,) = producers
    assert (one.requests, one.samples, one.refused, one.refused_requests) == (1, 8, 2, 0)
    assert one.error == (1_000, "time", "line 3: too late")
    producers.refused_request("influx", sender(), "body", "not\x1b[2J text" + "x" * 900, 2_000)
    assert (one.requests, one.refused_requests, one.last_ms) == (2, 1, 2_000)
    assert one.error is not None
    assert one.error.message.startswith("not\\u001b[2J textxxx")
    assert len(one.error.message) <= 241


@pytest.mark.parametrize("seconds", [3, 30, 600])
def test_a_steady_producer_has_its_rate_from_the_beginning(seconds: int) -> None:
    producers = Producers()
    for tenth in range(seconds * 10):
        producers.sent("samples", sender(), 20, 1_000 + tenth * 100)
    (one,) = producers
    assert one.rate(1_000 + seconds * 1000) == pytest.approx(200, rel=0.02)


def test_the_rate_of_a_silent_one_fades() -> None:
    producers = Producers()
    for second in range(600):
        producers.sent("samples", sender(), 100, second * 1000)
    (one,) = producers
    assert one.rate(600_000 + 5 * 60_000) < 1.0
    # A clock that was put back is no reason for more.
    assert one.rate(0) == one.rate(599_000) <= 101


def test_many_that_come_once_make_room_for_others() -> None:
    producers = Producers(most=100)
    for number in range(1_000):
        producers.sent("samples", sender(str(number)), 1, number)
        producers.sent("samples", sender("steady"), 1, number)
    assert len(producers) == 100
    assert producers.forgotten == 901
    assert next(iter(producers)).samples == 1_000
    assert len(producers._agents) == 100


def test_who_invents_user_agents_is_one_beyond_some() -> None:
    producers = Producers(most=100)
    producers.sent("samples", sender("b", "honest/1"), 1, 0)
    long = "x" * 1_000
    producers.sent("samples", sender("a", long), 1, 0)
    for number in range(1_000):
        producers.sent("samples", sender("a", str(number)), 1, number)
    producers.sent("samples", sender("a", long), 1, 1_000)
    told = {one.agent: one.requests for one in producers if one.account.name == "a"}
    assert len(told) == 17
    assert told["(other user agents)"] == 985
    assert told[f"{long[:240]}…"] == 2
    assert "honest/1" in {one.agent for one in producers}
