"""One connection to a server: coredis' parser and errors, on a stream that is opened here.

Each command wakes one task once, the one that asks. coredis' own connection has a task that writes
beside the one that reads, which makes a round trip cost twice as much; and a log is round trips.
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
"""Seconds for a connection to be there, with TLS and password."""
ANSWER = 5.0
"""Seconds for an answer, unless said otherwise."""
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


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


class _Answers:
    """What is to come for commands that were sent together."""

    __slots__ = ("done", "found", "missing")

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.found: list[Any] = []
        self.done = trio.Event()


class Connection:
    """Commands to a server, and its answers, in the order they were asked."""

    def __init__(self, stream: ByteStream, where: Host | str, user: str) -> None:
        self._stream = stream
        # What goes into its buffer at once waits for nobody's turn.
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
        """Raises Away where no answer came, and what the server answers of errors: RedisError."""
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
        """How many bytes the socket has taken."""
        if self._socket is None:
            return 0
        try:
            return self._socket.send(data)
        except OSError:  # or it is full; whatever else it is, who sends the rest is told
            return 0

    async def _send_rest(self, data: bytes, timeout: float) -> None:
        # What is begun is sent whole, since what comes after it could not be read otherwise.
        with trio.move_on_after(timeout, shield=True) as sending:
            try:
                await self._stream.send(data)
            except _GONE:
                self.close()
        if sending.cancelled_caught:
            self.close()

    def means(self, error: RedisError) -> Exception:
        """What it means that the server answered so."""
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
                    return  # nothing was asked: it doesn't speak the protocol
                answers = self._waiting[0]
                answers.found.append(found)
                answers.missing -= 1
                if not answers.missing:
                    self._waiting.popleft()
                    answers.done.set()

    async def log_in(self, login: Login) -> None:
        """What comes first on a connection. Raises Away, RedisError."""
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

    Raises Away, or JournalError where it won't get better by itself.
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
