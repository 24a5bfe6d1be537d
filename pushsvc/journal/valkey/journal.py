"""The journal at a Valkey or Redis: sends waiting appends in groups, and reads entries back."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec
import trio

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Dropped, EpochChanged, JournalError, Snapshot, Statistics
from pushsvc.journal.codec import CodecError, decode
from pushsvc.journal.starting import Starting
from pushsvc.journal.valkey.address import Address
from pushsvc.journal.valkey.appends import Append, Waiting
from pushsvc.journal.valkey.connection import ANSWER, Login
from pushsvc.journal.valkey.link import Link
from pushsvc.journal.valkey.options import Options
from pushsvc.journal.valkey.scripts import APPEND, KEEP, OPEN, SNAPSHOT, Part
from pushsvc.journal.valkey.session import Keys, Session, Slice
from pushsvc.journal.valkey.trouble import Away, Full
from pushsvc.log import get_logger

_log = get_logger("pushsvc.journal")

FORMAT = "1"
"""The format of the data at the server. No other format is read."""
_OWN = 2_000
"""The most own drafts that are remembered until they are read, so that they needn't be decoded."""
_SLICE_BYTES = 1024 * 1024
_SLICE_ENTRIES = 256
"""The size that a read aims at, and the most entries that it asks for: their size is only known
when they are there."""
_THREAD_BYTES = 64 * 1024
"""A slice with at least this many bytes to decode is decoded in a thread."""
_SNAPSHOT = 30.0
"""Seconds for a snapshot to be written or read."""
_RETRY_AFTER = 5.0
_END = 2**64 - 1
_NONCE = 16


class _Tail(msgspec.Struct, frozen=True):
    """The last entry that was read."""

    seq: int
    id: str = ""
    nonce: bytes = b""


class _OtherEpoch(Exception):
    pass


