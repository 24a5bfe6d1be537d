"""A pipeline whose tasks run, with a journal and carriers that tests have in their hands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import trio
import trio.testing

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Rows, Value, identify
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Journal
from pushsvc.journal.memory import MemoryJournal
from pushsvc.pipeline import Pipeline, now_ms

LIMITS = Limits()


def batch(*names: str, value: Value = 1.0, samples: int = 1) -> Batch:
    return Batch(
        [Rows(identify(name, {}, LIMITS), [1] * samples, [value] * samples) for name in names]
    )


class GatedJournal(MemoryJournal):
    """Takes nothing while its gate is shut; keeps what it took."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = "e1"
        self.gate = trio.Event()
        self.gate.set()
        self.taken: list[Batch] = []
        """Of what is no sweep."""
        self.full = False

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.full:
            raise Overloaded("journal", "the journal is full", retry_after=3.0)
        self.taken += [draft.batch for draft in drafts if not draft.sweeps]
        return await super().append(drafts)

    def shut(self) -> None:
        self.gate = trio.Event()


class Recorder:
    """A carrier that notes when what was asked of it."""

    def __init__(self, stalled: float | None = None) -> None:
        self.stalled = stalled
        self.woken: list[float] = []
        self.asked: list[tuple[float, str, Ending | None]] = []

    def wake(self) -> None:
        self.woken.append(trio.current_time())

    def end(self, ending: Ending) -> None:
        self.asked.append((trio.current_time(), "end", ending))

    def stalled_since(self) -> float | None:
        return self.stalled

    def abort(self) -> None:
        self.asked.append((trio.current_time(), "abort", None))


class Service:
    """A pipeline whose three tasks run, around a journal."""

    def __init__(
        self,
        journal: Journal,
        limits: Limits,
        retention: Retention,
        pacing: Pacing,
        snapshot_interval: float = 300.0,
    ) -> None:
        sessions = count()
        self.hub = Hub(
            journal.epoch,
            limits=limits,
            retention=retention,
            pacing=pacing,
            make_session=lambda: f"session-{next(sessions)}",
        )
        self.pipeline = Pipeline(
            self.hub, journal, limits, pacing, snapshot_interval=snapshot_interval
        )

    def subscribe(
        self, carrier: Recorder, select: str = '{__name__=~".+"}', max_hz: float = 10.0
    ) -> Subscriber:
        subscriber = self.hub.subscribe(
            self.hub.grant([parse(select)], max_hz, None),
            Start(),
            carrier,
            now=trio.current_time(),
            time_ms=now_ms(),
        )
        self.pipeline.wake_ticker()
        return subscriber


@asynccontextmanager
async def running(
    journal: Journal | None = None,
    *,
    limits: Limits = LIMITS,
    retention: Retention | None = None,
    pacing: Pacing | None = None,
    snapshot_interval: float = 300.0,
) -> AsyncGenerator[Service]:
    service = Service(
        journal or MemoryJournal(),
        limits,
        retention or Retention(),
        pacing or Pacing(),
        snapshot_interval,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(service.pipeline.run_ingest)
        await nursery.start(service.pipeline.run_ticks)
        await nursery.start(service.pipeline.run_steps)
        await nursery.start(service.pipeline.run_preparing)
        await nursery.start(service.pipeline.run_sweeps)
        yield service
        nursery.cancel_scope.cancel()
