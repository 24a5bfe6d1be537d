"""Producers: they repeat what wasn't answered, with a key or without."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import msgspec
import trio

from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Batch, Rows, Value, identify
from pushsvc.core.storage.holdings import Applied, Refused
from pushsvc.errors import Overloaded, Rejected
from pushsvc.pipeline import Outcome
from tests.simulation.process import LIMITS, Process
from tests.simulation.story import Broken, Story

NAMES = ("a", "b", "c", "d", "e", "f")
_TOO_LONG = 12.0
"""Seconds after which one who still has no answer waits for ever, as far as anyone can tell."""


class Answered(msgspec.Struct, frozen=True):
    """A batch that was answered with success."""

    who: str
    values: tuple[float, ...]
    cursor: Cursor
    keyed: bool


class Producer:
    def __init__(
        self,
        name: str,
        seed: str,
        processes: list[Process],
        story: Story,
        fresh: Callable[[], tuple[int, float]],
    ) -> None:
        self.name = name
        self.answered: list[Answered] = []
        self.broken: Broken | None = None
        self._dice = random.Random(seed)
        self._keys = itertools.count(1)
        self._processes = processes
        self._story = story
        self._fresh = fresh

    async def run(self, until: float) -> None:
        while trio.current_time() < until:
            await trio.sleep(self._dice.expovariate(1.5))
            await self._publish()

    async def _publish(self) -> None:
        dice = self._dice
        names = sorted(dice.sample(NAMES, dice.choice([1, 1, 2, 3])))
        columns: list[tuple[str, list[int], list[Value], bool]] = []
        for name in names:
            fresh = [self._fresh() for _ in range(dice.choice([1, 1, 2, 4, 8]))]
            values: list[Value] = [value for _, value in fresh]
            given = dice.random() < 0.5
            times = [time if given else fresh[-1][0] for time, _ in fresh]
            columns.append((name, times, values, given))
        if dice.random() < 0.1:
            columns[-1][2][-1] = None  # an ending
        if dice.random() < 0.1:
            name, times, values, given = columns[0]
            columns[0] = name, times, ["text"] * len(values), given
        numbers = tuple(
            value for _, _, values, _ in columns for value in values if isinstance(value, float)
        )
        once = b""
        if dice.random() < 0.6:
            once = f"{self.name}-{next(self._keys)}".encode().ljust(32, b".")
        partial = dice.random() < 0.4

        def batch() -> Batch:
            return Batch(
                [
                    Rows(identify(name, {}, LIMITS), list(times), list(values), given=given)
                    for name, times, values, given in columns
                ]
            )

        for _ in range(60):
            process = dice.choice(self._processes)
            if process.service is None:
                await trio.sleep(0.3)
                continue
            applied = await self._send(process, batch, once, partial, numbers)
            if applied is not None:
                whole = sum(len(times) for _, times, _, _ in columns)
                if numbers and isinstance(applied, Applied) and applied.samples == whole:
                    self.answered.append(Answered(self.name, numbers, applied.cursor, bool(once)))
                return
            await trio.sleep(dice.uniform(0.1, 1.0))
        raise Broken(self.name, "nobody took a batch, sixty times")

    async def _send(
        self,
        process: Process,
        batch: Callable[[], Batch],
        once: bytes,
        partial: bool,
        numbers: tuple[float, ...],
    ) -> Applied | Rejected | None:
        """What became of it; None where it is to be sent again."""
        service = process.service
        assert service is not None
        hub, begun = service.hub, trio.current_time()
        what = f"{numbers[:3]}{'...' if numbers[3:] else ''}{' with a key' if once else ''}"
        refused: list[Refused] | None = [] if partial else None

        def tell(outcome: Outcome) -> None:
            if not isinstance(outcome, Applied):
                return
            if hub.epoch != outcome.cursor.epoch:
                self.broken = Broken(
                    self.name,
                    f"{process.name}, at {hub.cursor}, said that {what} is applied at "
                    f"{outcome.cursor}, in a log that it knew to be lost",
                )
            elif outcome.cursor.seq > hub.seq:
                self.broken = Broken(
                    self.name,
                    f"{process.name}, at {hub.cursor}, answered {what} with "
                    f"{outcome.cursor} before it was read",
                )

        sent = batch()
        answer: Applied | Rejected | None = None
        with (
            self._story.during(self.name, process.name, f"{what} to {process.name}"),
            process.connected() as scope,
        ):
            with trio.move_on_after(_TOO_LONG) as patience:
                try:
                    answer = await service.pipeline.submit(
                        sent, once=once, refused=refused, tell=tell
                    )
                    said = f"applied at {answer.cursor}"
                except Overloaded as problem:
                    said = f"503: {problem}"[:60]
                    log = process.log
                    if "lost this" in said and any(
                        entry.draft.batch is sent for entry in log.past[log.epoch]
                    ):
                        raise Broken(
                            self.name, f"{process.name} said that {what} was lost, and it is there"
                        ) from None
                except Rejected as problem:
                    answer, said = problem, f"refused: {problem}"[:60]
            if patience.cancelled_caught:
                raise Broken(self.name, f"{process.name} didn't answer {what} in {_TOO_LONG:g} s")
        if scope.cancelled_caught:
            said = "the connection broke"
        took = trio.current_time() - begun
        self._story.tell(self.name, f"{what} to {process.name}: {said} ({took:.2f} s)")
        if self.broken is not None:
            raise self.broken
        return answer
