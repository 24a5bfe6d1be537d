"""A rolling update: three processes on one log at a Valkey, replaced one by one while producers
publish and dashboards watch. Each dashboard's record has to be what was published.

The same with processes that are killed, and with the Valkey killed and started again in the middle.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from tests.bench.process import LOAD_CPU, Failed, Process, running
from tests.bench.report import count
from tests.bench.rolling_load import Compared, Failure, Going, Job, Live, Through
from tests.journal.valkey_server import ValkeyServer
from tests.journal.valkey_server import running as running_valkey
from tests.proxies.dashboards import Hiccups, peak
from tests.proxies.fleet import ASKED_PER_SECOND, Fleet, Producers, log_faults, open_fleet

_PODS = 3
_CLIENTS = 5_000
"""Of one process, and of one proxy, which has two sockets for each: many systems let a process open
20,000 files."""
_PATIENCE = 300.0
"""Seconds for all to be where they should be, on a machine that is busy with something else."""
_PAUSE = 0.5
"""Seconds between two samples of a producer."""
_AWAY = 2.0
"""Seconds that the Valkey is gone."""

_Answer = TypeVar("_Answer", Going, Compared)


class Rolled(msgspec.Struct, frozen=True):
    """The outcome of a case. All records were whole."""

    what: str
    clients: int
    pods: int
    published: int
    """Samples."""
    delivered: int
    seconds: float
    """From the first pod's end until everybody goes on."""
    told: int
    """Dashboards that were told to come back."""
    cut: int
    """Streams that ended with nothing said."""
    refused: int
    """Answers that said to come later, or that nobody is there."""
    asked: int
    """Dashboards that a pod asked to be back within one second, at the most."""
    per_second: float
    """Dashboards that came back in one second, at the most; later than they were asked to where the
    machine is busy, and then together."""
    silence: float
    """Seconds for which the slowest dashboard was without news."""
    slowest: str
    producer: float
    """Seconds that a producer waited for an answer, at the longest."""


