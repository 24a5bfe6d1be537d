"""What is refused is counted by reason, and told once a minute for each producer."""

from __future__ import annotations

from pushsvc.ingest.refusals import Ledger, Refusals, Told


def refusals(*reasons: tuple[str, str, int]) -> Refusals:
    made = Refusals()
    for code, reason, count in reasons:
        made.add(code, reason, count)
    return made


def test_reasons_are_told_with_how_often_and_bounded() -> None:
    made = Refusals(told=2)
    for reason in ("a", "b", "a", "c", "d"):
        made.add("x", reason)
    made.add("y", "never", 0)
    assert made.message("points") == "a (2 points); b; and 2 more points"
    assert (made.count, made.by_code) == (5, {"x": (5, "a")})


def test_a_line_of_log_for_each_producer_reason_and_minute() -> None:
    told: list[Told] = []
    ledger = Ledger(told.append)
    ledger.note("influx", "p", refusals(("line", "line 1: no", 2), ("time", "late", 1)), 0.0)
    for second in range(1, 60):
        ledger.note("influx", "p", refusals(("line", "again", 1)), float(second))
    ledger.note_request("influx", "q", "line", "other", 59.0)
    assert told == [
        Told("influx", "p", "line", 2, "line 1: no"),
        Told("influx", "p", "time", 1, "late"),
        Told("influx", "q", "line", 1, "other"),
    ]
    ledger.note("influx", "p", refusals(("line", "new", 1)), 60.0)
    assert told[3:] == [Told("influx", "p", "line", 60, "new")]
    assert ledger.parts == {("influx", "line"): 62, ("influx", "time"): 1}
    assert ledger.requests == {("influx", "line"): 1}


def test_many_producers_fill_neither_log_nor_memory() -> None:
    told: list[Told] = []
    ledger = Ledger(told.append)
    for number in range(5_000):
        ledger.note_request("otlp", f"p{number}", "x", "why", number / 100)
    assert len(told) == 60
    assert len(ledger._last) == 1_000
    ledger.note_request("otlp", "p4999", "x", "why", 70.0)
    assert told[60:] == [Told("otlp", "p4999", "x", 2, "why")]


def test_what_strangers_wrote_is_fit_for_a_terminal() -> None:
    told: list[Told] = []
    Ledger(told.append).note_request(
        "otlp", "p\x1b[2J", "x", "a\x1b]0;t\x07\u202eé" + "b" * 900, 0.0
    )
    assert told[0].producer == "p\\x1b[2J"
    assert told[0].example.startswith("a\\x1b]0;t\\x07\\u202eébbb")
    assert len(told[0].example) < 300
