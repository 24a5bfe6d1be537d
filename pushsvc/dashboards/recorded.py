"""Saved dashboards as records in the log, so that all processes that share it have the same.

Reads use the records that the hub holds. A save is an entry: if two save the same version, on any
pods, the order of the log decides which was first, and the other fails. An entity tag ends with the
seq of the entry, so that a process that hasn't read the entry yet knows that it must wait for it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
import trio

from pushsvc.core.storage.records import Change, Record, Records
from pushsvc.dashboards.library import Broken, Folder, Held, hold, no_such, parse, too_many
from pushsvc.dashboards.precondition import Precondition
from pushsvc.errors import Overloaded, PreconditionFailed, Problem, Rejected
from pushsvc.log import get_logger

_log = get_logger("pushsvc.dashboards")

KIND: Final = "dashboard"
_IMPORTED: Final = "imported"
"""The kind of the records that mark imported files."""
_TRIES: Final = 10
"""How often a save is tried if others save the same dashboard at the same time."""
_AGAIN: Final = 5.0
"""Seconds until an import that failed is tried again."""

_TAG: Final = re.compile(r'-(\d{1,18})"')

Submit: TypeAlias = Callable[[Change], Awaitable[int]]
"""Appends a change to the log, and returns its version when it has been applied here. Raises
Rejected if it is refused, Overloaded while it can't be appended."""


class RecordStore:
    """A store of dashboards as records. To be used in threads that Trio has started."""

    def __init__(self, records: Records, submit: Submit) -> None:
        self._records = records
        self._submit = submit
        self._known: dict[str, tuple[int, Held | Broken]] = {}  # by name, with their version

    def names(self) -> list[str]:
        return sorted(record.name for record in trio.from_thread.run_sync(self._records.of, KIND))

    def get(self, name: str) -> Held | Broken | None:
        return self._read(self._find(name), name)

    def put(self, name: str, body: bytes, condition: Precondition) -> tuple[Held, bool]:
        for _ in range(_TRIES):
            record = self._find(name)
            present = self._read(record, name)
            try:
                hold(condition, present)
            except PreconditionFailed:
                # A client that was told that the log can't be reached tries again, and may find
                # that its first attempt was saved (RFC 9110 section 13.1.1).
                if isinstance(present, Held) and present.body == body:
                    return present, False
                raise
            version = self._change(name, body, record)
            if version is not None:
                kept = self._find(name)
                now = 0 if kept is None else kept.stamp  # it may be a newer one already
                held = _parse(Record(KIND, name, body, version, now, 0))
                assert isinstance(held, Held)
                return held, present is None
        raise _contended(name)

    def remove(self, name: str, condition: Precondition) -> None:
        for _ in range(_TRIES):
            record = self._find(name)
            present = self._read(record, name)
            if present is None:
                raise no_such(name)
            hold(condition, present)
            if self._change(name, None, record) is not None:
                return
        raise _contended(name)

    def _find(self, name: str) -> Record | None:
        return trio.from_thread.run_sync(self._records.get, KIND, name)

    def _read(self, record: Record | None, name: str) -> Held | Broken | None:
        if record is None:
            self._known.pop(name, None)
            return None
        known = self._known.get(name)
        if known is None or known[0] != record.version:
            known = record.version, _parse(record)
            self._known[name] = known
        return known[1]

    def _change(self, name: str, body: bytes | None, present: Record | None) -> int | None:
        """Submit a change; returns the new version, or None if another change came first."""
        change = Change(KIND, name, body, 0)
        if present is not None:
            change = Change(KIND, name, body, present.version, seen=present.fingerprint)
        try:
            return trio.from_thread.run(self._submit, change)
        except Rejected as rejected:
            if rejected.code == "record_version":
                return None
            if rejected.extra.get("limit") == "count":
                raise too_many() from None
            raise Rejected("dashboards", rejected.detail) from None


def newest_seen(tags: str) -> int:
    """The seq that a process must have read to know the versions in an `If-Match` or
    `If-None-Match`; 0 if they name none."""
    return max(map(int, _TAG.findall(tags)), default=0)


def _parse(record: Record) -> Held | Broken:
    held = parse(record.name, "saved", record.value, record.stamp)
    if isinstance(held, Held):
        tag = held.etag.strip('"')
        held = msgspec.structs.replace(held, etag=f'"{tag}-{record.version}"')
    return held


async def take_in(folder: Folder, records: Records, submit: Submit) -> None:
    """Import the saved dashboards of a directory into the log, each file once: a dashboard that
    is in the log already is not replaced, and one that is deleted later doesn't come back. The
    files don't change. While the log can't be reached, it waits."""
    taken = 0
    for name in await _names(folder):
        if records.get(_IMPORTED, name) is not None:
            continue
        held = await trio.to_thread.run_sync(folder.get, name)
        if not isinstance(held, Held):
            continue  # a broken file, which `get` has logged
        if records.get(KIND, name) is None:
            taken += await _submit(submit, Change(KIND, name, held.body, 0), name)
        await _submit(submit, Change(_IMPORTED, name, b"", 0), name)
    if taken:
        _log.info("dashboards taken into the journal", directory=str(folder.path), dashboards=taken)


async def _names(folder: Folder) -> list[str]:
    try:
        return await trio.to_thread.run_sync(folder.names)
    except OSError as error:
        _log.error("dashboards not taken in", directory=str(folder.path), error=str(error))
        return []


async def _submit(submit: Submit, change: Change, name: str) -> bool:
    """Submit a change, again until the log takes it; returns whether it was applied."""
    while True:
        try:
            await submit(change)
        except Overloaded:
            await trio.sleep(_AGAIN)
        except Problem as problem:
            if problem.code != "record_version":  # another process was first
                _log.error("dashboard not taken in", name=name, reason=problem.detail)
            return False
        else:
            return True


def _contended(name: str) -> Overloaded:
    return Overloaded(
        "dashboards", f"{name} is being saved by others again and again", retry_after=1.0
    )