class ValkeyJournal:
    """A journal that many processes share. Opened by `open_valkey_journal`, which runs it.

    One group of entries is sent at a time while the next one fills: groups grow with the load, and
    entries keep the order in which `append` was called.
    """

    keeps = True

    def __init__(
        self, address: Address, login: Login, options: Options, starting: Starting
    ) -> None:
        self.epoch = ""
        self.horizon = 0
        self.seq = 0
        self.tails_lost = 0
        """How often the log was found to have lost entries, or to be another one."""
        self._options = options
        self._keys = Keys(options.prefix)
        self._link = Link(address, login, self._keys, options, starting, self._look)
        self._looking = trio.Lock()
        self._closed = False
        self._waiting = Waiting()
        self._own: dict[bytes, Draft] = {}
        self._appended = 0
        self._kept = (0, 0)
        self._writer = secrets.token_hex(8)
        self._groups = itertools.count(1)
        self._since = 0  # bytes of entries after the newest snapshot
        self._tail: _Tail | None = None
        self._read_scope = trio.CancelScope()

    @property
    def away_since(self) -> float | None:
        return self._link.away_since

    @property
    def away_reason(self) -> str:
        return self._link.away_reason

    @property
    def _keep_bytes(self) -> int:
        """The most bytes of the log: `keep_bytes`, or half of the server's memory if that is known
        and less."""
        most, memory = self._options.keep_bytes, self._link.memory
        return most if memory is None else min(most, memory // 2)

    @property
    def snapshot_wanted(self) -> bool:
        return self._since > self._keep_bytes // 4

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and connect again whenever the connection ends. Started when the server has been
        reached once.

        Raises JournalError before that.
        """
        failure: JournalError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_appends)
            try:
                await self._link.run(task_status=task_status)
            except JournalError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    # -- which log it is ---------------------------------------------------------------------------

    async def _look(self, session: Session) -> Mapping[str, object]:
        """Check whether the log is still the one that was read so far, and update the epoch, the
        seq and the horizon. Raises Away or JournalError."""
        async with self._looking:
            tail = self._tail or _Tail(0)
            keys = self._keys
            ((result, *found),) = await OPEN(
                session.commands,
                [keys.state, keys.log, keys.writers, keys.snapshots, keys.probe],
                [FORMAT, secrets.token_hex(4), self.epoch, tail.seq, tail.id, tail.nonce],
            )
        if result == b"format":
            raise JournalError(
                f"{session.commands.server}: the journal {keys.prefix} was written by another "
                f"version (its format is {found[0].decode() or 'none'}, this one has {FORMAT}): "
                "use that version, or another journal.prefix"
            )
        epoch = found[0].decode()
        if self.epoch not in ("", epoch):
            self.tails_lost += 1  # the reader reports it, and what follows from it
        self.epoch, self.seq, self.horizon = epoch, int(found[1]), int(found[2])
        return {"epoch": self.epoch, "seq": self.seq}

    # -- appending ---------------------------------------------------------------------------------

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        append = Append(drafts)
        away = self.away_since is not None
        waited = away and trio.current_time() - (self.away_since or 0) > self._options.append_wait
        full = not self._waiting.has_room(append)
        if self._closed or not drafts or waited or full:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError
            if not drafts:
                return ()
            raise self._overloaded()
        self._waiting.add(append)
        self._link.tell()
        try:
            with trio.move_on_after(self._options.append_wait):
                await append.taken.wait()
        finally:
            if not append.taken.is_set():
                self._waiting.withdraw(append)
        if not append.taken.is_set():
            raise self._overloaded()
        await append.settled.wait()
        if append.outcome is not None:
            raise append.outcome
        return ()

    def _overloaded(self) -> Overloaded:
        what = "the journal is away" if self.away_since is not None else "the journal is behind"
        return Overloaded("journal", f"{what}: nothing was taken", retry_after=_RETRY_AFTER)

    async def _run_appends(self) -> None:
        while True:
            while not self._waiting or self._link.session is None:
                await self._link.changed()
            group = self._waiting.take()
            self._remember([draft for append in group for draft in append.drafts])
            await self._append_group(group)

    def _remember(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self._own[draft.nonce] = draft
        while len(self._own) > _OWN:
            del self._own[next(iter(self._own))]

    async def _append_group(self, group: list[Append]) -> None:
        """Append a group, however often the connection breaks in the meantime."""
        number = next(self._groups)
        parts = [part for append in group for part in append.parts]
        outcome: Exception | None = None
        while True:
            session = await self._link.up()
            try:
                await self._send(session, number, parts)
            except _OtherEpoch:
                try:
                    await self._look(session)
                except (Away, JournalError) as error:
                    session.fail(str(error))
                continue
            except Full as error:
                self._link.complain("the journal is full", str(error))
                outcome = Overloaded(
                    "journal", "the journal takes nothing now", retry_after=_RETRY_AFTER
                )
            except (Away, JournalError) as error:
                session.fail(str(error))
                continue
            break
        for append in group:
            if outcome is not None:
                for draft in append.drafts:
                    self._own.pop(draft.nonce, None)
            append.settle(outcome)

    async def _send(self, session: Session, number: int, parts: list[Part]) -> None:
        """Raises Away, JournalError or _OtherEpoch."""
        keys, options = self._keys, self._options
        wait: list[Sequence[Part]] = []
        if options.fsync:
            wait = [(b"WAITAOF", 1, options.replicas, 1000)]
        elif options.replicas:
            wait = [(b"WAIT", options.replicas, 1000)]
        (result, seq), *safe = await APPEND(
            session.commands,
            [keys.state, keys.log, keys.writers],
            [self.epoch, self._writer, number, *parts],
            *wait,
            timeout=ANSWER,
        )
        if result == b"epoch":
            raise _OtherEpoch
        self._appended = int(seq)
        self.seq = max(self.seq, int(seq))
        while wait and not self._is_safe(safe[0]):
            server = session.commands.server
            self._link.complain(
                "the journal waits for replicas", f"{server} has too few replicas that follow"
            )
            safe = await session.ask_all(*wait)

    def _is_safe(self, answer: int | list[int]) -> bool:
        if isinstance(answer, list):
            return answer[0] >= 1 and answer[1] >= self._options.replicas
        return answer >= self._options.replicas

    # -- reading -----------------------------------------------------------------------------------

    async def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        assert self._tail is None, "one reader at a time"
        epoch = self.epoch
        tail = _Tail(after)
        self._tail = tail
        position, count = f"{after}-{_END}", _SLICE_ENTRIES // 4
        try:
            while not self._closed or tail.seq < self._appended:
                session = await self._up_or_closed()
                if self.epoch != epoch:
                    raise EpochChanged
                if tail.seq < self.horizon:
                    raise Dropped
                if session is None:
                    return
                try:
                    found = await self._read_slice(session, position, count)
                    if found is not None and found.epoch != epoch:
                        await self._look(session)
                        continue
                except (Away, JournalError) as error:
                    session.fail(str(error))
                    continue
                if found is None:
                    continue  # the journal was closed
                self.seq, self.horizon = max(self.seq, found.seq), found.horizon
                self._since = found.since
                if not found.entries:
                    continue
                entries, size = await self._entries(found)
                if entries[0].seq != tail.seq + 1:
                    raise Dropped  # they were dropped in the meantime
                position = found.entries[-1][0].decode()
                tail = _Tail(entries[-1].last, position, entries[-1].draft.nonce)
                self._tail = tail
                count = _count(len(entries), size, count)
                yield entries
        finally:
            self._tail = None

    async def _up_or_closed(self) -> Session | None:
        while (session := self._link.session) is None or session.lost.is_set():
            if self._closed:
                return None
            await self._link.changed()
        return session

    async def _read_slice(self, session: Session, position: str, count: int) -> Slice | None:
        """None if the journal is closed in the meantime. Raises Away or JournalError."""
        with trio.CancelScope() as self._read_scope:
            return await session.read(position, count)
        return None

    async def _entries(self, found: Slice) -> tuple[list[Entry], int]:
        """The entries of a slice, and their size in bytes. This process' own drafts are not
        decoded."""
        drafts: list[Draft | None] = []
        unread: list[bytes] = []
        size = 0
        for _, (name, body) in found.entries:
            size += len(body)
            draft = self._own.pop(name[:_NONCE], None)
            drafts.append(draft)
            if draft is None:
                unread.append(body)
        try:
            if sum(map(len, unread)) >= _THREAD_BYTES:
                decoded = iter(await trio.to_thread.run_sync(_decode_all, unread))
            else:
                decoded = iter(_decode_all(unread))
        except CodecError as error:
            first = found.entries[0][0].decode()
            raise JournalError(
                f"the journal {self._keys.prefix} can't be read from {first} on: {error}"
            ) from error
        return [
            _entry(place, draft or next(decoded))
            for (place, _), draft in zip(found.entries, drafts, strict=True)
        ], size

    # -- snapshots, and the rest -------------------------------------------------------------------

    async def snapshot(self) -> Snapshot | None:
        """Waits while the server is away."""
        while True:
            session = await self._link.up()
            try:
                ((result, *found),) = await SNAPSHOT(
                    session.commands,
                    [self._keys.state, self._keys.snapshots],
                    [self.epoch],
                    timeout=_SNAPSHOT,
                )
                if result == b"epoch":
                    await self._look(session)
                    continue
            except (Away, JournalError) as error:
                session.fail(str(error))
                continue
            if result == b"none":
                return None
            seq, stamp, body = found
            self.horizon = max(self.horizon, int(seq))
            return Snapshot(int(seq), int(stamp), body)

    async def keep(self, snapshot: Snapshot) -> None:
        """Raises Overloaded while the server can't take it."""
        keys, options = self._keys, self._options
        await trio.lowlevel.checkpoint()
        if (session := self._link.session) is None:
            raise self._overloaded()
        try:
            ((result, found),) = await KEEP(
                session.commands,
                [keys.state, keys.log, keys.snapshots],
                [
                    *(snapshot.epoch or self.epoch, snapshot.seq, snapshot.stamp, snapshot.body),
                    *(round(options.keep_seconds * 1000), self._keep_bytes),
                ],
                timeout=_SNAPSHOT,
            )
        except Full as error:
            self._link.complain("the journal is full", str(error))
            raise self._overloaded() from None
        except (Away, JournalError) as error:
            session.fail(str(error))
            raise self._overloaded() from None
        if result != b"epoch":  # otherwise the reader finds out
            self.horizon = max(self.horizon, int(found))
            self._since = 0

    async def statistics(self) -> Statistics:
        """While the server is away, the last known numbers."""
        await trio.lowlevel.checkpoint()
        if (session := self._link.session) is not None:
            try:
                answers = await session.ask_all(
                    (b"XLEN", self._keys.log),
                    (b"HMGET", self._keys.state, b"epoch", b"seq", b"bytes", b"dropped"),
                )
            except (Away, JournalError) as error:
                session.fail(str(error))
                self._link.lose(str(error))
            else:
                entries, (epoch, seq, bytes_, dropped) = answers
                if epoch == self.epoch.encode():
                    self.seq = max(self.seq, int(seq))
                self._kept = (entries, int(bytes_ or 0) - int(dropped or 0))
        return Statistics(self.seq, self.horizon, *self._kept)

    async def aclose(self) -> None:
        """The connection is closed when `run` is cancelled."""
        if not self._closed:
            self._closed = True
            self._waiting.refuse_all()
            if self._tail is not None and self._tail.seq >= self._appended:
                self._read_scope.cancel()
            self._link.tell()
        await trio.lowlevel.checkpoint()


def _entry(place: bytes, draft: Draft) -> Entry:
    seq, _, stamp = place.partition(b"-")
    return Entry(int(seq), int(stamp), draft)


def _decode_all(bodies: list[bytes]) -> list[Draft]:
    return [decode(body) for body in bodies]


def _count(entries: int, size: int, asked: int) -> int:
    """How many entries to ask for next, from the size of those that came."""
    fit = entries * _SLICE_BYTES // max(1, size)
    return max(1, min(fit, 2 * asked, _SLICE_ENTRIES))
