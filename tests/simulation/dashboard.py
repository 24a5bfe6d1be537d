"""Dashboards: streams and long polls that come back with their cursor, to whichever process."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Value
from pushsvc.core.query.selector import parse
from pushsvc.errors import Malformed, Overloaded
from pushsvc.transport.longpoll import _FRAMES
from tests.flow import Service
from tests.simulation.process import LIMITS, Process
from tests.simulation.producer import NAMES
from tests.simulation.story import Broken, Story

_CATCH_UP = 5.0
_WAIT = 3.0

Row = tuple[str, Value]
"""`("sample", value)` or `("end", time)`."""


class Stretch:
    """What was given of the series of one name since it was asked for."""

    def __init__(self, through: int) -> None:
        self.through = through
        """The batch after which everything must be given; of those before, the newest sample may
        be."""
        self.rows: dict[int, list[tuple[Row, int]]] = {}
        """By ref: a row, and for how many it stands."""


class Segment:
    """What was given of one epoch."""

    def __init__(self, epoch: str, *, foreign: bool, merge: str) -> None:
        self.epoch = epoch
        self.foreign = foreign
        """Whether its cursor was of another epoch when it came."""
        self.merge = merge
        self.cursor: Cursor | None = None
        self.names: dict[int, str] = {}
        self.stretches: dict[str, Stretch] = {}
        self.dropped: list[tuple[str, Stretch]] = []
        """Those that it doesn't watch any more."""
        self.gaps: dict[str, int | None] = {}
        self.gone: set[int] = set()
        self.changed = False
        """Whether it changed what it watches."""


class Carrier:
    """Says when there may be something to pull, and when it is over."""

    def __init__(self) -> None:
        self.news = trio.Event()
        self.ending: Ending | None = None
        self.stalled: float | None = None

    def wake(self) -> None:
        self.news.set()

    def end(self, ending: Ending) -> None:
        self.ending = self.ending or ending
        self.news.set()

    def stalled_since(self) -> float | None:
        return self.stalled

    def abort(self) -> None:
        self.news.set()


