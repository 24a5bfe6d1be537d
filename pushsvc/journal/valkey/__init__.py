"""The journal at a Valkey or Redis, which many processes share: each appends, and all read the same
entries in the same order.

What it promises
----------------
An append is answered when the primary has the entries, all of them or none, in memory and by its
own settings on disk. A process, the network or the server may break at any moment: what was sent
and not answered is sent again with its number, and is in the log once. While the server is away,
what wasn't sent is refused and may be tried again; reading goes on by itself.

What it doesn't, and how it is told
-----------------------------------
Replication is asynchronous, and by default so is the disk (`appendfsync everysec`): a primary that
dies takes with it what was answered in the last moments before its replica, or its disk, had it:
usually some milliseconds by replication, up to a second by the disk. With `replicas` an append is
answered only when so many replicas have the entries (WAIT), with `fsync` when they are on disk too
(WAITAOF). Then a failover loses what was answered only where the replica that is promoted is none
of those, and a primary that is cut off answers nothing. `min-replicas-to-write` at the server has
a primary refuse writes when it is alone, which bounds what one that was replaced may still take.

Loss is never silent. Each process knows the last entry that it read, and after each new connection
looks whether it is still there, by its nonce. Where it isn't, the first one to see that raises the
journal's epoch, at the server and in one step; all others find it raised, with their next read or
append. Reading ends with `EpochChanged`, and the dashboards of each process are told that they have
a gap whose size nobody knows. A server that comes back empty is an epoch of its own as well.

What the server needs
---------------------
Valkey, or Redis 7 or newer; `appendonly yes`, so that a restart keeps the journal; no eviction
of keys that have no time to live (`maxmemory-policy noeviction`, or one of `volatile-`). All keys
begin with `{PREFIX}:`, so that a Cluster has them in one slot. One server carries the whole log.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from pushsvc.journal import JournalError
from pushsvc.journal.starting import Starting
from pushsvc.journal.valkey.address import parse_address
from pushsvc.journal.valkey.options import Options

if TYPE_CHECKING:
    from pushsvc.journal.valkey.journal import ValkeyJournal

__all__ = ["Options", "open_valkey_journal"]


@asynccontextmanager
async def open_valkey_journal(
    url: str,
    options: Options | None = None,
    *,
    ca: Path | None = None,
    starting: Starting | None = None,
) -> AsyncGenerator[ValkeyJournal]:
    """Open the journal at a URL, and keep it connected inside the block, in a nursery of its own.

    `ca` is a file of certificates in PEM that are trusted instead of the system's; `starting` is
    told while the server is waited for. Raises JournalError where it can't be opened.
    """
    address = parse_address(url)
    try:
        from pushsvc.journal.valkey.connection import Login
        from pushsvc.journal.valkey.journal import ValkeyJournal
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("coredis", "anyio"):
            raise
        raise JournalError(
            "journal.url needs a client that isn't installed: pip install 'pushsvc[valkey]'"
        ) from None
    login = Login(
        username=address.username,
        password=address.password,
        db=address.db,
        tls=_context(ca) if address.tls else None,
    )
    journal = ValkeyJournal(address, login, options or Options(), starting or Starting())
    failure: JournalError | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(journal.run)
        except JournalError as error:
            failure = error
        else:
            try:
                yield journal
            finally:
                await journal.aclose()
                nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise JournalError(f"journal.ca, {ca}: no certificates in PEM ({error.reason})") from None
    except OSError as error:
        raise JournalError(f"journal.ca, {ca}: {error.strerror}") from None
