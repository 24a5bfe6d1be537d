"""Small named values that live with the log."""

from __future__ import annotations

import pytest

from pushsvc.core.storage import records
from pushsvc.core.storage.records import Capacity, Change, Record, Records
from pushsvc.errors import Rejected


def names(kept: Records, kind: str = "dashboard") -> list[str]:
    return [record.name for record in kept.of(kind)]


def refused(kept: Records, change: Change, seq: int = 99, stamp: int = 0) -> Rejected:
    before = kept.dump()
    with pytest.raises(Rejected) as caught:
        kept.put(change, seq, stamp)
    assert kept.dump() == before
    return caught.value


def test_of_two_that_change_one_version_the_first_is_applied() -> None:
    kept = Records()
    assert kept.put(Change("dashboard", "a", b"1", 0), 5, 50) == Record(
        "dashboard", "a", b"1", 5, 50, 0
    )
    assert refused(kept, Change("dashboard", "a", b"2", 0)).extra["version"] == 5
    kept.put(Change("dashboard", "a", b"2", 5), 6, 60)
    late = refused(kept, Change("dashboard", "a", b"3", 5))
    assert (late.code, late.extra["version"]) == ("record_version", 6)
    assert refused(kept, Change("dashboard", "a", None, 5)).code == "record_version"
    assert refused(kept, Change("dashboard", "b", b"1", 3)).extra["version"] == 0
    assert kept.get("dashboard", "a") == Record("dashboard", "a", b"2", 6, 60, 0)
    assert kept.put(Change("dashboard", "a", None, 6), 7, 70) is None
    assert kept.get("dashboard", "a") is None
    # What doesn't say which version it is about is applied in any case.
    kept.put(Change("dashboard", "a", b"4"), 8, 80)
    kept.put(Change("dashboard", "a", b"5"), 9, 90)
    kept.put(Change("dashboard", "b", None), 10, 90)
    assert kept.dump() == [Record("dashboard", "a", b"5", 9, 90, 0)]


def test_a_change_can_say_what_it_saw() -> None:
    kept = Records()
    seen = kept.put(Change("dashboard", "a", b"1", 0), 5, 50)
    assert seen is not None
    late = refused(kept, Change("dashboard", "a", b"3", 5, seen=b"another"))
    assert (late.code, late.extra["version"]) == ("record_version", 5)
    kept.put(Change("dashboard", "a", b"2", 5, seen=seen.fingerprint), 6, 60)
    assert kept.get("dashboard", "a") == Record("dashboard", "a", b"2", 6, 60, 0)


def test_names_are_of_one_kind() -> None:
    kept = Records()
    kept.put(Change("dashboard", "a", b"1", 0), 1, 0)
    kept.put(Change("ticket", "a", b"2", 0), 2, 0)
    assert (names(kept), names(kept, "ticket"), len(kept)) == (["a"], ["a"], 2)
    kept.put(Change("dashboard", "a", None, 1), 3, 0)
    assert (names(kept), names(kept, "ticket")) == ([], ["a"])


def test_what_has_a_time_goes_with_it() -> None:
    kept = Records()
    kept.put(Change("ticket", "a", b"1", 0, until=100), 1, 0)
    kept.put(Change("ticket", "b", b"1", 0, until=200), 2, 0)
    kept.put(Change("ticket", "a", b"2", 1, until=300), 3, 50)  # it has longer now
    kept.expire(99)
    assert names(kept, "ticket") == ["b", "a"]
    kept.expire(200)
    assert names(kept, "ticket") == ["a"]
    # Its time over, there is none: what is decided then doesn't depend on when that was noticed.
    kept.put(Change("ticket", "a", b"3", 0), 4, 300)
    assert kept.put(Change("ticket", "c", b"1", 0, until=300), 5, 300) is None
    assert (names(kept, "ticket"), kept.expires_at) == (["a"], None)


def test_there_is_only_so_much_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(records.CAPACITY, "dashboard", Capacity(2, 10))
    monkeypatch.setitem(records.CAPACITY, "ticket", Capacity(2, 10, gives_way=True))
    kept = Records()
    for name in "ab":
        kept.put(Change("dashboard", name, b"123", 0), 1, 0)
    full = refused(kept, Change("dashboard", "c", b"", 0))
    assert (full.code, full.extra["limit"]) == ("records", "count")
    assert "delete one first" in full.detail
    assert (
        "11 bytes together, the most is 10"
        in refused(kept, Change("dashboard", "b", b"123456", 1)).detail
    )
    assert "20 bytes" in refused(kept, Change("dashboard", "b", b"1" * 19, 1)).detail
    kept.put(Change("dashboard", "b", b"12345", 1), 2, 0)
    assert kept.weight("dashboard") == 10
    assert "characters" in refused(kept, Change("dashboard", "b" * 201, b"", 0)).detail
    # Of what gives way, the one that was changed longest ago.
    told: list[str | None] = []
    kept.watch("ticket", lambda record, name: told.append(name if record is None else None))
    for seq, name in enumerate("abac", 1):
        kept.put(Change("ticket", name, b"1"), seq, 0)
    assert (names(kept, "ticket"), told) == (["a", "c"], [None, None, None, "b", None])
    kept.put(Change("ticket", "d", b"1" * 8), 9, 0)
    assert names(kept, "ticket") == ["d"]
    # Its own place it needn't give to itself.
    kept.put(Change("ticket", "d", b"2" * 9), 10, 0)
    assert names(kept, "ticket") == ["d"]


def test_who_watches_a_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Records()
    told: list[tuple[Record | None, str | None]] = []
    kept.watch("dashboard", lambda *what: told.append(what))
    made = kept.put(Change("dashboard", "a", b"1", 0, until=10), 1, 0)
    kept.put(Change("ticket", "a", b"1", 0), 2, 0)
    with pytest.raises(Rejected):
        kept.put(Change("dashboard", "a", b"2", 0), 3, 0)
    kept.expire(10)
    kept.put(Change("dashboard", "a", None), 4, 10)  # there is none
    kept.load([])
    assert told == [(made, "a"), (None, "a"), (None, None)]


def test_what_is_loaded_goes_on_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_STALE", 3)
    first, second = Records(), Records()
    for seq in range(1, 60):
        first.put(Change("ticket", "abc"[seq % 3], b"1", None, until=100 + seq), seq, 0)
    assert len(first._expiring) <= 10, "notes that mean nothing any more don't gather"
    second.put(Change("dashboard", "z", b"1"), 1, 0)
    second.load(first.dump())
    for kept in (first, second):
        assert kept.weight("ticket") == 6
        kept.expire(158)
        assert names(kept, "ticket") == ["c"]
        kept.expire(159)
        assert (kept.dump(), kept.expires_at) == ([], None)
