"""The four ways to a stream, each as bare as can be, without a task of its own."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Protocol

import h11
import httpx
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Ping, Request, TextMessage

from tests.serving import Served

Document = dict[str, Any]


class Link(Protocol):
    """One connection. `next` gives a document, or None when there is none within the time."""

    async def next(self, seconds: float) -> Document | None: ...

    async def watch(self, message: Document) -> None: ...

    async def close(self) -> None: ...


async def _connect(served: Served) -> trio.SocketStream:
    """A connection on which little is under way, so that who doesn't read holds the server up."""
    sock = trio.socket.socket()
    try:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await sock.connect((served.host, served.port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


class _Socket:
    """Bytes of one connection, some time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.ready: deque[Document] = deque()

    def feed(self, data: bytes) -> bytes:
        raise NotImplementedError

    async def next(self, seconds: float) -> Document | None:
        with trio.move_on_after(seconds):
            while not self.ready:
                data = await self.stream.receive_some(4096)
                answer = self.feed(data)
                if answer:
                    await self.stream.send_all(answer)
                if not data:
                    break
        return self.ready.popleft() if self.ready else None

    async def close(self) -> None:
        await trio.aclose_forcefully(self.stream)


class WebSocketLink(_Socket):
    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._parts: list[str] = []
        self._accepted = False

    @classmethod
    async def open(cls, served: Served, query: str) -> WebSocketLink:
        link = cls(await _connect(served))
        request = Request(host="chaos", target=f"/v1/stream?{query}", subprotocols=["pushsvc.v1"])
        await link.stream.send_all(link._connection.send(request))
        while not link._accepted:
            link.feed(await link.stream.receive_some(4096))
        return link

    def feed(self, data: bytes) -> bytes:
        self._connection.receive_data(data or None)
        answer = b""
        for event in self._connection.events():
            if isinstance(event, TextMessage):
                self._parts.append(event.data)
                if event.message_finished:
                    self.ready.append(json.loads("".join(self._parts)))
                    self._parts.clear()
            elif isinstance(event, Ping):
                answer += self._connection.send(event.response())
            elif isinstance(event, AcceptConnection):
                self._accepted = True
            else:
                raise ConnectionError(f"the server sent {event}")
        return answer

    async def watch(self, message: Document) -> None:
        await self.stream.send_all(self._connection.send(Message(data=json.dumps(message))))


class EventLink(_Socket):
    """SSE or NDJSON: lines of one endless answer."""

    def __init__(self, stream: trio.SocketStream, served: Served) -> None:
        super().__init__(stream)
        self._http = h11.Connection(h11.CLIENT)
        self._served = served
        self._rest = b""
        self._session = ""

    @classmethod
    async def open(cls, served: Served, query: str, accept: str) -> EventLink:
        link = cls(await _connect(served), served)
        headers = [("Host", "chaos"), ("Accept", accept)]
        request = h11.Request(method="GET", target=f"/v1/stream?{query}", headers=headers)
        await link.stream.send_all(link._http.send(request) + link._http.send(h11.EndOfMessage()))
        return link

    def feed(self, data: bytes) -> bytes:
        self._http.receive_data(data)
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response) and event.status_code != 200:
                raise ConnectionError(f"the server answered {event.status_code}")
            if event is h11.NEED_DATA or isinstance(event, h11.EndOfMessage):
                return b""
            if isinstance(event, h11.Data):
                *lines, self._rest = (self._rest + bytes(event.data)).split(b"\n")
                for line in lines:
                    line = line.removeprefix(b"data: ")
                    if line.startswith(b"{"):
                        document = json.loads(line)
                        self._session = document.get("session", self._session)
                        self.ready.append(document)

    async def watch(self, message: Document) -> None:
        while not self._session:
            document = await self.next(5.0)
            assert document is not None, "no hello came"
            self.ready.appendleft(document)
        answer = await self._served.http.post(f"/v1/stream/{self._session}", json=message)
        assert answer.status_code < 300, answer.text


class PollLink:
    """One long poll after another."""

    def __init__(self, served: Served, query: str) -> None:
        self._served = served
        pairs = httpx.QueryParams(query)
        self._since = pairs.get("since")
        self._query = pairs.remove("since")
        self._ready: deque[Document] = deque()

    async def next(self, seconds: float) -> Document | None:
        if not self._ready:
            query = self._query.set("wait", f"{min(seconds, 5.0):.3f}")
            if self._since is not None:
                query = query.set("since", self._since)
            answer = await self._served.http.get(
                "/v1/stream", params=query, headers={"Accept": "application/json"}
            )
            assert answer.status_code == 200, answer.text
            told = answer.json()
            self._since = told["id"]
            self._ready.append({"type": "answer", "id": None})  # what was described is over
            self._ready.extend(told["documents"])
            empty = not told["documents"]
            self._ready.append({"type": "answer", "id": told["id"], "empty": empty})
        return self._ready.popleft()

    async def watch(self, message: Document) -> None:
        raise NotImplementedError("a poll just asks for something else")

    async def close(self) -> None:
        self._ready.clear()


async def open_link(served: Served, transport: str, query: str) -> Link:
    """Open a stream over this transport."""
    if transport == "websocket":
        return await WebSocketLink.open(served, query)
    if transport == "longpoll":
        return PollLink(served, query)
    return await EventLink.open(served, query, MEDIA[transport])


MEDIA = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
TRANSPORTS = ("websocket", "sse", "ndjson", "longpoll")
