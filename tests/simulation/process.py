"""A process: a hub and its pipeline on the shared log, which can be cut off, killed and drained."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.wire import Close
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from tests.flow import Service, running
from tests.shared_log import SharedJournal, SharedLog
from tests.simulation.story import Story, speaker

LIMITS = Limits(series=5)
RETENTION = Retention(samples=9, seconds=25.0, series_ttl=9.0)
LONGER = Retention(samples=500, seconds=600.0, series_ttl=600.0)
"""Where somebody asks for expressions, which are whole where what they read is held."""
PACING = Pacing(
    ring_frames=2, replay_points=12, heartbeat=2.0, min_heartbeat=2.0, stall_timeout=4.0
)
_SNAPSHOTS = 4.0


class Process:
    """One at a time lives under a name; what is connected to it goes with it."""

    def __init__(
        self, name: str, log: SharedLog, story: Story, retention: Retention = RETENTION
    ) -> None:
        self.name = name
        self.retention = retention
        self.log = log
        self._story = story
        self._ready: Callable[[], None] = lambda: None
        self.service: Service | None = None
        """While clients can reach it."""
        self.older = 0
        self.journal: SharedJournal | None = None
        self._life = trio.CancelScope()
        self._connected: dict[trio.CancelScope, None] = {}

    async def live(self) -> None:
        """Until it is killed."""
        speaker.set(self.name)
        self.journal = SharedJournal(self.log)
        self.journal.older = self.older
        with trio.CancelScope() as self._life:
            async with running(
                self.journal,
                limits=LIMITS,
                retention=self.retention,
                pacing=PACING,
                snapshot_interval=_SNAPSHOTS,
            ) as self.service:
                self._ready()
                await trio.sleep_forever()
        self.service = None

    def kill(self) -> None:
        self._ready()
        self._ready = self._story.begin(self.name, "down", "isn't there")
        self.service = None
        self._life.cancel()
        for scope in self._connected:
            scope.cancel()

    async def drain(self) -> None:
        assert self.service is not None
        self.service.pipeline.close()
        for subscriber in list(self.service.hub.subscribers.values()):
            subscriber.carrier.end(Ending("drain", Close.RESTARTING, retry_ms=500, flush=True))
        with self._story.during(self.name, "draining", "is drained"):
            await trio.sleep(1.0)
        self.kill()

    @contextmanager
    def connected(self) -> Generator[trio.CancelScope]:
        """What is done here ends where the process does."""
        with trio.CancelScope() as scope:
            self._connected[scope] = None
            try:
                yield scope
            finally:
                del self._connected[scope]
