"""Editors: they look at a record, think, and save with the version that they looked at."""

from __future__ import annotations

import itertools
import random

import msgspec
import trio

from pushsvc.core.storage.holdings import Applied
from pushsvc.core.storage.records import Capacity, Change, Record
from pushsvc.errors import Overloaded, Rejected
from pushsvc.pipeline import Outcome
from tests.flow import Service
from tests.shared_log import BEGUN_MS
from tests.simulation.process import Process
from tests.simulation.story import Broken, Story

CAPACITY = {"dashboard": Capacity(3, 60), "ticket": Capacity(2, 60, gives_way=True)}
_NAMES = ("x", "y", "z", "w")
_CATCH_UP = 5.0
_TOO_LONG = 12.0


class Saved(msgspec.Struct, frozen=True):
    """A change that was answered with success."""

    who: str
    change: Change
    seen: Record | None
    """What it was to take the place of."""
    epoch: str
    version: int


class Refused(msgspec.Struct, frozen=True):
    """A change that was said not to be applied."""

    who: str
    change: Change
    epoch: str
    code: str


class Looked(msgspec.Struct, frozen=True):
    """All records, as a process had them."""

    who: str
    epoch: str
    seq: int
    records: list[Record]


class Editor:
    def __init__(self, name: str, seed: str, processes: list[Process], story: Story) -> None:
        self.name = name
        self.saved: list[Saved] = []
        self.refused: list[Refused] = []
        self.looked: list[Looked] = []
        self._broken: Broken | None = None
        self._dice = random.Random(seed)
        self._texts = itertools.count(1)
        self._processes = processes
        self._story = story
        self._own: tuple[str, int] = "", 0
        """The epoch and version of what it saved last."""

    async def run(self, until: float) -> None:
        while trio.current_time() < until:
            await trio.sleep(self._dice.expovariate(1.0))
            await self._edit()

    def tell(self, what: str) -> None:
        self._story.tell(self.name, what)

    async def _edit(self) -> None:
        dice = self._dice
        kind = dice.choice(["dashboard", "dashboard", "ticket"])
        name = dice.choice(_NAMES)
        first = dice.choice(self._processes)
        if first.service is None:
            return
        with first.connected() as scope:
            seen = await self._look(first, first.service, kind, name)
        if scope.cancelled_caught:
            return
        await trio.sleep(dice.choice([0.0, 0.1, 1.0, 3.0]))
        text = f"{self.name} {next(self._texts)}".encode()
        value = None if dice.random() < 0.15 else text
        until = 0
        if kind == "ticket":
            until = round(BEGUN_MS + trio.current_time() * 1000) + dice.choice([-50, 700, 4000])
        for _ in range(3):
            process = dice.choice(self._processes)
            if process.service is not None and await self._save(
                process, process.service, (kind, name, value, until), seen
            ):
                return
            await trio.sleep(dice.uniform(0.1, 1.0))

    async def _look(
        self, process: Process, service: Service, kind: str, name: str
    ) -> Record | None:
        """As a request does that says which version it knows."""
        hub, (epoch, version), begun = service.hub, self._own, trio.current_time()
        await service.pipeline.catch_up(version, _CATCH_UP)
        patient = trio.current_time() - begun < _CATCH_UP - 0.01
        if patient and hub.epoch == epoch and hub.seq < version:
            raise Broken(
                self.name,
                f"saved version {version}, and was shown at {process.name} what is at {hub.cursor}",
            )
        if hub.warm:
            self.looked.append(Looked(process.name, hub.epoch, hub.seq, hub.records.dump()))
        return hub.records.get(kind, name)

    async def _save(
        self,
        process: Process,
        service: Service,
        what: tuple[str, str, bytes | None, int],
        seen: Record | None,
    ) -> bool:
        """Tells whether it is known what became of it."""
        hub, (kind, name, value, until) = service.hub, what
        careless = self._dice.random() < 0.15
        with (
            self._story.during(self.name, process.name, f"saves {kind} {name} at {process.name}"),
            process.connected() as scope,
        ):
            present = await self._look(process, service, kind, name)
            if not hub.warm:
                return False
            if value is not None and present is not None and present.value == value:
                return True  # it was applied after all
            if present != seen and not careless:
                self.tell(f"{kind} {name} has become another one, {process.name} says")
                return True
            await trio.sleep(self._dice.choice([0.0, 0.0, 0.0, 0.01, 0.3]))
            change = Change(kind, name, value, 0, until)
            if careless:
                change = Change(kind, name, value, until=until)
            elif seen is not None:
                change = Change(kind, name, value, seen.version, until, seen.fingerprint)
            return await self._submit(process, service, change, seen)
        assert scope.cancelled_caught
        self.tell(f"{kind} {name}: the connection to {process.name} broke")
        return False

    async def _submit(
        self, process: Process, service: Service, change: Change, seen: Record | None
    ) -> bool:
        hub = service.hub

        def tell(outcome: Outcome) -> None:
            if isinstance(outcome, Rejected):
                self.refused.append(Refused(self.name, change, hub.epoch, outcome.code))
            if not isinstance(outcome, Applied):
                return
            epoch, version = outcome.cursor.epoch, outcome.cursor.seq
            self.saved.append(Saved(self.name, change, seen, epoch, version))
            self._own = epoch, version
            if hub.epoch != epoch or hub.seq < version:
                self._broken = Broken(
                    self.name,
                    f"{process.name}, at {hub.cursor}, answered {what} with {outcome.cursor} "
                    "before it was read",
                )

        what = f"{change.kind} {change.name}={change.value!r} over {change.expected}"
        with trio.move_on_after(_TOO_LONG):
            try:
                version = await service.pipeline.record(change, tell)
            except Overloaded as problem:
                self.tell(f"{what} to {process.name}: 503: {problem}"[:120])
                return False
            except Rejected as problem:
                self.tell(f"{what} to {process.name}: refused: {problem}"[:120])
                return True
            if self._broken is not None:
                raise self._broken
            self.tell(f"{what} to {process.name}: saved as {version}")
            return True
        raise Broken(self.name, f"{process.name} didn't answer {what} in {_TOO_LONG:g} s")
