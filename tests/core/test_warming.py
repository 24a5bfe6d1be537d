"""A log that is read at a start comes to the same as one that was taken in entry by entry."""

from __future__ import annotations

import random
from array import array
from typing import Any

import msgspec
import pytest

from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Columns, Kind, Rows, identify
from pushsvc.core.resources.limits import Limits, Retention
from pushsvc.core.storage import columns as columns_module
from pushsvc.core.storage import entry as entry_module
from pushsvc.core.storage import gathering, sweeping
from pushsvc.core.storage.entry import Draft, Entry
from tests.core.test_log import BEGUN, finish, make_hub, placed, take, whole

LIMITS = Limits(series=12)
RETENTION = Retention(samples=40, total_samples=300, seconds=20.0, series_ttl=30.0)
ODD = ["s0", "s1", "s5", "s8", "a", "b", "c", "d"]
SWEEP = Draft(b"n", Batch([]))
NAMES = [[f"s{n}" for n in range(low, high)] for low, high in ((0, 5), (5, 7), (7, 9), (3, 8))]
KINDS: list[Kind | None] = [None, "gauge"]
BLOCKS = [tuple(identify(name, {}, LIMITS) for name in names) for names in NAMES]


def retain(dice: random.Random) -> Retention:
    """From all of a log to what nearly every sweep takes something of."""
    seconds, ttl = dice.choice([3.0, 20.0, 100.0]), dice.choice([5.0, 30.0, 100.0])
    return msgspec.structs.replace(RETENTION, seconds=seconds, series_ttl=ttl)


def write_log(dice: random.Random) -> list[tuple[Draft, int]]:
    """Mostly what is usual: the same columns, later each time, and a sweep now and then."""
    log: list[tuple[Draft, int]] = []
    usual = dice.sample(BLOCKS, dice.randint(1, len(BLOCKS)))
    kind = dice.choice(KINDS)
    odd = dice.choice([0.0, 0.0, 0.02, 0.1])
    late = dice.choice([0.0, 0.0, 0.05])
    for step in range(dice.randint(1, 150)):
        passed = dice.choice([0, 0, 400, 1_000, 1_000])
        if dice.random() < odd:
            log.append((odd_one(dice, step), passed))
        elif dice.random() < 0.4:
            log.append((SWEEP, 1_000))
        else:
            block = dice.choice(usual)
            apart = dice.choice([0, 0, 1, -400]) if dice.random() >= late else -1_500
            times = [step * 1_000 + 10_000 + apart * (n % 2) for n, _ in enumerate(block)]
            values = [float((n + step) % 3) for n, _ in enumerate(block)]
            kinds = (kind,) * len(block)
            columns = Columns(block, array("q", times), array("d", values), kinds, step % 7 > 0)
            log.append((Draft(b"n", Batch(None, columns)), passed))
    return log


def odd_one(dice: random.Random, step: int) -> Draft:
    """Several rows of a series, endings, late ones, new series, other kinds, corrections."""
    batch = []
    for name in dice.sample(ODD, dice.randint(1, 3)):
        times = [dice.choice([step, step, 5, 7]) * 1_000 + n for n in range(dice.randint(1, 3))]
        values = [dice.choice([1.0, 2.0, None]) for _ in times]
        kind: Kind | None = dice.choice([None, "gauge", "counter"])
        unit = dice.choice([None, None, "s"])
        identity = identify(name, {}, LIMITS)
        batch.append(Rows(identity, times, list(values), kind, unit, given=dice.random() < 0.7))
    return Draft(b"n", Batch(batch), partial=dice.random() < 0.5)


def everything(hub: Hub) -> dict[str, Any]:
    held = whole(hub)
    held["counts"] = dict(hub.counts)
    held["sweeping"] = hub._sweeping.dump()
    held["departed"] = [(seq, one.identity.text) for seq, one in hub.departed]
    held["snapshot"] = finish(hub.snapshot())
    for series in hub.catalog:
        history = series.history
        held[f"{series.identity.text} as it is kept"] = (
            (history.limit, history.total, history.first, history.newest_time),
            [history.rank(seq) for seq in range(hub.seq + 1)],
        )
    return held


