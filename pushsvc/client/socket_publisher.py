"""Publishing over a WebSocket: many batches a second, without a request for each."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from pushsvc.client.dial import (
    Token,
    Transport,
    authorization,
    backoff,
    dial,
    handshake,
    require_trio,
)
from pushsvc.client.errors import Busy, Refused, Unreachable

_CONNECT_TIMEOUT = 10.0
_ANSWER_TIMEOUT = 30.0


class _Waiting:
    """A batch that was sent and whose answer is still to come."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: dict[str, Any] | None = None


class SocketPublisher:
    """Publishes batches over one WebSocket. Made by `open_socket_publisher`.

    Several tasks may publish at the same time: batches are applied in the order in which they were
    sent. It connects when there is something to send, and again after a cut.
    """

    def __init__(
        self, url: str, nursery: trio.Nursery, token: Token, tls: ssl.SSLContext | None
    ) -> None:
        self._url = url
        self._token = token
        self._tls = tls
        self._nursery = nursery  # of `open_socket_publisher`, for the tasks of a connection
        self._opening = trio.Lock()
        self._socket: WebSocketConnection | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._tag = 0

    async def publish(
        self, samples: Iterable[Mapping[str, Any]], *, patience: float = 30.0
    ) -> dict[str, Any]:
        """Send one batch, of which all or nothing is applied. The answer has `applied` (samples),
        `id` (cursor) and `watchers` (subscribers).

        While the server says that it is behind, waits and tries again, for about `patience`
        seconds. Raises Refused for a batch that is invalid or not allowed, Busy, and Unreachable
        where no connection can be opened, or where it was cut or no answer came: in these cases it
        is unknown whether the batch was applied. Always checkpoints.
        """
        documents = list(samples)
        deadline = trio.current_time() + patience
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._publish(documents)
            except Busy as busy:
                delay = max(busy.retry_after, backoff(attempt))
                if trio.current_time() + delay > deadline:
                    raise
                await trio.sleep(delay)

    async def _publish(self, samples: list[Mapping[str, Any]]) -> dict[str, Any]:
        async with self._opening:
            socket = self._socket or await self._open()
        self._tag += 1
        tag = self._tag
        waiting = self._waiting[tag] = _Waiting()
        body = msgspec.json.encode({"tag": tag, "samples": samples}).decode()
        try:
            with trio.fail_after(_ANSWER_TIMEOUT):
                await socket.send_message(body)
                await waiting.done.wait()
        except ConnectionClosed as closed:
            raise Unreachable(f"{self._url}: {_why(closed)}") from None
        except trio.TooSlowError:
            await self.aclose()
            raise Unreachable(f"{self._url}: no answer within {_ANSWER_TIMEOUT:g} s") from None
        finally:
            self._waiting.pop(tag, None)
        answer = waiting.answer
        if answer is None:
            raise Unreachable(f"{self._url}: the connection was cut before the answer came")
        if answer["type"] == "applied":
            return {name: answer[name] for name in ("applied", "id", "watchers")}
        if "retry_after" in answer:
            raise Busy(answer["message"], float(answer["retry_after"]))
        raise Refused(answer["message"], answer["code"])

    async def _open(self) -> WebSocketConnection:
        target = urlsplit(self._url)
        resource = f"{target.path.rstrip('/')}/v1/publish"
        with trio.move_on_after(_CONNECT_TIMEOUT):
            transport = await dial(self._url, self._tls)
            try:
                socket: WebSocketConnection = await self._nursery.start(
                    handshake,
                    transport,
                    self._url,
                    target.netloc,
                    resource,
                    authorization(self._token),
                )
            except BaseException:
                await trio.aclose_forcefully(transport)
                raise
            self._socket = socket
            self._nursery.start_soon(self._read, socket, transport)
            return socket
        raise Unreachable(f"{self._url}: no answer within {_CONNECT_TIMEOUT:g} s")

    async def _read(self, socket: WebSocketConnection, transport: Transport) -> None:
        """Hand out answers until the connection ends; then fail all batches that still wait."""
        try:
            while True:
                answer = msgspec.json.decode(await socket.get_message(), type=dict[str, Any])
                if (waiting := self._waiting.get(answer.get("tag", 0))) is not None:
                    waiting.answer = answer
                    waiting.done.set()
        except ConnectionClosed:
            pass
        finally:
            if self._socket is socket:
                self._let_go()
            # trio-websocket leaves it open when the server closed first.
            await trio.aclose_forcefully(transport)

    def _let_go(self) -> None:
        self._socket = None
        for waiting in self._waiting.values():
            waiting.done.set()

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        socket = self._socket
        self._let_go()
        if socket is not None:
            with trio.move_on_after(0.5):
                await socket.aclose()


def _why(closed: ConnectionClosed) -> str:
    reason = closed.reason
    if reason is None:
        return "the connection was cut"
    return f"closed with {reason.code} {reason.reason or reason.name}"


@asynccontextmanager
async def open_socket_publisher(
    url: str, *, token: Token = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SocketPublisher]:
    """A publisher over a WebSocket to the service at `url`; it is closed when the block ends.

    `token` is an API key or JSON Web Token, or a function that returns the current one, called for
    each connection. `tls` says which certificates are trusted, those of the system if None.
    """
    require_trio()
    async with trio.open_nursery() as nursery:
        publisher = SocketPublisher(url, nursery, token, tls)
        try:
            yield publisher
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                await publisher.aclose()
            nursery.cancel_scope.cancel()
