"""The journal at a Valkey or Redis, which many processes share: each of them appends, and all read
the same entries in the same order.

What it promises
----------------
An append is answered when the primary has the entries, all of them or none: in memory, and on disk
as its own settings say. A process, the network or the server may fail at any moment: what was sent
and not answered is sent again with the same number, and is in the log once. While the server is
away, appends that weren't sent are refused and may be tried again; reading continues by itself.

What can be lost, and how that is reported
------------------------------------------
Replication is asynchronous, and by default so is the disk (`appendfsync everysec`). If a primary
dies, the last answered entries are lost unless its replica, or its disk, already had them: usually
some milliseconds of entries with replication, up to a second with the disk. With `replicas` an
append is answered only when that many replicas have the entries (WAIT), with `fsync` when they are
on disk too (WAITAOF). A failover then loses answered entries only if the promoted replica is none
of those, and a primary that is cut off answers nothing. With `min-replicas-to-write` at the server,
a primary without replicas refuses writes, which limits what a replaced primary still accepts.

Loss is never silent. Each process knows the last entry that it read, and after each new connection
checks by its nonce whether it is still there. If it isn't, the first process to find out changes
the journal's epoch at the server, in one atomic step; all others see the new epoch with their next
read or append. Reading ends with `EpochChanged`, and the dashboards of each process are told that
they have a gap of unknown size. A server that comes back empty also has a new epoch.

What the server needs
---------------------
Valkey, or Redis 7 or newer; `appendonly yes`, so that a restart keeps the journal; no eviction
of keys that have no time to live (`maxmemory-policy noeviction`, or one of `volatile-`). All keys
begin with `{PREFIX}:`, so that a Cluster keeps them in one slot. One server holds the whole log.
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

    `ca` is a file of PEM certificates that are trusted instead of the system's; `starting` is told
    while the start waits for the server. Raises JournalError if it can't be opened.
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
