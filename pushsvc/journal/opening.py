"""The journal that is asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from pushsvc.core.resources.limits import Retention
from pushsvc.journal import Journal, JournalError
from pushsvc.journal.memory import MemoryJournal
from pushsvc.journal.starting import Starting
from pushsvc.journal.valkey import Options, open_valkey_journal


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """A log that processes share, and how it is kept at its server."""

    url: str
    ca: str = ""
    prefix: str = "pushsvc"
    replicas: int = 0
    fsync: bool = False
    start_wait: float = 60.0


class Workers(msgspec.Struct, frozen=True):
    """Processes of one machine that share a file."""

    folder: Path
    """Where they meet."""
    index: int
    count: int
    passing: bool = False
    """Whether the file is gone when the last of them is, so that nothing need be on a disk."""


_SNAPSHOTS = 12
"""Snapshots within the time that is kept: so much more than that is read at a start, as a part."""


def keep_seconds(retention: Retention) -> float:
    """How far a log must reach back, so that who reads it comes to hold all that others hold."""
    return max(retention.seconds, retention.series_ttl)


def snapshot_interval(retention: Retention) -> float:
    """Seconds between two snapshots."""
    return max(5.0, keep_seconds(retention) / _SNAPSHOTS)


def make_room(folder: Path) -> None:
    """Make the directory of a file, if it isn't there. Raises JournalError."""
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
    """The journal that is shared, that in the file at `path`, or without either that in memory, for
    as long as the block lasts. `workers` share the file; `starting` is told what is waited for.
    Raises JournalError."""
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
            synchronous="off" if workers is not None and workers.passing else synchronous,
            shared=workers is not None,
            notifier=None
            if workers is None
            else AppendNotifier(workers.folder, workers.index, workers.count),
        ) as kept:
            yield kept
    else:
        journal = MemoryJournal()
        try:
            yield journal
        finally:
            await journal.aclose()
