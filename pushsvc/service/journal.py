"""Opens the journal that the settings name."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pushsvc.config import Keeping, Settings
from pushsvc.journal import Journal
from pushsvc.journal.opening import Shared, Workers, open_journal
from pushsvc.journal.starting import Starting
from pushsvc.workers.assignment import Assignment


def open_configured(
    settings: Settings, assignment: Assignment | None, starting: Starting
) -> AbstractAsyncContextManager[Journal]:
    """Open the journal. `starting` is told what the start waits for. Raises JournalError."""
    keeping = settings.journal
    return open_journal(
        keeping.path,
        settings.history,
        max_bytes=keeping.max_bytes,
        synchronous=keeping.synchronous,
        shared=_shared(keeping),
        workers=None if assignment is None else _workers(assignment),
        starting=starting,
    )


def _shared(keeping: Keeping) -> Shared | None:
    if not keeping.url:
        return None
    return Shared(
        url=keeping.url,
        ca=keeping.ca,
        prefix=keeping.prefix,
        replicas=keeping.replicas,
        fsync=keeping.fsync,
        start_wait=keeping.start_wait,
    )


def _workers(assignment: Assignment) -> Workers:
    log = Path(assignment.log) if assignment.log else None
    return Workers(Path(assignment.folder), assignment.index, assignment.count, log)
