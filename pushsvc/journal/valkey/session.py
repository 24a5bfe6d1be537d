"""Two connections to the server that has the journal, used until one of them fails."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import trio
from coredis.exceptions import AuthorizationError, RedisError

from pushsvc.journal import JournalError
from pushsvc.journal.valkey.address import Address
from pushsvc.journal.valkey.connection import ANSWER, Connection, Login, connect
from pushsvc.journal.valkey.primary import find_primary
from pushsvc.log import get_logger

_log = get_logger("pushsvc.journal")

BLOCK = 1.0
"""Seconds for which a read waits at the server; a server that doesn't answer is noticed a little
later."""


class Keys(msgspec.Struct, frozen=True):
    """The names of a journal's keys. A Cluster keeps keys with the same text in braces together."""

    prefix: str

    @property
    def state(self) -> str:
        return f"{{{self.prefix}}}:state"

    @property
    def log(self) -> str:
        return f"{{{self.prefix}}}:log"

    @property
    def writers(self) -> str:
        return f"{{{self.prefix}}}:writers"

    @property
    def snapshots(self) -> str:
        return f"{{{self.prefix}}}:snapshots"

    @property
    def probe(self) -> str:
        """A key that never exists."""
        return f"{{{self.prefix}}}:probe"


class Slice(msgspec.Struct, frozen=True):
    """The result of a read, and the journal's state right after it."""

    entries: list[tuple[bytes, tuple[bytes, bytes]]]
    """IDs, names that begin with the nonce, and bodies."""
    epoch: str
    seq: int
    horizon: int
    since: int
    """Bytes of entries after the newest snapshot."""


class Session:
    """One connection for commands and one that waits for entries, to the same server. If one of
    them fails, both are closed."""

    def __init__(
        self, commands: Connection, reading: Connection, keys: Keys, memory: int | None
    ) -> None:
        self.commands = commands
        self.memory = memory
        """The memory limit of the server in bytes; None if it has none, or doesn't say."""
        self._reading = reading
        self._keys = keys
        self.lost = trio.Event()
        self.reason = ""

    async def run(self) -> None:
        """Wait until both connections have ended."""
        async with trio.open_nursery() as nursery:
            for connection in (self.commands, self._reading):
                nursery.start_soon(self._watch, connection)

    async def _watch(self, connection: Connection) -> None:
        await connection.ended.wait()
        self.fail(f"{connection.server} closed the connection")

    def fail(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.commands.close()
            self._reading.close()
            self.lost.set()

    async def read(self, after: str, count: int) -> Slice:
        """At most `count` entries after an id; waits for some, but not for long.

        Raises Away or JournalError.
        """
        log, state = self._keys.log, self._keys.state
        read: tuple[Any, ...] = (b"XREAD", b"COUNT", count, b"BLOCK", round(BLOCK * 1000))
        answers = await self._reading.ask_all(
            [
                (*read, b"STREAMS", log, after),
                (b"HMGET", state, b"epoch", b"seq", b"horizon", b"bytes", b"dropped", b"marks"),
            ],
            BLOCK + ANSWER / 2,
        )
        _raise_any(self._reading, answers)
        found, (epoch, seq, horizon, total, dropped, marks) = answers
        entries = found[log.encode()] if found else []
        kept = marks.rpartition(b":")[2] if marks else dropped
        return Slice(
            entries,
            (epoch or b"").decode(),
            *(int(seq or 0), int(horizon or 0), int(total or 0) - int(kept or 0)),
        )

    async def ask_all(self, *commands: Sequence[bytes | str | int]) -> list[Any]:
        """Raises Away or JournalError."""
        answers = await self.commands.ask_all(commands)
        _raise_any(self.commands, answers)
        return answers


def _raise_any(connection: Connection, answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, RedisError):
            raise connection.means(answer) from answer


async def open_session(
    nursery: trio.Nursery, address: Address, login: Login, keys: Keys, *, fsync: bool
) -> Session:
    """Open two connections, and check that the server keeps what it is given.

    Raises Away or JournalError.
    """
    dial = partial(connect, nursery)
    commands = await find_primary(address, login, keys.log, dial)
    try:
        memory = await _check_memory(commands)
        await _check_disk(commands)
        if fsync:
            _raise_any(commands, await commands.ask_all([(b"WAITAOF", 1, 0, 1)]))
        reading = await connect(nursery, commands.where, login)
    except BaseException:
        commands.close()
        raise
    return Session(commands, reading, keys, memory)


async def _check_disk(connection: Connection) -> None:
    """Log a warning if the server stores nothing on disk. That may be on purpose: replicas may have
    copies."""
    with contextlib.suppress(RedisError):  # some hosted services refuse INFO
        said = await connection.ask(b"INFO", b"persistence")
        if b"aof_enabled:0" in said.split():
            _log.warning(
                "the journal isn't on disk",
                server=str(connection.server),
                reason="the server has appendonly no: its restart loses the log, or its end",
                cure="set appendonly yes",
            )


async def _check_memory(connection: Connection) -> int | None:
    """The memory limit of the server in bytes; None if there is none. Raises JournalError if the
    server would evict keys without a time to live when its memory is full."""
    try:
        said = await connection.ask(b"INFO", b"memory")
    except RedisError as error:
        if isinstance(error, AuthorizationError):
            raise connection.means(error) from error
        return None  # some hosted services refuse INFO
    text = said.decode(errors="replace")
    info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    policy, most = info.get("maxmemory_policy", "noeviction"), info.get("maxmemory", "0")
    if policy.startswith("allkeys-") and most != "0":
        raise JournalError(
            f"{connection.server} would drop the journal when its memory is full: set its "
            f"maxmemory-policy to noeviction (it is {policy})"
        )
    return int(most) or None
