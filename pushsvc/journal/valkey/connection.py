"""One connection to a server: coredis' protocol on a stream that is opened here."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import anyio
import trio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import ConnectionError as ConnectionLost
from coredis.exceptions import RedisError

from pushsvc.journal.valkey.address import Host
from pushsvc.journal.valkey.trouble import Away, trouble

CONNECT = 3.0
"""Seconds for a connection to be there, with TLS and password."""
ANSWER = 5.0
"""Seconds for an answer, unless said otherwise."""


class Login:
    """How to get in, at any server."""

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        db: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.username = username
        self.password = password
        self.db = db
        self.tls = tls

    @property
    def user(self) -> str:
        return self.username or "default"


class _Opened(BaseConnection):
    """coredis' connection, on a stream that is open."""

    def __init__(self, stream: ByteStream, login: Login) -> None:
        super().__init__(
            TCPLocation("", 0),
            username=login.username,
            password=login.password,
            db=login.db,
        )
        self._opened = stream

    async def _connect(self) -> ByteStream:
        return self._opened

    def describe(self) -> str:
        return "journal"


class Connection:
    """Commands to a server, and its answers, in the order they were asked."""

    def __init__(self, opened: _Opened, where: Host | str, user: str) -> None:
        self._opened = opened
        self._user = user
        self.ended = trio.Event()
        self.where = where
        self.server = str(where)

    async def ask(self, *command: bytes | str | int, timeout: float = ANSWER) -> Any:
        """Raises Away where no answer came, and what coredis makes of errors: RedisError."""
        (answer,) = await self.ask_all([command], timeout)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def ask_all(
        self, commands: Sequence[Sequence[bytes | str | int]], timeout: float = ANSWER
    ) -> list[Any]:
        """Send commands together. Answers that are errors are in the list. Raises Away.

        Without all answers in time the connection is closed. Cancelled, what was sent is done.
        """
        answers: list[Any] = []
        try:
            requests = [
                self._opened.create_request(_bytes(command[0]), *command[1:], decode=False)
                for command in commands
            ]
            with trio.fail_after(timeout):
                for request in requests:
                    try:
                        answers.append(await request)
                    except ConnectionLost:
                        raise
                    except RedisError as error:
                        answers.append(error)
        except trio.TooSlowError:
            self.close()
            raise Away(f"{self.server} doesn't answer") from None
        except (ConnectionLost, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            self.close()
            raise Away(f"{self.server} closed the connection") from error
        return answers

    def means(self, error: RedisError) -> Exception:
        """What it means that the server answered so."""
        return trouble(error, self.server, self._user)

    def close(self) -> None:
        self._opened.invalidate()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Started when it can be used; raises what it can't be used for, as RedisError."""
        try:
            await self._opened.run(task_status=task_status)
        finally:
            self.ended.set()


async def connect(nursery: trio.Nursery, where: Host | str, login: Login) -> Connection:
    """Connect to a host, or to a Unix socket by its path, with tasks in a nursery.

    Raises Away, or JournalError where it won't get better by itself.
    """
    server = str(where)
    try:
        with trio.fail_after(CONNECT):
            stream = await _open(where, login, server)
    except trio.TooSlowError:
        raise Away(f"{server} can't be reached: no answer in {CONNECT:.0f} s") from None
    connection = Connection(_Opened(stream, login), where, login.user)
    try:
        with trio.move_on_after(CONNECT) as scope:
            await nursery.start(connection.run)
    except RedisError as error:
        if scope.cancel_called:
            raise Away(f"{server} doesn't answer") from None
        if isinstance(error, ConnectionLost) and login.tls is None:
            raise Away(
                f"{server} closed the connection; where it speaks TLS, journal.url begins with "
                "valkeys://"
            ) from error
        raise trouble(error, server, login.user) from error
    if scope.cancelled_caught:
        raise Away(f"{server} doesn't answer")
    return connection


async def _open(where: Host | str, login: Login, server: str) -> ByteStream:
    try:
        if isinstance(where, str):
            return await anyio.connect_unix(where)
        stream = await anyio.connect_tcp(where.name, where.port)
    except OSError as error:
        raise trouble(error, server, login.user) from error
    if login.tls is None:
        return stream
    try:
        with trio.move_on_after(CONNECT / 2):
            return await TLSStream.wrap(
                stream, hostname=where.name, ssl_context=login.tls, standard_compatible=False
            )
        what = "doesn't answer in TLS"
    except ssl.SSLError as error:
        await anyio.aclose_forcefully(stream)
        raise trouble(error, server, login.user) from error
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        what = "closes the connection when it is to speak TLS"
    except trio.Cancelled:
        await anyio.aclose_forcefully(stream)
        raise
    await anyio.aclose_forcefully(stream)
    raise Away(f"{server} {what}: where it doesn't speak it, journal.url begins with valkey://")


def _bytes(text: bytes | str | int) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()
