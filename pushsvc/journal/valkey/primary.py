"""Finds the server that has the journal: the configured one, or the one that a Cluster or Sentinels
name."""

from __future__ import annotations

import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from coredis.exceptions import RedisError

from pushsvc.journal import JournalError
from pushsvc.journal.valkey.address import Address, Host
from pushsvc.journal.valkey.connection import Connection, Login
from pushsvc.journal.valkey.trouble import Away

Dial = Callable[[Host | str, Login], Awaitable[Connection]]
_SLOTS = 16_384


class Facts(msgspec.Struct, frozen=True):
    """What a server reports about itself."""

    mode: str
    """standalone, cluster or sentinel."""
    role: str
    """master, or one of the names for a replica."""
    version: str


async def facts(connection: Connection) -> Facts:
    """Raises Away or JournalError."""
    try:
        said = await connection.ask(b"HELLO")
    except RedisError as error:
        raise connection.means(error) from error
    return Facts(
        said.get(b"mode", b"standalone").decode(),
        said.get(b"role", b"master").decode(),
        said.get(b"version", b"?").decode(),
    )


async def find_primary(address: Address, login: Login, key: str, dial: Dial) -> Connection:
    """A connection to the server that has the journal. Raises Away or JournalError.

    `key` is one of the journal's keys: its slot decides which server of a Cluster has it.
    """
    if address.sentinel is not None:
        return await _by_sentinel(address, login, dial)
    failure: Away | JournalError | None = None
    for where in address.hosts or (address.path or "",):
        try:
            connection = await dial(where, login)
            try:
                return await _by_server(connection, where, address, login, key, dial)
            except BaseException:
                connection.close()
                raise
        except (Away, JournalError) as error:
            failure = failure or error
    assert failure is not None
    raise failure


async def _by_server(
    connection: Connection, where: Host | str, address: Address, login: Login, key: str, dial: Dial
) -> Connection:
    found = await facts(connection)
    server = connection.server
    if found.mode == "sentinel":
        raise JournalError(
            f"{server} is a Sentinel: journal.url ends with ?sentinel=NAME, its primary's name"
        )
    if found.mode == "cluster" and isinstance(where, Host):
        owner = await _owner(connection, where, key)
        if owner == where:
            return connection
        connection.close()
        return await dial(owner, login)
    if found.role != "master":
        several = len(address.hosts) > 1
        raise (Away if several else JournalError)(
            f"{server} is a replica, where nothing can be written: journal.url names the primary, "
            "or its Sentinels with ?sentinel=NAME"
        )
    return connection


async def _owner(connection: Connection, where: Host, key: str) -> Host:
    """The server of a Cluster that has the slot of a key."""
    slot = binascii.crc_hqx(_hashed(key).encode(), 0) % _SLOTS
    try:
        ranges = await connection.ask(b"CLUSTER", b"SLOTS")
    except RedisError as error:
        raise connection.means(error) from error
    for first, last, primary, *_ in ranges:
        if first <= slot <= last:
            name = primary[0].decode() if primary[0] else ""
            # An empty name means the host that was asked.
            return Host(name if name not in ("", "?") else where.name, primary[1])
    raise Away(f"{connection.server}: nobody in the Cluster has the journal's slot {slot}")


def _hashed(key: str) -> str:
    """The part of a key that decides its slot."""
    _, _, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return tag if tag and closed else key


async def _by_sentinel(address: Address, login: Login, dial: Dial) -> Connection:
    name = address.sentinel
    assert name is not None
    theirs = Login(
        username=address.sentinel_username, password=address.sentinel_password, tls=login.tls
    )
    reasons: list[str] = []
    unknown = 0
    for where in address.hosts:
        try:
            sentinel = await dial(where, theirs)
            try:
                said: Any = await sentinel.ask(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name)
            except RedisError as error:
                raise sentinel.means(error) from error
            finally:
                sentinel.close()
        except (Away, JournalError) as error:
            reasons.append(str(error))
            continue
        if not said:
            unknown += 1
            continue
        connection = await dial(Host(said[0].decode(), int(said[1])), login)
        found = await facts(connection)
        if found.role == "master":
            return connection
        connection.close()
        reasons.append(f"{connection.server}, the primary by {where}, is a replica still")
    if unknown == len(address.hosts):
        raise JournalError(f"no Sentinel at {address} knows a primary {name} (?sentinel=NAME)")
    raise Away("; ".join(reasons) or f"no Sentinel at {address} answers")
