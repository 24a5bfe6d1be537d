"""The journal that is asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from pushsvc.core.limits import Retention
from pushsvc.journal import Journal, JournalError
from pushsvc.journal.memory import MemoryJournal

_SNAPSHOTS = 12
"""Snapshots within the time that is kept: so much more than that is read at a start, as a part."""


def keep_seconds(retention: Retention) -> float:
    """How far a log must reach back, so that who reads it comes to hold all that others hold."""
    return max(retention.seconds, retention.series_ttl)


def snapshot_interval(retention: Retention) -> float:
    """Seconds between two snapshots."""
    return max(5.0, keep_seconds(retention) / _SNAPSHOTS)


def _make_room(folder: Path) -> None:
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
) -> AsyncGenerator[Journal]:
    """The journal in the file at `path`, or without one that in memory, for as long as the block
    lasts. Raises JournalError."""
    if path:
        from pushsvc.journal.sqlite import open_sqlite_journal

        _make_room(Path(path).parent)
        async with open_sqlite_journal(
            Path(path),
            keep_seconds=keep_seconds(retention),
            max_bytes=max_bytes,
            synchronous=synchronous,
        ) as kept:
            yield kept
    else:
        journal = MemoryJournal()
        try:
            yield journal
        finally:
            await journal.aclose()
