"""A world made from a seed: it goes the same way each time."""

from __future__ import annotations

import itertools
import random
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import trio
from trio.testing import MockClock

from pushsvc.core.hub import Hub
from pushsvc.core.storage import entry, records
from pushsvc.pipeline import clock, pipeline, reading, snapshots
from tests.shared_log import SharedLog
from tests.simulation import results, verdict
from tests.simulation.dashboard import Dashboard
from tests.simulation.editor import CAPACITY, Editor
from tests.simulation.process import LONGER, RETENTION, Process
from tests.simulation.producer import Producer
from tests.simulation.story import Broken, Story, speaker
from tests.simulation.watcher import Watcher, work

_BEGUN_MS = 1_700_000_000_000
_SECONDS = 12.0
_SETTLED = 90.0
"""Simulated seconds in which everything has come to rest, once nothing more goes wrong."""
_ASKED = 4
"""One world in so many has a client that watches an expression."""
_PIECE = 5
"""Samples of a piece, so that batches of some size have several."""


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.story = Story()
        self.log = SharedLog()
        self._dice = random.Random(f"{seed} world")
        self._dice_of_watchers = random.Random(f"{seed} watchers")
        self._values = itertools.count(1)
        self._time = 0
        self._skew_ms = 0
        self._calm = False
        watched = seed % _ASKED == _ASKED - 1
        retention = LONGER if watched else RETENTION
        self.processes = [
            Process(f"p{number}", self.log, self.story, retention)
            for number in range(1, self._dice.choice([2, 3, 3]) + 1)
        ]
        self.producers = [
            Producer(
                f"producer {n}", f"{seed} producer {n}", self.processes, self.story, self.fresh
            )
            for n in range(1, 3)
        ]
        self.editors = [
            Editor(f"editor {n}", f"{seed} editor {n}", self.processes, self.story)
            for n in range(1, 3)
        ]
        self.dashboards = [
            Dashboard(f"dashboard {n}", f"{seed} dashboard {n}", self.processes, self.story)
            for n in range(1, 4)
        ]

        watchers = self._dice_of_watchers.randint(1, 2) if watched else 0
        self.watchers = [
            Watcher(f"watcher {n}", f"{seed} watcher {n}", self.processes, self.story)
            for n in range(1, watchers + 1)
        ]

        for process in self.processes:
            self.story.add_process(process.name)
        clients: list[Producer | Editor | Dashboard] = [
            *self.producers,
            *self.editors,
            *self.dashboards,
            *self.watchers,
        ]
        for client in clients:
            self.story.add_client(client.name)

    def now_ms(self) -> int:
        """The wall clock, which people set."""
        return _BEGUN_MS + round(trio.current_time() * 1000) + self._skew_ms

    def fresh(self) -> tuple[int, float]:
        """A time and a value that no other sample has."""
        self._time = max(self._time + 1, self.now_ms())
        return self._time, float(next(self._values))

    def tell(self, who: str, what: str) -> None:
        self.story.tell(who, what, fault=True)

    async def run(self) -> None:
        """Raises Broken, by itself or in groups."""
        self._end_epoch = self.story.begin("log", "epoch", self.log.epoch)
        async with trio.open_nursery() as nursery:
            for process in self.processes:
                nursery.start_soon(process.live)
            async with trio.open_nursery() as producing:
                for producer in self.producers:
                    producing.start_soon(producer.run, _SECONDS)
                for editor in self.editors:
                    producing.start_soon(editor.run, _SECONDS)
                for dashboard in (*self.dashboards, *self.watchers):
                    nursery.start_soon(dashboard.run)
                async with trio.open_nursery() as faults:
                    await self._go_wrong(faults, nursery)
                self._heal()
            await self._settle()
            hubs = {one.name: one.service.hub for one in self.processes if one.service}
            self._hubs: dict[str, Hub] = hubs
            nursery.cancel_scope.cancel()

    def check(self) -> None:
        """Raise Broken if a rule was broken that can be told only in the end."""
        answered = [one for producer in self.producers for one in producer.answered]
        retention = self.processes[0].retention
        verdict.check(self.log, self._hubs, self.dashboards, answered, self.editors, retention)
        results.check(self.log, self.watchers)

    async def _go_wrong(self, faults: trio.Nursery, nursery: trio.Nursery) -> None:
        kinds: list[tuple[int, Callable[[trio.Nursery, trio.Nursery], None]]] = [
            (4, self._cut),
            (3, self._slow),
            (4, self._kill),
            (2, self._drain),
            (2, self._fail_over),
            (2, self._away),
            (2, self._set_clock),
            (3, self._trim),
        ]
        weights = [weight for weight, _ in kinds]
        await trio.sleep(self._dice.uniform(0.5, 2.0))
        while trio.current_time() < _SECONDS:
            self._dice.choices([kind for _, kind in kinds], weights)[0](faults, nursery)
            await trio.sleep(self._dice.expovariate(0.7))

    def _after(self, nursery: trio.Nursery, seconds: float, what: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            what()

        nursery.start_soon(wait)

    def _cut(self, faults: trio.Nursery, _: trio.Nursery) -> None:
        process = self._dice.choice(self.processes)
        journal, seconds = process.journal, self._dice.choice([0.3, 2.0, 9.0])
        if journal is None or journal.cut:
            return
        self.tell(process.name, f"can't reach the log for {seconds:g} s")
        end = self.story.begin(process.name, "cut", "can't reach the log")
        journal.cut = True
        self.log.tell()

        def mend() -> None:
            end()
            journal.cut = False
            self.log.tell()

        self._after(faults, seconds, mend)

    def _slow(self, faults: trio.Nursery, _: trio.Nursery) -> None:
        process = self._dice.choice(self.processes)
        journal, delay = process.journal, self._dice.choice([0.01, 0.1, 0.7])
        if journal is None:
            return
        self.tell(process.name, f"is {delay:g} s away from the log")
        end = self.story.begin(process.name, "slow", f"{delay:g} s away from the log")
        journal.delay = delay

        def mend() -> None:
            end()
            journal.delay = 0.0

        self._after(faults, self._dice.uniform(0.5, 5.0), mend)

    def _begin(self, process: Process, nursery: trio.Nursery) -> None:
        process.older = self._dice.choice([0, 0, 1, 9])
        self.tell(process.name, f"is started, with snapshot {process.older} of those there are")
        nursery.start_soon(process.live)

    def _kill(self, faults: trio.Nursery, nursery: trio.Nursery) -> None:
        process = self._dice.choice(self.processes)
        if process.service is None:
            return
        self.tell(process.name, f"is killed, at {process.service.hub.cursor}")
        process.kill()
        seconds = self._dice.choice([0.1, 1.0, 4.0])
        self._after(faults, seconds, lambda: self._begin(process, nursery))

    def _drain(self, faults: trio.Nursery, nursery: trio.Nursery) -> None:
        process = self._dice.choice(self.processes)
        if process.service is None:
            return
        self.tell(process.name, f"is drained, at {process.service.hub.cursor}")

        async def drain() -> None:
            service = process.service
            await process.drain()
            if service is not None:
                await trio.sleep(0.5)
                self._begin(process, nursery)

        faults.start_soon(drain)

    def _fail_over(self, *_: trio.Nursery) -> None:
        lost = min(self._dice.choice([0, 1, 2, 5]), len(self.log.entries))
        self.log.lose(lost)
        self.tell("log", f"loses {lost} entries, and is {self.log.epoch}.{self.log.seq}")
        self._end_epoch()
        self._end_epoch = self.story.begin("log", "epoch", self.log.epoch)

    def _away(self, faults: trio.Nursery, _: trio.Nursery) -> None:
        if self.log.away:
            return
        seconds = self._dice.choice([0.5, 3.0, 8.0])
        self.tell("log", f"can't be reached by anybody for {seconds:g} s")
        end = self.story.begin("log", "away", "can't be reached")
        self.log.away = True
        self.log.tell()

        def mend() -> None:
            end()
            self.log.away = False
            self.log.tell()

        self._after(faults, seconds, mend)

    def _set_clock(self, *_: trio.Nursery) -> None:
        seconds = self._dice.choice([-20, -1, 1, 6, 20])
        if self._dice.random() < 0.5:
            self._skew_ms += seconds * 1000
            self.tell("log", f"the wall clock of all processes is set by {seconds:+d} s")
        else:
            self.log.skew_ms += seconds * 1000
            self.tell("log", f"its clock is set by {seconds:+d} s")

    def _trim(self, *_: trio.Nursery) -> None:
        if self.log.snapshots and self.log.snapshots[-1].seq > self.log.horizon:
            self.log.drop()
            self.tell("log", f"drops what came up to {self.log.horizon}")

    def _heal(self) -> None:
        self.tell("log", "nothing more goes wrong")
        for dashboard in (*self.dashboards, *self.watchers):
            dashboard.calm = True

    async def _settle(self) -> None:
        mark = self.log.seq
        self.tell("log", f"has all that was sent, up to {self.log.epoch}.{mark}")
        with trio.move_on_after(_SETTLED):
            while (waiting := self._waiting(mark)) is not None:
                await trio.sleep(0.25)
            return
        assert waiting is not None
        raise Broken(waiting, f"is still not at {self.log.epoch}.{mark} after {_SETTLED:g} s")

    def _waiting(self, mark: int) -> str | None:
        """A client that hasn't been given everything up to a batch yet."""
        for process in self.processes:
            hub = None if process.service is None else process.service.hub
            if hub is None or (hub.epoch, hub.seq) != (self.log.epoch, self.log.seq):
                return process.name
        for dashboard in (*self.dashboards, *self.watchers):
            cursor = dashboard.cursor
            if cursor is None or cursor.epoch != self.log.epoch or cursor.seq < mark:
                return dashboard.name
            if cursor.debt is not None:
                return dashboard.name
        return None


class _Silent:
    """Takes what pipelines log into the story."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def info(self, event: str, **said: Any) -> None:
        self._story.tell(
            speaker.get(), " ".join([event, *(f"{key}={value}" for key, value in said.items())])
        )

    warning = error = info


@contextmanager
def _set(owner: Any, **values: Any) -> Generator[None]:
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def simulate(seed: int, mutation: Callable[[], Any] | None = None) -> tuple[World, Broken | None]:
    """Run the world of a seed, with a rule broken by a `mutation` (a context manager) if one is
    given; returns it, and what broke."""
    world = World(seed)
    scheduling = {"_r": random.Random(seed), "_ALLOW_DETERMINISTIC_SCHEDULING": True}
    try:
        with (
            _set(trio._core._run, **scheduling),
            _set(entry, PIECE=_PIECE),
            _set(records, CAPACITY=CAPACITY),
        ):
            with (
                _set(clock, now_ms=world.now_ms),
                _set(trio.to_thread, run_sync=work),
                _set(trio.from_thread, check_cancelled=lambda: None),
                _set(pipeline, _log=_Silent(world.story), random=random.Random(f"{seed} spread")),
                _set(reading, _log=_Silent(world.story)),
                _set(snapshots, _log=_Silent(world.story)),
                nullcontext() if mutation is None else mutation(),
            ):
                trio.run(world.run, clock=MockClock(autojump_threshold=0))
            world.check()
    except Exception as error:  # noqa: BLE001 - it is the verdict
        return world, _broken(error)
    return world, None


def _broken(error: BaseException) -> Broken:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Broken):
        return error
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Broken("the service", f"{error!r} in {where.name}, {where.filename}:{where.lineno}")


def told(world: World, broken: Broken, mutation: str | None = None) -> str:
    """The story of it, as text."""
    return (
        f"seed {world.seed} broke a rule. Again: {again(world, mutation)}\n\n"
        f"{world.story.text(broken.who)}\n\n{broken}"
    )


def again(world: World, mutation: str | None = None) -> str:
    """The command that runs it again."""
    broken = f" --mutation {mutation}" if mutation else ""
    return f"python -m tests.simulation --first {world.seed} --seeds 1{broken}"
