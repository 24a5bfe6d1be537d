"""A WebSocket without a task: frames out as everywhere, messages in by wsproto.

wsproto's connection is made when a client says something other than a pong to our pings; most
dashboards never do.
"""

from __future__ import annotations

import socket

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from pushsvc.core import wire
from pushsvc.core.hub import Hub
from pushsvc.core.subscriber import Ending, Subscriber
from pushsvc.errors import Malformed, Problem, TooLarge
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine
from pushsvc.transport.inbound import Conversation

_PING = wire.websocket_frame(b"", 0x9)
_PONG = b"\x8a\x80"
"""How a client's pong to our empty ping begins; its mask follows, and nothing else."""
_CLOSE_TIMEOUT = 5.0


class WebSocketCarrier(DetachedCarrier):
    """Carries a WebSocket whose handshake was answered without extensions."""

    __slots__ = (
        "_close_by",
        "_conversation",
        "_heard_at",
        "_inbound",
        "_parts",
        "_pinged_at",
        "_size",
    )

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        sock: socket.socket,
        subscriber: Subscriber,
        conversation: Conversation,
    ) -> None:
        super().__init__(engine, hub, sock, subscriber, "websocket")
        self._conversation = conversation
        self._inbound: Connection | None = None
        self._parts: list[str] = []
        self._size = 0
        self._heard_at = trio.current_time()
        self._pinged_at: float | None = None
        self._close_by: float | None = None

    def tend(self, now: float) -> None:
        """Ping who was not heard for a heartbeat; cut who doesn't answer within another."""
        interval = self.subscriber.view.wish.heartbeat
        if self._close_by is not None:
            if now >= self._close_by:
                self.abort()
        elif self._pinged_at is not None:
            if now - self._pinged_at >= interval:
                self._hub.counts["subscribers_unanswering"] += 1
                self.abort()
        elif now - self._heard_at >= interval and self._tail is None:
            self._pinged_at = now
            self._write(_PING)

    def _receive(self, data: bytes) -> None:
        self._heard_at = trio.current_time()
        self._pinged_at = None
        if self._inbound is None:
            if len(data) == 6 and data.startswith(_PONG):
                return
            self._inbound = Connection(ConnectionType.SERVER)
        try:
            self._inbound.receive_data(data)
            for event in self._inbound.events():
                self._take(event)
                if self.closed:
                    return
        except RemoteProtocolError as error:
            hint = error.event_hint
            code = hint.code if isinstance(hint, CloseConnection) else 1002
            self._refuse(code, "protocol")
        except Problem as problem:
            self.end(Ending(problem.code, problem.close_code, message=problem.detail))

    def _take(self, event: Event) -> None:
        if self._close_by is not None and not isinstance(event, CloseConnection):
            return  # it was told that this is over; what it said before it knew is no matter
        if isinstance(event, TextMessage):
            self._size += len(event.data)
            self._parts.append(event.data)
            if self._size > self._conversation.message_bytes:
                raise TooLarge(
                    "message",
                    f"a message of more than {self._conversation.message_bytes} bytes "
                    "(limits.message_bytes)",
                )
            if event.message_finished:
                message = "".join(self._parts)
                self._parts.clear()
                self._size = 0
                self._conversation.answer(self.subscriber, message)
        elif isinstance(event, BytesMessage):
            raise Malformed("binary", "binary messages mean nothing here: send JSON as text")
        elif isinstance(event, Ping):
            # A pong may be left out (RFC 6455 section 5.5.3): it is, while the socket is full.
            if self._tail is None:
                self._write(wire.websocket_frame(bytes(event.payload), 0xA))
        elif isinstance(event, CloseConnection):
            self._closed_by_peer(event)

    def _closed_by_peer(self, event: CloseConnection) -> None:
        if self._close_by is None and self._tail is None:
            code = int(event.code)
            payload = b"" if code in (1005, 1006) else code.to_bytes(2, "big")
            self._write(wire.websocket_frame(payload, 0x8))
        self.abort()

    def _refuse(self, code: int, reason: str) -> None:
        self.end(Ending(reason, code))

    def _farewell(self, ending: Ending) -> bytes:
        frames = wire.farewell(ending.reason, ending.message, ending.retry_ms)
        payload = ending.close_code.to_bytes(2, "big") + ending.reason.encode()[:123]
        close = wire.websocket_frame(payload, 0x8)
        return b"".join(frame.encoded("websocket") for frame in frames) + close

    def _finish(self) -> None:
        """The close frame is out: the client answers it, or its time runs out."""
        if self._close_by is None:
            self._close_by = trio.current_time() + _CLOSE_TIMEOUT
            self._hub.unsubscribe(self.subscriber, now=trio.current_time())
