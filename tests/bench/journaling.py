"""A process that has a journal: it makes histories of entries, appends, or reads what was kept.

`python -m tests.bench.journaling`: jobs come as JSON on standard input, one a line, and are
answered by a line each.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
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
from pushsvc.journal.sqlite.file import LogFile
from tests.bench.process import cpu_seconds

_BEGIN = 1_764_000_000_000
_CHUNK = 100
"""Entries that are encoded before they are read, so that the former isn't measured."""
_LARGE = 1 << 40
_HOUR = 3_500_000
"""Milliseconds, of what is still young enough at a start."""


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


class Restart(msgspec.Struct, frozen=True, tag=True):
    """Start the service with so many samples in its file, of an hour in which time passed."""

    shape: Shape
    samples: int
    seconds: float = 3600.0
    """For which samples are kept in memory (`history.seconds`)."""


class Done(msgspec.Struct, frozen=True):
    samples: int
    batches: int
    seconds: float
    """Of CPU where histories are made of bytes, else of the clock."""
    bytes: int
    """Of entries, or of the file."""
    cpu: float = 0.0
    """Seconds of it that the service used until it was ready."""
    decoding: float = 0.0
    """Seconds of CPU in which the file is read and its entries decoded, and nothing else."""
    memory: int = 0
    """Bytes, at the most."""


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


def _fill(job: Restart, path: Path) -> int:
    """Write an hour of batches and of sweeps, one a second; gives how many batches."""
    drafts, batches = _drafts(job.shape), -(-job.samples // job.shape.samples)
    nonces, begin = Nonces(), time.time_ns() // 1_000_000 - _HOUR
    log, swept = LogFile(path, shared=False, synchronous="normal"), 0
    for number, draft in enumerate(islice(drafts, batches)):
        stamp = begin + _HOUR * number // batches
        while begin + 1000 * swept < stamp:
            log.append([Draft(nonces(), Batch([]))], begin + 1000 * swept)
            swept += 1
        log.append([draft], stamp)
    log.close(clean=True)
    return batches


def _decode_all(path: Path) -> float:
    """Seconds of CPU in which all entries are read."""
    log, after = LogFile(path, shared=False, synchronous="normal"), 0
    end, began = log.end().seq, time.process_time()
    while after < end:
        after = log.read(after)[-1].last
    seconds = time.process_time() - began
    log.close(clean=True)
    return seconds


def _restart(job: Restart, folder: Path) -> Done:
    path = folder / "journal.sqlite"
    batches = _fill(job, path)
    size, decoding = path.stat().st_size, _decode_all(path)
    command = [sys.executable, "-m", "pushsvc", "serve", "--data", str(folder), "--port", "0"]
    command += ["--set", f"history.seconds={job.seconds:g}"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().decode().strip()
            with urllib.request.urlopen(f"{url}/readyz", timeout=10.0) as answer:  # noqa: S310
                assert answer.status == 200
            seconds = time.perf_counter() - began
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
            (peak,) = (line.split()[1] for line in status.splitlines() if "VmHWM" in line)
            cpu = cpu_seconds(child.pid)
        finally:
            child.terminate()
    return Done(
        batches * job.shape.samples, batches, seconds, size, cpu, decoding, int(peak) * 1024
    )


def _do(job: Take | Append | Restart) -> Done:
    if isinstance(job, Take):
        return _take(job)
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as folder:
        path = Path(folder) / "journal.db"
        if isinstance(job, Append):
            return trio.run(_append, job, path)
        return _restart(job, Path(folder))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    prepare_to_serve()
    with suppress(KeyboardInterrupt):
        for line in sys.stdin:
            done = _do(msgspec.json.decode(line, type=Take | Append | Restart))
            print(msgspec.json.encode(done).decode(), flush=True)


if __name__ == "__main__":
    main()
