"""The real service on a free loopback port, inside the test's own nursery."""

from __future__ import annotations

import contextlib
import socket
import ssl
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import h11
import httpx
import msgspec
import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from pushsvc import zstd
from pushsvc.config import Auth, Dashboards, Ingest, Keeping, Server, Settings, Web
from pushsvc.config.settings import Recording
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.service import run_service
from tests.authority import Authority

detach: ContextVar[bool] = ContextVar("detach", default=True)
"""Whether services that are started here carry streams on detached sockets."""
authority: ContextVar[Authority | None] = ContextVar("authority", default=None)
"""Who signed for services that are started here; without one they don't use TLS."""


@contextlib.contextmanager
def carried(way: str, by: Authority) -> Iterator[None]:
    """Have services that are started here carry streams so: `detached`, `asgi`, or `tls`, which is
    detached, too."""
    tokens = detach.set(way != "asgi"), authority.set(by if way == "tls" else None)
    try:
        yield
    finally:
        detach.reset(tokens[0])
        authority.reset(tokens[1])


TRUST = ssl.create_default_context()
"""For clients that use no TLS, as they would make one each: that takes 60 ms."""


class Served:
    """A running service, and how to talk to it."""

    def __init__(
        self,
        url: str,
        http: httpx.AsyncClient,
        drain: trio.Event,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`trust` is whose certificates are trusted; None where it doesn't use TLS."""
        self.url = url
        self.http = http
        self.drain = drain
        self.trust = trust
        self.host, _, port = url.split("/")[2].rpartition(":")
        self.port = int(port)

    async def publish(self, *samples: dict[str, Any]) -> dict[str, Any]:
        response = await self.http.post("/v1/samples", json={"samples": list(samples)})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def metric(self, name: str, headers: Mapping[str, str] | None = None) -> float:
        for line in (await self.http.get("/metrics", headers=headers)).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise KeyError(name)

    async def wait_metric(
        self, name: str, value: float, headers: Mapping[str, str] | None = None
    ) -> None:
        """Wait until the service says so of itself."""
        with trio.fail_after(30):
            while await self.metric(name, headers) != value:
                await trio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def documents(
        self, accept: str, *, headers: Mapping[str, str] | None = None, **parameters: Any
    ) -> AsyncIterator[Documents]:
        """A stream over SSE or NDJSON, as documents."""
        query = str(httpx.QueryParams(parameters))
        async with await self.connect() as stream:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(
                method="GET",
                target=f"/v1/stream?{query}",
                headers=[("Host", "test"), ("Accept", accept), *(headers or {}).items()],
            )
            await stream.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
            documents = Documents(stream, connection)
            await documents.open()
            yield documents

    @contextlib.asynccontextmanager
    async def websocket(
        self,
        query: str = "",
        subprotocols: list[str] | None = None,
        headers: Mapping[str, str] | None = None,
        path: str = "/v1/stream",
    ) -> AsyncIterator[WebSocketConnection]:
        """A WebSocket, of a stream unless said otherwise, by trio-websocket."""
        # On a stream of our own: the library leaves its socket to the collector when it is
        # rejected, or closed by the server.
        closing = False
        try:
            async with await self.connect() as stream, trio.open_nursery() as nursery:
                websocket = await wrap_client_stream(
                    nursery,
                    stream,
                    f"{self.host}:{self.port}",
                    f"{path}?{query}",
                    subprotocols=subprotocols,
                    extra_headers=[
                        (name.encode(), value.encode()) for name, value in (headers or {}).items()
                    ],
                )
                yield websocket
                closing = True
                await websocket.aclose()
        except* LocalProtocolError:
            if not closing:  # by then the library still answers pings, which it may not
                raise

    async def rejection(
        self,
        subprotocols: list[str] | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """The HTTP status with which a WebSocket is turned away."""
        status: list[int] = []
        try:
            async with self.websocket(query, subprotocols, headers):
                pass
        except* ConnectionRejected as group:
            leaf: BaseException = group
            while isinstance(leaf, BaseExceptionGroup):
                leaf = leaf.exceptions[0]
            assert isinstance(leaf, ConnectionRejected)
            status.append(leaf.status_code)
        return status[0]

    async def raw(self, request: bytes) -> trio.abc.Stream:
        """A bare connection on which this was sent."""
        stream = await self.connect()
        await stream.send_all(request)
        return stream

    async def connect(
        self, *, receive_buffer: int = 0
    ) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        """A bare connection, with TLS where the service has it. `receive_buffer` is the size of the
        kernel's, where that matters."""
        sock = trio.socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect((self.host, self.port))
        stream = trio.SocketStream(sock)
        if self.trust is None:
            return stream
        return trio.SSLStream(stream, self.trust, server_hostname=self.host, https_compatible=True)


class _Frames:
    """Expands frames of zstd, one after the other, as they come."""

    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor()

    def __call__(self, data: bytes) -> bytes:
        expanded = self._inner.decompress(data)
        while self._inner.eof and self._inner.unused_data:
            data, self._inner = self._inner.unused_data, zstd.ZstdDecompressor()
            expanded += self._inner.decompress(data)
        if self._inner.eof:
            self._inner = zstd.ZstdDecompressor()
        return expanded


EXPAND: Mapping[str, Callable[[], Callable[[bytes], bytes]]] = {
    "identity": lambda: bytes,
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "zstd": _Frames,
}
"""What makes the text of a stream out of its content coding, as much as has come."""


class Documents:
    """The documents of one SSE or NDJSON response, as they come."""

    def __init__(self, stream: trio.abc.Stream, connection: h11.Connection) -> None:
        self._stream = stream
        self._connection = connection
        self._rest = b""
        self._expand: Callable[[bytes], bytes] = bytes
        self._ready: deque[dict[str, Any]] = deque()
        self.headers: dict[str, str] = {}

    async def open(self) -> None:
        event = await self._event()
        assert isinstance(event, h11.Response), event
        assert event.status_code == 200, event
        self.headers = {name.decode(): value.decode() for name, value in event.headers}
        self._expand = EXPAND[self.headers.get("content-encoding", "identity")]()

    async def _event(self) -> Any:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(bytes(await self._stream.receive_some(65536)))
        return event

    def __aiter__(self) -> Documents:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._ready:
            event = await self._event()
            if not isinstance(event, h11.Data):
                raise StopAsyncIteration
            *lines, self._rest = (self._rest + self._expand(bytes(event.data))).split(b"\n")
            for line in lines:
                text = line.removeprefix(b"data: ")
                if text.startswith(b"{"):
                    self._ready.append(msgspec.json.decode(text))
        return self._ready.popleft()


@contextlib.asynccontextmanager
async def serving(
    *,
    limits: Limits | None = None,
    history: Retention | None = None,
    stream: Pacing | None = None,
    server: Server | None = None,
    verify: ssl.SSLContext | None = None,
    ingest: Ingest | None = None,
    auth: Auth | None = None,
    web: Web | None = None,
    dashboards: Dashboards | None = None,
    journal: Keeping | None = None,
    recording: Recording | None = None,
) -> AsyncIterator[Served]:
    """Run the service; on leaving it is drained, and must end in good time."""
    pacing = stream or Pacing()
    server = server or Server(port=0)
    if (by := authority.get()) is not None:
        files = {"certfile": str(by.certfile), "keyfile": str(by.keyfile)}
        server, verify = msgspec.structs.replace(server, **files), by.trust
    settings = Settings(
        server=server,
        limits=limits or Limits(),
        history=history or Retention(),
        ingest=ingest or Ingest(),
        auth=auth or Auth(),
        web=web or Web(),
        dashboards=dashboards or Dashboards(),
        journal=journal or Keeping(),
        recording=recording or Recording(),
        stream=msgspec.structs.replace(pacing, detach=detach.get()),
    )
    drain = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[tuple[str, ...]]) -> None:
            await run_service(settings, drain=drain, task_status=task_status)

        places: tuple[str, ...] = await nursery.start(run)
        url = next(place for place in places if place.startswith("http"))
        async with httpx.AsyncClient(base_url=url, timeout=60, verify=verify or TRUST) as http:
            yield Served(url, http, drain, verify if server.certfile else None)
        drain.set()
        nursery.cancel_scope.deadline = trio.current_time() + 25


async def next_of(documents: AsyncIterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The next document of this type."""
    with trio.fail_after(30):
        async for document in documents:
            if document["type"] == kind:
                return document
    raise AssertionError(f"the stream ended before a {kind}")
