"""A tick that has one row of each series takes a quick way: what it gives is the same, to the
byte."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.merge import Merge
from pushsvc.core.delivery.replay import Replay
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import View, ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Kind, Rows, Value, identify
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal.codec import decode, encode

_KINDS: tuple[Kind, ...] = ("gauge", "counter", "delta", "state")


class _Carrier:
    def wake(self) -> None:
        pass

    def end(self, ending: Ending) -> None:
        pass

    def stalled_since(self) -> float | None:
        return None

    def abort(self) -> None:
        pass


def _value(chance: random.Random, kind: Kind) -> Value:
    if chance.random() < 0.001:
        return None
    return chance.choice(("up", "down")) if kind == "state" else float(chance.randrange(9))


def _batch(chance: random.Random, now: int) -> Batch:
    rows = []
    for number in chance.sample(range(8), chance.choice((1, 3, 8))):
        kind = _KINDS[number % 4]
        several = 1 if chance.random() < 0.9 else chance.randrange(2, 4)
        late = 0 if chance.random() < 0.95 else chance.randrange(3_000)
        said = chance.random() < 0.1
        rows.append(
            Rows(
                identify(kind, {"n": str(number)}, Limits()),
                [now - late + step for step in range(several)],
                [_value(chance, kind) for _ in range(several)],
                None if kind == "gauge" and not said else kind,
                chance.choice(("s", "B")) if said else None,
                given=chance.random() < 0.5,
            )
        )
    return Batch(rows)


def _hub(chance: random.Random) -> Hub:
    numbers = count()
    return Hub(
        "e" * 8,
        limits=Limits(),
        retention=Retention(samples=chance.choice((3, 50)), seconds=20, series_ttl=10),
        pacing=Pacing(),
        make_session=lambda: str(next(numbers)),
    )


def _frames(seed: int) -> tuple[list[bytes], int]:
    """What a view is given over some thousand entries, and how often it ticked."""
    chance = random.Random(seed)
    hub = _hub(chance)
    spec = ViewSpec((parse('{n=~".+"}'),), 10.0, chance.choice(("last", "envelope", "all")), 15.0)
    hub.subscribe(spec, Start(None, None, None), _Carrier(), now=0.0, time_ms=0)
    view = hub.views[spec.key]
    given: list[bytes] = []
    now, ticks = 1_700_000_000_000, 0
    for seq in range(1, 1_000):
        now += chance.choice((50, 100, 100, 100, 4_000))
        batch = Batch([]) if chance.random() < 0.1 else _batch(chance, now)
        draft = Draft(seq.to_bytes(16, "big"), batch, partial=True)
        if chance.random() < 0.5:
            draft = decode(encode(draft))
        for _ in hub.take(Entry(seq, now, draft)):
            pass
        if chance.random() < 0.8:
            before = view.next_number
            list(hub.tick(now / 1000, now))
            frames = [view.frame(number) for number in range(before, view.next_number)]
            given += [frame.encoded("ndjson") for frame in frames if isinstance(frame, Frame)]
            ticks += 1
    return given, ticks


@pytest.mark.parametrize("seed", range(12))
def test_the_quick_way_gives_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = 0
    plain = Replay._plain

    def counted(replay: Replay, through: int, limit: int) -> Frame | None:
        nonlocal quick
        frame = plain(replay, through, limit)
        quick += frame is not None
        return frame

    monkeypatch.setattr(Replay, "_plain", counted)
    given, ticks = _frames(seed)
    monkeypatch.setattr(Replay, "_plain", lambda *_: None)
    assert given == _frames(seed)[0]
    assert 0 < quick < ticks, "the script no longer has both ways taken"


_GROUPS = (tuple(range(8)), (1, 4, 6), (7,), (5, 2))
"""The numbers of series that are published together, in this order."""


def _columns(chance: random.Random, now: int) -> Batch:
    """A batch as producers send them again and again: mostly in columns when it is decoded."""
    late = 0 if chance.random() < 0.99 else chance.randrange(3_000)
    unit = "s" if chance.random() < 0.01 else None
    none = chance.random() < 0.001
    return Batch(
        [
            Rows(
                identify(_KINDS[number % 3], {"n": str(number)}, Limits()),
                [now - late],
                [None if none else float(chance.randrange(9))],
                _KINDS[number % 3],
                unit,
            )
            for number in chance.choice(_GROUPS)
        ]
    )


def _frames_of_views(seed: int) -> dict[str, list[bytes]]:
    """What dashboards of some views are given, that come and go, over some thousand entries."""
    chance = random.Random(seed)
    hub = _hub(chance)
    merge: Merge = chance.choice(("last", "envelope", "all"))
    specs = {
        text: ViewSpec((parse(f'{{n=~"{text}"}}'),), hz, merge, 15.0)
        for text, hz in ((".+", 10.0), ("[0246]", 20.0), ("[17]", 10.0), ("5", 1.0))
    }
    subscribers: dict[str, Subscriber] = {}
    given: dict[str, list[bytes]] = {text: [] for text in specs}
    now = 1_700_000_000_000
    for seq in range(1, 1_500):
        now += 4_000 if chance.random() < 0.02 else chance.choice((50, 100, 100, 100))
        if chance.random() < 0.05:
            text = chance.choice(list(specs))
            if (subscriber := subscribers.pop(text, None)) is None:
                subscribers[text] = hub.subscribe(
                    specs[text], Start(None, None, None), _Carrier(), now=now / 1000, time_ms=now
                )
            else:
                hub.unsubscribe(subscriber, now=now / 1000)
        if chance.random() < 0.02:
            hub.close_idle(now / 1000, linger=0.0)
        batch = Batch([]) if chance.random() < 0.1 else _columns(chance, now)
        draft = decode(encode(Draft(seq.to_bytes(16, "big"), batch, partial=True)))
        for _ in hub.take(Entry(seq, now, draft)):
            pass
        if chance.random() < 0.8:
            list(hub.tick(now / 1000, now))
            for text, subscriber in subscribers.items():
                while (frame := subscriber.pull()) is not None:
                    given[text].append(frame.encoded("ndjson"))
    return given


@pytest.mark.parametrize("seed", range(12))
def test_a_batch_as_it_came_is_the_same_frame(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = 0
    is_all = View._is_all

    def counted(view: View, *args: Any) -> bool:
        nonlocal quick
        found = is_all(view, *args)
        quick += found
        return found

    monkeypatch.setattr(View, "_is_all", counted)
    given = _frames_of_views(seed)
    monkeypatch.setattr(View, "_is_all", lambda *_: False)
    assert given == _frames_of_views(seed)
    assert quick > 5, "the script no longer has batches given out as they came"
