"""One connection to a server: coredis' parser and errors, on a stream that is opened here.

The caller of a command writes it itself. coredis' own connection has a task that writes besides the
one that reads, which doubles the cost of a round trip; and a log consists of round trips.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any

import anyio
import trio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream
from coredis.constants.resp import DataType
from coredis.exceptions import RedisError
from coredis.parser import NotEnoughData, Parser

from pushsvc.journal.valkey.address import Host
from pushsvc.journal.valkey.trouble import Away, trouble

CONNECT = 3.0
"""Seconds for each step of connecting: opening the stream, with TLS, and logging in."""
ANSWER = 5.0
"""Seconds for an answer, unless said otherwise."""
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Login:
    """The credentials for any of the servers, and its TLS context."""

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


class _Answers:
    """The answers to commands that were sent together."""

    __slots__ = ("done", "found", "missing")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.found: list[Any] = []
        self.done = trio.Event()


class Connection:
    """Sends commands to a server, and receives its answers in the same order."""

    def __init__(self, stream: ByteStream, where: Host | str, user: str) -> None:
        self._stream = stream
        # Data that fits into its buffer is sent without waiting.
        self._socket: socket.socket | None = None
        if not isinstance(stream, TLSStream):
            self._socket = stream.extra(SocketAttribute.raw_socket, None)  # noqa: S610
        self._user = user
        self._parser = Parser()
        self._sending = trio.Lock()
        self._waiting: deque[_Answers] = deque()
        self._scope = trio.CancelScope()
        self._closed = False
        self.ended = trio.Event()
        self.where = where
        self.server = str(where)

    async def ask(self, *command: bytes | str | int, timeout: float = ANSWER) -> Any:
        """Raises Away if no answer came, and RedisError if the answer is an error."""
        (answer,) = await self.ask_all([command], timeout)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def ask_all(
        self, commands: Sequence[Sequence[bytes | str | int]], timeout: float = ANSWER
    ) -> list[Any]:
        """Send commands together. Answers that are errors are in the list. Raises Away.

        If answers are missing after the timeout, the connection is closed. A command that was sent
        is executed even if the caller is cancelled.
        """
        answers = _Answers(len(commands))
        try:
            with trio.fail_after(timeout):
                await self._send(answers, _packed(commands), timeout)
                await answers.done.wait()
        except trio.TooSlowError:
            self.close()
            raise Away(f"{self.server} doesn't answer") from None
        if answers.missing:
            raise Away(f"{self.server} closed the connection")
        return answers.found

    async def _send(self, answers: _Answers, data: bytes, timeout: float) -> None:
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            if self._closed:
                answers.done.set()
                return
            self._waiting.append(answers)
            if rest := data[self._send_nowait(data) :]:
                await self._send_rest(rest, timeout)
        finally:
            self._sending.release()

    def _send_nowait(self, data: bytes) -> int:
        """Send what the socket takes at once; returns the number of bytes."""
        if self._socket is None:
            return 0
        try:
            return self._socket.send(data)
        except OSError:  # its buffer is full, or it failed: then sending the rest fails too
            return 0

    async def _send_rest(self, data: bytes, timeout: float) -> None:
        # A command that is sent in part is always completed: the server could not parse the next
        # one otherwise.
        with trio.move_on_after(timeout, shield=True) as sending:
            try:
                await self._stream.send(data)
            except _GONE:
                self.close()
        if sending.cancelled_caught:
            self.close()

    def means(self, error: RedisError) -> Exception:
        """The exception for an error that the server answered."""
        return trouble(error, self.server, self._user)

    def close(self) -> None:
        self._closed = True
        self._scope.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Read answers until the connection is closed, at either end. Started at once."""
        task_status.started()
        try:
            with self._scope:
                await self._receive()
        finally:
            self._closed = True
            for answers in self._waiting:
                answers.done.set()
            self._waiting.clear()
            self.ended.set()
            await anyio.aclose_forcefully(self._stream)

    async def _receive(self) -> None:
        while True:
            try:
                data = await self._stream.receive()
            except _GONE:
                return
            self._parser.feed(data)
            while not isinstance(answer := self._parser.parse(), NotEnoughData):
                kind, found = answer
                if kind == DataType.PUSH:
                    continue
                if not self._waiting:
                    return  # an answer without a command: it doesn't speak the protocol
                answers = self._waiting[0]
                answers.found.append(found)
                answers.missing -= 1
                if not answers.missing:
                    self._waiting.popleft()
                    answers.done.set()

    async def log_in(self, login: Login) -> None:
        """Log in and select the database, first on a connection. Raises Away, RedisError."""
        hello: list[bytes | str | int] = [b"HELLO", 3]
        if login.username or login.password:
            hello += [b"AUTH", login.user, login.password or ""]
        commands: list[list[bytes | str | int]] = [hello]
        if login.db:
            commands.append([b"SELECT", login.db])
        for answer in await self.ask_all(commands, CONNECT):
            if isinstance(answer, RedisError):
                raise answer


async def connect(nursery: trio.Nursery, where: Host | str, login: Login) -> Connection:
    """Connect to a host, or to a Unix socket by its path, with tasks in a nursery.

    Raises Away, or JournalError if trying again won't help.
    """
    server = str(where)
    try:
        with trio.fail_after(CONNECT):
            stream = await _open(where, login, server)
    except trio.TooSlowError:
        raise Away(f"{server} can't be reached: no answer in {CONNECT:.0f} s") from None
    connection = Connection(stream, where, login.user)
    await nursery.start(connection.run)
    try:
        await connection.log_in(login)
    except Away as error:
        closed = connection.ended.is_set()
        connection.close()
        if closed and login.tls is None:
            raise Away(
                f"{server} closed the connection; where it speaks TLS, journal.url begins with "
                "valkeys://"
            ) from error
        raise
    except RedisError as error:
        connection.close()
        raise trouble(error, server, login.user) from error
    except BaseException:
        connection.close()
        raise
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


def _packed(commands: Sequence[Sequence[bytes | str | int]]) -> bytes:
    """Commands as they are sent: https://valkey.io/topics/protocol."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for part in command:
            data = part if isinstance(part, bytes) else str(part).encode()
            parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)
