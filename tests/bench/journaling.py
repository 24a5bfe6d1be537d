"""A process that has a journal: it makes histories of entries, appends, or reads what was kept.

`python -m tests.bench.journaling`: jobs come as JSON on standard input, one a line, and are
answered by a line each.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from itertools import count, islice
from pathlib import Path
from typing import Literal

import msgspec
import structlog
import trio

from pushsvc.cli.process import prepare_to_serve
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Nonces
from pushsvc.journal.codec import decode, encode
from pushsvc.journal.sqlite import open_sqlite_journal

_BEGIN = 1_764_000_000_000
_CHUNK = 100
"""Entries that are encoded before they are read, so that the former isn't measured."""
_LARGE = 1 << 40


class Shape(msgspec.Struct, frozen=True):
    """Of a batch."""

    series: int
    each: int
    """Samples of each."""

    @property
    def samples(self) -> int:
        return self.series * self.each


class Take(msgspec.Struct, frozen=True, tag=True):
    """Make histories of the bytes of entries, for so many seconds of CPU."""

    shape: Shape
    seconds: float


class Append(msgspec.Struct, frozen=True, tag=True):
    """Append to a file, `group` batches together, for so many seconds."""

    shape: Shape
    group: int
    synchronous: Literal["full", "normal"]
    seconds: float


class Warm(msgspec.Struct, frozen=True, tag=True):
    """Read so many samples from a file into a hub, as at a start."""

    shape: Shape
    samples: int


class Done(msgspec.Struct, frozen=True):
    samples: int
    batches: int
    seconds: float
    """Of CPU where histories are made of bytes, else of the clock."""
    bytes: int
    """Of entries, or of the file."""


def _drafts(shape: Shape) -> Iterator[Draft]:
    """Of what an agent for some hosts sends, without an end."""
    series = [
        identify(
            "node_cpu_seconds_total",
            {
                "cpu": str(n % 8),
                "instance": f"web-{n // 32:03}:9100",
                "job": "node",
                "mode": ("idle", "user", "system", "iowait")[n // 8 % 4],
            },
            Limits(),
        )
        for n in range(shape.series)
    ]
    nonces = Nonces()
    for batch in count():
        steps = range(batch * shape.each, (batch + 1) * shape.each)
        times = [_BEGIN + step * 1000 for step in steps]
        rows = [
            Rows(one, [*times], [n * 1.5 + step * 0.37 for step in steps], "gauge", given=True)
            for n, one in enumerate(series)
        ]
        yield Draft(nonces(), Batch(rows))


def _hub() -> Hub:
    sessions = count()
    return Hub(
        "bench",
        limits=Limits(),
        retention=Retention(),
        pacing=Pacing(),
        make_session=lambda: str(next(sessions)),
    )


def _take_in(hub: Hub, entry: Entry) -> None:
    for _ in hub.take(entry):
        pass


def _take(job: Take) -> Done:
    drafts, hub, seq = _drafts(job.shape), _hub(), 1
    seconds, batches, size = 0.0, 0, 0
    while seconds < job.seconds:
        bodies = [encode(draft) for draft in islice(drafts, _CHUNK)]
        began = time.process_time()
        for body in bodies:
            draft = decode(body)
            _take_in(hub, Entry(seq, _BEGIN + seq, draft))
            seq += draft.width
        seconds += time.process_time() - began
        batches += len(bodies)
        size += sum(map(len, bodies))
    return Done(batches * job.shape.samples, batches, seconds, size)


async def _append(job: Append, path: Path) -> Done:
    drafts, batches, seconds = _drafts(job.shape), 0, 0.0
    async with open_sqlite_journal(
        path, keep_seconds=_LARGE, max_bytes=_LARGE, synchronous=job.synchronous
    ) as journal:
        while seconds < job.seconds:
            groups = [[*islice(drafts, job.group)] for _ in range(10)]
            began = time.perf_counter()
            for group in groups:
                await journal.append(group)
            seconds += time.perf_counter() - began
            batches += sum(map(len, groups))
        size = (await journal.statistics()).bytes
    return Done(batches * job.shape.samples, batches, seconds, size)


async def _warm(job: Warm, path: Path) -> Done:
    drafts, batches = _drafts(job.shape), -(-job.samples // job.shape.samples)
    async with open_sqlite_journal(
        path, keep_seconds=_LARGE, max_bytes=_LARGE, synchronous="normal"
    ) as journal:
        for first in range(0, batches, _CHUNK):
            await journal.append([*islice(drafts, min(_CHUNK, batches - first))])
    size, hub = await trio.to_thread.run_sync(lambda: path.stat().st_size), _hub()
    began = time.perf_counter()
    async with open_sqlite_journal(path, keep_seconds=_LARGE, max_bytes=_LARGE) as journal:
        async with aclosing(journal.read(0)) as slices:
            while hub.seq < journal.seq:
                for entry in await anext(slices):
                    _take_in(hub, entry)
    seconds = time.perf_counter() - began
    assert hub.counts["samples"] == batches * job.shape.samples
    return Done(batches * job.shape.samples, batches, seconds, size)


def _do(job: Take | Append | Warm) -> Done:
    if isinstance(job, Take):
        return _take(job)
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as folder:
        path = Path(folder) / "journal.db"
        if isinstance(job, Append):
            return trio.run(_append, job, path)
        return trio.run(_warm, job, path)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    prepare_to_serve()
    with suppress(KeyboardInterrupt):
        for line in sys.stdin:
            done = _do(msgspec.json.decode(line, type=Take | Append | Warm))
            print(msgspec.json.encode(done).decode(), flush=True)


if __name__ == "__main__":
    main()
