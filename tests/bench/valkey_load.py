"""A process at a journal that lies at a Valkey: it appends, or reads, and tells what it measured.

Jobs come as JSON on standard input, one a line, and are answered by a line each.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from contextlib import aclosing

import msgspec
import structlog
import trio

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft
from pushsvc.journal import Nonces
from pushsvc.journal.valkey import Options, open_valkey_journal
from pushsvc.journal.valkey.journal import ValkeyJournal

_GROUP = 64
"""Batches that are appended together, if so many wait, as the service does it."""


class Append(msgspec.Struct, frozen=True, tag=True):
    """Append batches, `per_second` of them or as fast as it goes."""

    url: str
    prefix: str
    samples: int
    batches: int
    per_second: float | None = None


class Read(msgspec.Struct, frozen=True, tag=True):
    """Read so many samples from the beginning on; says first that it is there."""

    url: str
    prefix: str
    samples: int


class Done(msgspec.Struct, frozen=True):
    seconds: float
    """Of reading: from its beginning, with connecting, to the last sample."""
    cpu: float
    delays_ms: list[float] = []
    """Of a reader, the median, the 99th percentile and the longest of those of batches, from the
    call of `append` on, with waiting for others."""


async def _append(journal: ValkeyJournal, job: Append) -> None:
    nonces = Nonces()
    series = [identify("up", {"instance": str(n)}, Limits()) for n in range(job.samples)]
    waiting: list[Draft] = []
    news = trio.Event()
    ended = False

    def draft() -> Draft:
        now = time.time_ns()
        stamp = now // 1_000_000
        rows = [Rows(one, [stamp], [now / 1e9], "gauge", given=True) for one in series]
        return Draft(nonces(), Batch(rows))

    async def send() -> None:
        nonlocal waiting
        while waiting or not ended:
            if not waiting:
                await news.wait()
            group, waiting = waiting[:_GROUP], waiting[_GROUP:]
            await journal.append(group)

    if job.per_second is None:
        group = [draft() for _ in range(_GROUP)]
        for _ in range(job.batches // _GROUP):
            group = [Draft(nonces(), one.batch) for one in group]
            await journal.append(group)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        begun = trio.current_time()
        for number in range(job.batches):
            await trio.sleep_until(begun + number / job.per_second)
            waiting.append(draft())
            news.set()
            news = trio.Event()
        ended = True
        news.set()


async def _read(journal: ValkeyJournal, job: Read) -> list[float]:
    delays: list[float] = []
    samples = 0
    async with aclosing(journal.read(0)) as slices:
        async for entries in slices:
            now = time.time()
            for entry in entries:
                rows = entry.draft.batch.rows
                samples += len(rows)
                value = rows[-1].values[-1]
                assert isinstance(value, float)
                delays.append(1000 * (now - value))
            if samples >= job.samples:
                break
    return delays


async def _work(job: Append | Read) -> Done:
    options = Options(prefix=job.prefix)
    begun, cpu = time.perf_counter(), time.process_time()
    delays: list[float] = []
    async with open_valkey_journal(job.url, options) as journal:
        if isinstance(job, Append):
            begun = time.perf_counter()
            await _append(journal, job)
        else:
            _say(b'"there"')
            found = sorted(await _read(journal, job))
            delays = [
                statistics.median(found),
                found[min(len(found) - 1, len(found) * 99 // 100)],
                found[-1],
            ]
        seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    return Done(seconds, used, delays)


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for line in sys.stdin.buffer:
        _say(msgspec.json.encode(trio.run(_work, msgspec.json.decode(line, type=Append | Read))))


if __name__ == "__main__":
    main()
