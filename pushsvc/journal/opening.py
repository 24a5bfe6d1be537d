"""Opens the journal that the settings name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from pushsvc.core.resources.limits import Retention
from pushsvc.journal import Journal, JournalError
from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Bounds
from pushsvc.journal.memory import MemoryJournal
from pushsvc.journal.starting import Starting
from pushsvc.journal.valkey import Options, open_valkey_journal


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """A log that several processes share, and how its server stores it."""

    url: str
    ca: str = ""
    prefix: str = "pushsvc"
    replicas: int = 0
    fsync: bool = False
    start_wait: float = 60.0


class Workers(msgspec.Struct, frozen=True):
    """Processes on one machine that share a log."""

    folder: Path
    """The directory of their sockets."""
    index: int
    count: int
    log: Path | None = None
    """The folder of a log that goes with them; None if they share a file that outlives them."""


_SNAPSHOTS = 12
"""How many snapshots are made within the time that is kept: a start reads up to a twelfth more than
it needs."""


def keep_seconds(retention: Retention) -> float:
    """How many seconds back a log must reach, so that a new reader ends up with all the data that
    others hold."""
    return max(retention.seconds, retention.series_ttl)


def snapshot_interval(retention: Retention) -> float:
    """Seconds between two snapshots."""
    return max(5.0, keep_seconds(retention) / _SNAPSHOTS)


def make_room(folder: Path) -> None:
    """Make the directory of a file, if it doesn't exist. Raises JournalError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"the journal's directory {folder} can't be made: {error.strerror or error}"
        ) from None


@asynccontextmanager
async def open_journal(
    path: str,
    retention: Retention,
    *,
    max_bytes: int,
    synchronous: Literal["full", "normal"],
    shared: Shared | None = None,
    workers: Workers | None = None,
    starting: Starting | None = None,
) -> AsyncGenerator[Journal]:
    """Open a journal for as long as the block lasts: the shared one if `shared` is given, otherwise
    the file at `path`, or without a path one that goes with the process, or with the `workers`,
    which share the file or that one. `starting` is told what the start waits for. Raises
    JournalError."""
    if shared is not None:
        options = Options(
            prefix=shared.prefix,
            keep_seconds=keep_seconds(retention),
            keep_bytes=max_bytes,
            replicas=shared.replicas,
            fsync=shared.fsync,
            start_wait=shared.start_wait,
        )
        ca = Path(shared.ca) if shared.ca else None
        async with open_valkey_journal(shared.url, options, ca=ca, starting=starting) as there:
            yield there
    elif path:
        from pushsvc.journal.sqlite import AppendNotifier, open_sqlite_journal

        make_room(Path(path).parent)
        async with open_sqlite_journal(
            Path(path),
            keep_seconds=keep_seconds(retention),
            max_bytes=max_bytes,
            synchronous=synchronous,
            shared=workers is not None,
            notifier=None
            if workers is None
            else AppendNotifier(workers.folder, workers.index, workers.count),
        ) as kept:
            yield kept
    elif workers is not None and workers.log is not None:
        from pushsvc.journal.segments import open_segments_journal

        bounds = Bounds(keep_seconds(retention), max_bytes)
        datagrams = Datagrams(workers.folder, workers.index, workers.count)
        async with open_segments_journal(workers.log, bounds, datagrams) as passing:
            yield passing
    else:
        journal = MemoryJournal()
        try:
            yield journal
        finally:
            await journal.aclose()