class RollingCase(msgspec.Struct, frozen=True):
    what: str
    clients: int
    max_hz: float

    @property
    def title(self) -> str:
        return f"{self.what}, {self.clients:,} dashboards"

    @property
    def steps(self) -> int:
        return 2

    def run(self, step: Callable[[str], None]) -> Rolled:
        """Measure; `step` is called before each part. Raises Failed."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            valkey = stack.enter_context(running_valkey(folder / "valkey"))
            try:
                return trio.run(self._run, folder, valkey, step)
            except* (AssertionError, Failed) as group:
                found: BaseException = group
                while isinstance(found, BaseExceptionGroup):
                    found = found.exceptions[0]
                raise Failed(str(found)) from group

    async def _run(self, folder: Path, valkey: ValkeyServer, step: Callable[[str], None]) -> Rolled:
        processes = -(-self.clients // _CLIENTS)
        async with open_fleet(
            folder, valkey.url, size=_PODS, proxies=processes, clients=self.clients
        ) as fleet:
            producers, done = Producers(f"http://127.0.0.1:{fleet.fronts[0]}", _PAUSE), trio.Event()
            with contextlib.ExitStack() as stack:
                async with trio.open_nursery() as nursery:
                    await nursery.start(producers.run, done)
                    step(f"{self.title}: they come")
                    crowds = [
                        stack.enter_context(self._crowd(number, processes, fleet.fronts))
                        for number in range(processes)
                    ]
                    await _ask(crowds, Live(producers.next, time.monotonic()), Going)
                    step(f"{self.title}: pods go")
                    begun = time.monotonic()
                    await self._change(fleet, valkey)
                    going = await _ask(crowds, Live(producers.next, begun), Going)
                    seconds = time.monotonic() - begun
                    done.set()
                try:
                    compared = await _ask(crowds, Through(producers.published), Compared)
                except Failed as failed:
                    raise Failed(f"{failed}; {await self._log(valkey, producers)}") from None
            if found := _faults(compared):
                raise Failed(f"{found}; {await self._log(valkey, producers)}")
            for pod in fleet.pods:
                if anew := await pod.metric(fleet.http, "pushsvc_journal_begun_anew_total"):
                    raise Failed(f"a log was begun anew {anew:.0f} times: {pod.noticed()}")
        return self._outcome(producers, going, compared, seconds, fleet.asked_back)

    @staticmethod
    async def _log(valkey: ValkeyServer, producers: Producers) -> str:
        """Whether the log has what was answered."""
        logged = await log_faults(valkey.url, producers.published)
        return (
            f"{producers.published} were published; producers: {producers.trails}; "
            f"{'; '.join(logged) or 'the log is whole'}"
        )

    @contextlib.contextmanager
    def _crowd(self, number: int, processes: int, fronts: Sequence[int]) -> Iterator[Process]:
        each = self.clients // processes
        job = Job(
            fronts=[fronts[number]],
            first=number * each,
            clients=each,
            max_hz=self.max_hz,
            # A poll is a request each time, and would be most of the load.
            poll_pause=10.0,
            per_second=200,
            patience=_PATIENCE,
        )
        text = msgspec.json.encode(job).decode()
        with running(("-m", "tests.bench.rolling_load", text), LOAD_CPU) as process:
            yield process

    async def _change(self, fleet: Fleet, valkey: ValkeyServer) -> None:
        if self.what == _KILLED:
            for _ in range(_PODS):
                await fleet.crash()
                await trio.sleep(3.0)
        elif self.what == _ROLLED:
            await fleet.roll()
        else:
            first, *_ = fleet.pods
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.roll)
                await trio.to_thread.run_sync(first.process.wait)
                valkey.kill()
                await trio.sleep(_AWAY)
                await trio.to_thread.run_sync(valkey.start)

    def _outcome(
        self,
        producers: Producers,
        going: Sequence[Going],
        compared: Sequence[Compared],
        seconds: float,
        asked_back: Sequence[int],
    ) -> Rolled:
        cut = sum(one.cut for one in compared)
        if cut and self.what != _KILLED:
            raise Failed(f"{cut} streams ended with nothing said: {compared[0].cuts}")
        hiccups = Hiccups()
        hiccups.found = [each for one in going for each in one.hiccups]
        slowest = max(compared, key=lambda one: one.silence)
        return Rolled(
            what=self.what,
            clients=self.clients,
            pods=_PODS,
            published=sum(producers.published),
            delivered=sum(one.samples for one in compared),
            seconds=seconds,
            told=sum(one.told for one in compared),
            cut=cut,
            refused=sum(one.refused for one in compared),
            asked=max(asked_back, default=0),
            per_second=peak((at for one in going for at in one.returns), hiccups),
            silence=slowest.silence,
            slowest=slowest.slowest,
            producer=producers.longest,
        )


def _faults(compared: Sequence[Compared]) -> str:
    """What is wrong with records, if anything is."""
    count = sum(one.faults for one in compared)
    examples = [each for one in compared for each in one.examples]
    return f"{count} records aren't what was published: {'; '.join(examples[:5])}" if count else ""


async def _ask(
    crowds: Sequence[Process], question: Live | Through, wanted: type[_Answer]
) -> list[_Answer]:
    line = msgspec.json.encode(question)
    for one in crowds:
        one.tell(line)
    answers = []
    for one in crowds:
        heard = await trio.to_thread.run_sync(partial(one.hear, _PATIENCE + 30))
        with contextlib.suppress(msgspec.ValidationError):
            raise Failed(msgspec.json.decode(heard, type=Failure).error)
        answers.append(msgspec.json.decode(heard, type=wanted))
    return answers


_ROLLED = "rolling update"
_KILLED = "kill -9 of each process"
_RESTARTED = "rolling update, Valkey killed in the middle"


def cases(*, quick: bool) -> list[RollingCase]:
    if quick:
        return [RollingCase(_ROLLED, 2_000, 1.0)]
    return [RollingCase(what, 10_000, 0.5) for what in (_ROLLED, _KILLED, _RESTARTED)]


COLUMNS = (
    *("what", "dashboards", "samples each", "it took", "told", "cut", "refused"),
    *("asked back in a second", "came back", "slowest without news", "producer waited"),
)
WANTED_PER_SECOND = ASKED_PER_SECOND


def rows(outcome: Rolled) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.what,
        f"{outcome.clients:,}",
        count(outcome.delivered / outcome.clients),
        f"{outcome.seconds:.0f} s",
        f"{outcome.told:,}",
        f"{outcome.cut:,}",
        f"{outcome.refused:,}",
        f"{outcome.asked:,}",
        count(outcome.per_second),
        f"{outcome.silence:.1f} s ({outcome.slowest})",
        f"{outcome.producer:.1f} s",
    )
