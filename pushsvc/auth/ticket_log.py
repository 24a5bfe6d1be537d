"""What tickets were used for, shared by all processes of one log.

A first use is written as an entry on the condition that there was none before: of two, at any
processes, the one that is first in the log counts, and the other is refused. A client that comes
back with the ticket of its stream is accepted at once. If another process had that stream before,
an entry notes that it was taken over, and the other process ends it when it reads the entry.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from pushsvc.core.storage.records import CAPACITY, Change, Record, Records
from pushsvc.errors import Overloaded, Rejected
from pushsvc.pipeline import Pipeline

KIND: Final = "ticket"
_PATIENCE: Final = 2.0
"""Seconds that a first use waits for the log."""


class Use(msgspec.Struct, frozen=True, array_like=True):
    """What a ticket was used for."""

    stream: bytes | None
    """A digest of the query of the stream that it carries; None if it was used for something
    else."""
    owner: bytes
    """A digest of its owner."""
    by: str = ""
    """The process to which it was last presented."""


_read = msgspec.msgpack.Decoder(Use)


def digest(text: str) -> bytes:
    """A digest, which tells texts apart without containing them."""
    return hashlib.sha256(text.encode()).digest()[:16]


class TicketLog:
    """The part of the log about uses of tickets."""

    def __init__(self, records: Records, pipeline: Pipeline, is_away: Callable[[], bool]) -> None:
        self.taken: Callable[[str], None] = lambda _: None
        """Called with the name of a ticket that was presented to another process."""
        self._records = records
        self._pipeline = pipeline
        self._is_away = is_away
        self._process = secrets.token_urlsafe(9)
        self._on_their_way: Counter[str] = Counter()  # by name: changes that aren't read back yet
        # Names by owner, in the order in which they were changed.
        self._of: dict[bytes, OrderedDict[str, None]] = {}
        self._owners: dict[str, bytes] = {}
        self._told(None, None)
        records.watch(KIND, self._told)

    def find(self, name: str) -> Use | None:
        """The known use of a ticket, if there is one."""
        record = self._records.get(KIND, name)
        return None if record is None else _use(record)

    async def begin(
        self, name: str, stream: bytes | None, owner: bytes, until: float
    ) -> bool | None:
        """Note the first use of a ticket, to be remembered until `until` (Unix seconds). Returns
        whether it is the first; None where the log doesn't answer in time, and may get the note
        later."""
        change = self._change(name, Use(stream, owner, self._process), until, expected=0)
        if self._is_away():
            self._send(change)
            return None
        self._make_room(owner)
        self._on_their_way[name] += 1
        try:
            with trio.move_on_after(_PATIENCE):
                await self._pipeline.record(change, tell=lambda _: self._settle(name))
                return True
        except Rejected:
            return False
        except Overloaded:
            return None
        return None

    def hold(self, name: str, use: Use, until: float) -> None:
        """Note that a stream comes back to this process."""
        if use.by != self._process and not self._on_their_way[name]:
            self._send(self._change(name, Use(use.stream, use.owner, self._process), until))

    def _change(self, name: str, use: Use, until: float, expected: int | None = None) -> Change:
        value = msgspec.msgpack.encode(use)
        return Change(KIND, name, value, expected, round(until * 1000))

    def _send(self, change: Change) -> None:
        if self._pipeline.record_nowait(change, tell=lambda _: self._settle(change.name)):
            self._on_their_way[change.name] += 1

    def _settle(self, name: str) -> None:
        self._on_their_way[name] -= 1
        if self._on_their_way[name] <= 0:
            del self._on_their_way[name]
        self._look(name)  # another process may have been first, or have got it since

    def _told(self, record: Record | None, name: str | None) -> None:
        if name is None:
            self._of.clear()
            self._owners.clear()
            for one in self._records.of(KIND):
                self._count(one)
            return
        self._discount(name)
        if record is not None:
            self._count(record)
            self._look(name)

    def _look(self, name: str) -> None:
        """Report a ticket that another process has, unless this one is about to take it over."""
        use = self.find(name)
        if use is not None and use.by != self._process and not self._on_their_way[name]:
            self.taken(name)

    # -- whose they are ----------------------------------------------------------------------------

    def _make_room(self, owner: bytes) -> None:
        """Drop a use of an owner that has half of all, so that no other owner's is dropped."""
        names = self._of.get(owner, ())
        if len(names) >= CAPACITY[KIND].count // 2:
            self._pipeline.record_nowait(Change(KIND, next(iter(names)), None))

    def _count(self, record: Record) -> None:
        owner = _use(record).owner
        self._owners[record.name] = owner
        self._of.setdefault(owner, OrderedDict())[record.name] = None

    def _discount(self, name: str) -> None:
        owner = self._owners.pop(name, None)
        if owner is not None:
            del self._of[owner][name]
            if not self._of[owner]:
                del self._of[owner]


def _use(record: Record) -> Use:
    return _read.decode(record.value)
