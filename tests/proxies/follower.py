"""A dashboard on one transport, which comes back with its cursor whenever it is cut."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlencode, urlsplit

import h11
import httpcore
import httpx
import msgspec
import trio
from h2.exceptions import H2Error
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from tests.serving import EXPAND

Document = dict[str, Any]

ACCEPT = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "longpoll": "application/json",
}
_CUT = (
    *(httpx.HTTPError, ConnectionClosed, ConnectionRejected, HandshakeError, OSError),
    # trio-websocket's own way of telling that the peer left amid a handshake.
    *(trio.BrokenResourceError, trio.TooSlowError, h11.ProtocolError),
    # httpcore's, of a server that ends an HTTP/2 connection and then goes on with an answer.
    *(H2Error, httpcore.ConnectionNotAvailable),
)
_PATIENCE = 3.0
"""Seconds that a handshake may take."""


class Refused(Exception):
    """The answer wasn't the stream."""


class Follower:
    """Follows the series `n`. Its values are 0, 1, 2, ... so that a loss or a double shows."""

    def __init__(
        self,
        url: str,
        transport: str,
        context: ssl.SSLContext,
        *,
        http2: bool = False,
        coding: str = "gzip",
    ) -> None:
        """`coding` is what it takes, and the plain text."""
        self.encoding: str | None = None
        """The content coding of the last answer."""
        self.coding = coding
        self.name = f"{transport} {'h2' if http2 else 'h1'} {url.partition(':')[0]}"
        self.values: list[float] = []
        self.gaps = 0
        self.beats = 0
        """Heartbeats, or polls that were answered without news."""
        self.hellos = 0
        """Connections that got as far as a first document."""
        self.cuts: list[tuple[float, str]] = []
        """When a connection ended that wasn't told to, and how."""
        self.first_byte: float | None = None
        """Seconds from the first request to the first document."""
        self._url = f"{url}/v1/stream"
        self._transport = transport
        self._context = context
        self._http2 = http2
        self._cursor: str | None = None
        # Seconds after which it takes a stream for dead: some proxies let one open and then
        # forget it.
        self._silence = 60.0
        self._news = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow until cancelled. It has started with the first document."""
        begin = trio.current_time()
        while True:
            reason = "it ended"
            try:
                async with contextlib.aclosing(self._documents()) as documents:
                    async for document in documents:
                        if self.first_byte is None:
                            self.first_byte = trio.current_time() - begin
                            task_status.started()
                        self._take(document)
            except* (*_CUT, Refused) as group:
                leaf: BaseException = group
                while isinstance(leaf, BaseExceptionGroup):
                    leaf = leaf.exceptions[0]
                reason = f"{type(leaf).__name__}: {leaf}"
            self.cuts.append((trio.current_time(), reason))
            await trio.sleep(0.05)

    async def wait_value(self, value: float, seconds: float) -> None:
        """Wait until it has been given this value."""
        with trio.move_on_after(seconds):
            while value not in self.values[-3:]:
                self._news = trio.Event()
                await self._news.wait()
            return
        raise AssertionError(
            f"{self.name}: no {value:g} within {seconds:g} s; last {self.values[-3:]}, "
            f"{len(self.cuts)} cuts, {self.cuts[-2:]}"
        )

    async def wait_cut(self, seconds: float) -> bool:
        """Whether it is cut within so many seconds."""
        before = len(self.cuts)
        with trio.move_on_after(seconds):
            while len(self.cuts) == before:
                await trio.sleep(0.02)
        return len(self.cuts) > before

    def _take(self, document: Document) -> None:
        self._cursor = document.get("id", self._cursor)
        if document["type"] == "hello":
            self.hellos += 1
            self._silence = 4 * document["heartbeat"]
        elif document["type"] == "heartbeat":
            self.beats += 1
        elif document["type"] == "gap":
            self.gaps += 1
        elif document["type"] == "points":
            self.values += [point[2] for point in document["points"]]
            self._news.set()

    def _query(self) -> str:
        query = {"select": "n"} | ({} if self._cursor is None else {"since": self._cursor})
        return f"{self._url}?{urlencode(query)}"

    async def _documents(self) -> AsyncGenerator[Document, None]:
        if self._transport == "websocket":
            url = self._query().replace("http", "ws", 1)
            async with self._websocket(url) as socket:
                while True:
                    with trio.fail_after(self._silence):
                        message = await socket.get_message()
                    yield msgspec.json.decode(message)
        polls = self._transport == "longpoll"
        async with httpx.AsyncClient(
            verify=self._context,
            http1=not self._http2,
            http2=self._http2,
            timeout=httpx.Timeout(10, read=None if polls else self._silence),
            trust_env=False,
            headers={"Accept": ACCEPT[self._transport], "Accept-Encoding": self.coding},
        ) as http:
            if polls:
                async for document in self._polled(http):
                    yield document
                return
            async with http.stream("GET", self._query()) as answer:
                _check(answer)
                self.encoding = answer.headers.get("Content-Encoding", "identity")
                expand, rest = EXPAND[self.encoding](), b""
                async for part in answer.aiter_raw():
                    *lines, rest = (rest + expand(part)).split(b"\n")
                    for line in lines:
                        text = line.removeprefix(b"data: ")
                        if text.startswith(b"{"):
                            yield msgspec.json.decode(text)

    @contextlib.asynccontextmanager
    async def _websocket(self, url: str) -> AsyncGenerator[WebSocketConnection, None]:
        # On a connection of our own: the library leaves its socket to the collector when the
        # handshake fails.
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        stream = raw = await trio.open_tcp_stream(target.hostname, target.port)
        try:
            if target.scheme == "wss":
                stream = trio.SSLStream(
                    raw, self._context, server_hostname=target.hostname, https_compatible=True
                )
            async with trio.open_nursery() as nursery:
                with trio.fail_after(_PATIENCE):
                    socket = await wrap_client_stream(
                        nursery, stream, target.netloc, f"{target.path}?{target.query}"
                    )
                yield socket
                await socket.aclose()
        finally:
            await trio.aclose_forcefully(raw)

    async def _polled(self, http: httpx.AsyncClient) -> AsyncGenerator[Document, None]:
        """One poll after another; each answer without news counts as a heartbeat."""
        while True:
            answer = await http.get(self._query())
            _check(answer)
            told = answer.json()
            for document in told["documents"]:
                yield document
            yield {"type": "poll" if told["documents"] else "heartbeat", "id": told["id"]}


def _check(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        raise Refused(f"{answer.status_code} {answer.reason_phrase}")