@pytest.mark.parametrize("seed", range(120))
def test_who_reads_it_at_once_holds_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(sweeping, "_SWEEP", dice.choice([2, 5, 100]))
    monkeypatch.setattr(gathering, "_MOST", dice.choice([7, 50, 1_000]))
    piece = dice.choice([3, 100])
    for module in (entry_module, columns_module, gathering):
        monkeypatch.setattr(module, "PIECE", piece)
    log = write_log(dice)
    retention = retain(dice)
    slow, fast = make_hub(LIMITS, retention), make_hub(LIMITS, retention)
    fast.begin_warming()
    warm_at = dice.randint(0, len(log))
    for place, entry in enumerate(placed(log)):
        if place == warm_at:
            fast.finish_warming()
            assert everything(fast) == everything(slow)
        assert take(fast, entry) == take(slow, entry)
        assert fast.behind == slow.behind
    fast.finish_warming()
    assert everything(fast) == everything(slow)


@pytest.mark.parametrize("seed", range(40))
def test_who_reads_it_from_a_snapshot_at_once_holds_the_same(seed: int) -> None:
    dice = random.Random(seed)
    entries = list(placed(write_log(dice)))
    at = dice.randint(0, len(entries))
    retention = retain(dice)
    first = make_hub(LIMITS, retention)
    for entry in entries[:at]:
        take(first, entry)
    body = finish(first.snapshot())
    slow, fast = make_hub(LIMITS, retention), make_hub(LIMITS, retention)
    fast.begin_warming()
    for hub in (slow, fast):
        hub.restore(body)
        for entry in entries[at:]:
            take(hub, entry)
    fast.finish_warming()
    assert everything(fast) == everything(slow)


def columns(time: int, series: int = 6) -> Draft:
    block = tuple(identify(f"s{n}", {}, LIMITS) for n in range(series))
    BLOCK.setdefault(series, block)
    return Draft(
        b"n",
        Batch(
            None,
            Columns(
                BLOCK[series],
                array("q", [time] * series),
                array("d", range(series)),
                (None,) * series,
                True,
            ),
        ),
    )


BLOCK: dict[int, Any] = {}


def test_a_large_batch_is_gathered_in_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (entry_module, columns_module, gathering):
        monkeypatch.setattr(module, "PIECE", 4)
    log = [(columns(n), 1_000) for n in range(30)]
    assert log[0][0].width == 2
    slow, fast = make_hub(LIMITS, RETENTION), make_hub(LIMITS, RETENTION)
    fast.begin_warming()
    for entry in placed(log):
        assert take(fast, entry) == take(slow, entry)
    fast.finish_warming()
    assert everything(fast) == everything(slow)


def test_what_is_usual_is_gathered() -> None:
    hub = make_hub(LIMITS, RETENTION)
    hub.begin_warming()
    log = [(columns(n), 100) for n in range(20)]
    for place in (5, 12, 15, 18):
        log.insert(place, (SWEEP, 0))
    for entry in placed(log):
        take(hub, entry)
    (series, *_) = hub.catalog
    assert len(series.history) < 20, "it lags behind"
    hub.finish_warming()
    assert len(series.history) == 20


def test_what_has_grown_old_meanwhile_is_gathered_too() -> None:
    hub = make_hub(LIMITS, RETENTION)
    hub.begin_warming()
    log = [each for n in range(100) for each in ((columns(n), 1_000), (SWEEP, 0))]
    for entry in placed(log):
        take(hub, entry)
    (series, *_) = hub.catalog
    assert series.history.total < 40, "it lags behind, however much each sweep finds"
    hub.finish_warming()
    assert (series.history.total, len(series.history)) == (100, 21)


def test_an_entry_of_other_series_leaves_what_is_gathered_alone() -> None:
    hub = make_hub(LIMITS, RETENTION)
    hub.begin_warming()
    other = Rows(identify("other", {}, LIMITS), [5], [1.0], "counter", "s", given=True)
    for entry in placed([(columns(n), 100) for n in range(9)]):
        take(hub, entry)
    (series, *_) = hub.catalog
    held, end = len(series.history), hub.seq
    take(hub, Entry(end + 1, BEGUN + 2_000, Draft(b"n", Batch([other]))))
    assert len(series.history) == held
    late = Rows(BLOCK[6][0], [5], [9.0], given=True)
    take(hub, Entry(end + 2, BEGUN + 3_000, Draft(b"n", Batch([late]))))
    assert len(series.history) == 10