class Dashboard:
    def __init__(self, name: str, seed: str, processes: list[Process], story: Story) -> None:
        self.name = name
        self.segments: list[Segment] = []
        self.cursor: Cursor | None = None
        self.calm = False
        """Whether it does nothing by itself any more."""
        self._dice = random.Random(seed)
        self._processes = processes
        self._story = story
        self._names = self._choose()
        self._hz = self._dice.choice([20.0, 5.0, 1.0])
        self._merge = self._dice.choice(["all", "all", "last", "envelope"])
        self._described: set[int] = set()

    def _choose(self) -> list[str]:
        return sorted(self._dice.sample(NAMES, self._dice.randint(1, len(NAMES))))

    def tell(self, what: str) -> None:
        self._story.tell(self.name, what)

    def _spec(self, hub: Hub) -> ViewSpec:
        return hub.grant([parse(name, LIMITS) for name in self._names], self._hz, self._merge)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            process = self._dice.choice(self._processes)
            if process.service is None:
                await trio.sleep(0.3)
                continue
            polls = self._dice.random() < 0.4
            with process.connected() as scope:
                await self._connect(process.name, process.service, polls=polls)
            if scope.cancelled_caught:
                self.tell(f"cut off from {process.name}, at {self.cursor}")
            await trio.sleep(self._dice.uniform(0.0, 0.5))

    async def _connect(self, process: str, service: Service, *, polls: bool) -> None:
        hub, carrier = service.hub, Carrier()
        with trio.move_on_after(_CATCH_UP):
            while self.cursor is not None and hub.is_ahead(self.cursor):
                await service.pipeline.moved()
        since = self.cursor
        await self._prepare(service, since)
        try:
            subscriber = hub.subscribe(
                self._spec(hub),
                Start(since),
                carrier,
                now=trio.current_time(),
                time_ms=round(trio.current_time() * 1000),
                describe="used" if polls else "all",
                greet=not polls,
            )
        except (Overloaded, Malformed) as problem:
            self.tell(f"refused by {process}: {problem}")
            await trio.sleep(0.5)
            return
        service.pipeline.wake_ticker()
        kind = "a poll" if polls else "a stream"
        self.tell(
            f"{kind} of {','.join(self._names)} at {process} from {since}; is at {hub.cursor}"
        )
        self._described = set()
        if self.segments and self.segments[-1].cursor is None:
            self.segments.pop()  # cut off before it was given anything
        if since is None or since.epoch != hub.epoch:
            segment = Segment(hub.epoch, foreign=since is not None, merge=self._merge)
            through = subscriber.view.seq
            segment.stretches = {name: Stretch(through) for name in self._names}
            self.segments.append(segment)
        self._attached(hub, since)
        try:
            with self._story.during(self.name, process, f"{kind} at {process}"):
                if polls:
                    await self._poll(hub, subscriber, carrier)
                else:
                    await self._stream(service, subscriber, carrier)
        finally:
            hub.unsubscribe(subscriber, now=trio.current_time())
        if carrier.ending is not None:
            self.tell(f"told to go by {process}: {carrier.ending.reason}, at {self.cursor}")

    async def _prepare(self, service: Service, since: Cursor | None) -> None:
        """Do what has to be done before it is let in."""

    def _attached(self, hub: Hub, since: Cursor | None) -> None:
        """It was let in."""

    def _answered(self, failing: Frame | None) -> None:
        """A poll was answered, which says what fails."""

    async def _poll(self, hub: Hub, subscriber: Subscriber, carrier: Carrier) -> None:
        frames: list[Frame] = []
        with trio.move_on_after(_WAIT):
            while carrier.ending is None:
                frame = subscriber.pull()
                if frame is not None:
                    frames.append(frame)
                    break
                carrier.news = trio.Event()
                await carrier.news.wait()
        while frames and carrier.ending is None and len(frames) < _FRAMES:
            frame = subscriber.pull()
            if frame is None:
                break
            frames.append(frame)
        ended = carrier.ending is not None
        at, failing = subscriber.id, hub.word_of_failing(subscriber.view, subscriber.id)
        await trio.sleep(self._dice.choice([0.0, 0.0, 0.05]))  # may be cut: then nothing came
        for one in frames:
            self._given(hub, one, at)
        if not (ended and not frames):
            self._move(at)
            if not ended:
                self._answered(failing)

    async def _stream(self, service: Service, subscriber: Subscriber, carrier: Carrier) -> None:
        dice, hub = self._dice, service.hub
        until = trio.current_time() + dice.expovariate(0.25)
        while self.calm or trio.current_time() < until:
            carrier.news = trio.Event()
            ending = carrier.ending
            if ending is not None and not ending.flush:
                return
            taken = 0
            while (frame := subscriber.pull()) is not None:
                self._given(hub, frame)
                taken += 1
                if taken % 3 == 0 and not self.calm:
                    await trio.sleep(dice.choice([0.0, 0.02]))
                    if carrier.ending is not None and not carrier.ending.flush:
                        return
            if ending is not None:
                return
            luck = 1.0 if self.calm else dice.random()
            if luck < 0.02:
                await self._stall(carrier)
            elif luck < 0.08:
                self._watch(service, subscriber)
            else:
                with trio.move_on_after(1.0):
                    await carrier.news.wait()

    async def _stall(self, carrier: Carrier) -> None:
        carrier.stalled = trio.current_time()
        seconds = self._dice.choice([0.5, 2.0, 8.0])
        self.tell(f"takes no bytes for {seconds:g} s")
        with self._story.during(self.name, "stalled", "takes no bytes"):
            await trio.sleep(seconds)
        carrier.stalled = None

    def _watch(self, service: Service, subscriber: Subscriber) -> None:
        hub, segment = service.hub, self.segments[-1]
        while subscriber._pending:
            frame = subscriber.pull()
            assert frame is not None
            self._given(hub, frame)
        if self.cursor is None or self.cursor.epoch != hub.epoch:
            return
        before, names = self._names, self._choose()
        self.tell(f"watches {','.join(names)} from now on, at {self.cursor}")
        seq = subscriber.position()[0]
        self._names = names
        spec = self._spec(hub)
        hub.watch(
            subscriber.session,
            spec,
            None,
            now=trio.current_time(),
            time_ms=round(trio.current_time() * 1000),
        )
        service.pipeline.wake_ticker()
        segment.changed = True
        for name in before:
            if name not in names:
                segment.dropped.append((name, segment.stretches.pop(name)))
        for name in names:
            if name not in before:
                segment.stretches[name] = Stretch(max(seq, subscriber.view.seq))
        frame = subscriber.pull()  # the hello, which may bring a cursor
        assert frame is not None
        self._given(hub, frame)

    def _move(self, cursor: Cursor) -> None:
        segment, before = self.segments[-1], self.cursor
        if cursor.epoch != segment.epoch:
            raise Broken(self.name, f"came in epoch {segment.epoch}, was given {cursor}")
        if before is not None and before.epoch == cursor.epoch:
            back = cursor.seq < before.seq
            if before.debt is not None and before.debt == cursor.debt:
                back = back or cursor.place < before.place
            if back:
                raise Broken(self.name, f"the cursor went back from {before} to {cursor}")
        self.cursor = segment.cursor = cursor

    def _given(self, hub: Hub, frame: Frame, at: Cursor | None = None) -> None:
        document: dict[str, Any] = msgspec.json.decode(frame.json)
        kind, segment = document["type"], self.segments[-1]
        if kind == "gap":
            self.tell(f"gap {document['lost']} after {document['id']}")
            if document["lost"] is None:
                self._check_unknown(hub)
            if segment.gaps.get(document["id"], 0) is not None:
                segment.gaps[document["id"]] = document["lost"]
        elif kind == "gone":
            segment.gone |= set(document["refs"])
            self.tell(f"gone {document['refs']} at {document['id']}")
        elif kind == "points":
            self._points(segment, document)
        if frame.cursor is not None and (at is None or frame.cursor.seq <= at.seq):
            self._move(frame.cursor)

    def _points(self, segment: Segment, document: dict[str, Any]) -> None:
        for series in document.get("series", ()):
            name, ref = series["name"], series["ref"]
            if segment.names.setdefault(ref, name) != name:
                raise Broken(self.name, f"ref {ref} is {name}, and was {segment.names[ref]}")
            self._described.add(ref)
        rows: list[tuple[int, Row, int]] = []
        for ref, _, *values in document["points"]:
            rows.append((ref, ("sample", values[0]), values[3] if len(values) == 4 else 1))
        rows += [(ref, ("end", time), 1) for ref, time in document.get("ended", ())]
        for ref, row, count in rows:
            if ref not in self._described:
                raise Broken(self.name, f"{row} of ref {ref}, which was not described")
            stretch = segment.stretches.get(segment.names[ref])
            if stretch is not None:
                stretch.rows.setdefault(ref, []).append((row, count))
        given = " ".join(f"{segment.names[ref]}={row[1]}" for ref, row, _ in rows)
        self.tell(f"given {given} up to {document['id']}")

    def _check_unknown(self, hub: Hub) -> None:
        """How much is missing is unknown only where the process can't know."""
        cursor = self.cursor
        if cursor is None or cursor.debt is not None:
            return
        if not cursor.epoch == self.segments[-1].epoch == hub.epoch:
            return  # of another log, or the hub has begun with another one meanwhile
        behind = cursor.seq < hub.horizon or cursor.seq < hub.forgotten
        pasts = [*hub.catalog, *(series for _, series in hub.departed)]
        if not behind and all(one.history.rank(cursor.seq) is not None for one in pasts):
            raise Broken(self.name, f"lost: null at {cursor}, which could be counted")
