"""A WebSocket without a task: frames go out like everywhere, messages are read with wsproto.

wsproto's connection is made when a client first sends something other than a pong; most dashboards
never do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import Wire
from pushsvc.core.hub import Hub
from pushsvc.errors import Problem
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine
from pushsvc.transport.inbound import Conversation
from pushsvc.transport.incoming import CloseConnection, Incoming, Ping

_PING = wire.websocket_frame(b"", 0x9)
_PONG = b"\x8a\x80"
"""The first bytes of a client's pong to our empty ping; only its mask follows."""
_CLOSE_TIMEOUT = 5.0


class WebSocketCarrier(DetachedCarrier):
    """Carries a WebSocket, with permessage-deflate if its wire says so."""

    __slots__ = (
        "_close_by",
        "_conversation",
        "_heard_at",
        "_incoming",
        "_make_conversation",
        "_pinged_at",
    )

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        sock: socket.socket,
        subscriber: Subscriber,
        wire: Wire,
        make_conversation: Callable[[], Conversation],
    ) -> None:
        super().__init__(engine, hub, sock, subscriber, wire)
        self._make_conversation = make_conversation
        self._conversation: Conversation | None = None
        self._incoming: Incoming | None = None
        self._heard_at = subscriber.since
        self._pinged_at: float | None = None
        self._close_by: float | None = None

    def tend(self, now: float) -> None:
        """Ping a client that has been silent for a heartbeat; cut one that doesn't answer within
        another."""
        super().tend(now)
        if self.closed:
            return
        interval = self.subscriber.view.spec.heartbeat
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
        if self._incoming is None or self._conversation is None:
            if len(data) == 6 and data.startswith(_PONG):
                return
            self._conversation = self._make_conversation()
            self._incoming = Incoming(
                self._conversation.message_bytes, deflated=self._wire == "websocket-deflate"
            )
        try:
            for event in self._incoming.feed(data):
                self._take(event, self._conversation)
                if self.closed:
                    return
        except Problem as problem:
            self.end(Ending(problem.code, problem.close_code, message=problem.detail))

    def _take(self, event: str | bytes | Ping | CloseConnection, talk: Conversation) -> None:
        if self._close_by is not None and not isinstance(event, CloseConnection):
            return  # the stream has ended for it; what it sent before it knew that is ignored
        if isinstance(event, str | bytes):
            talk.answer(self.subscriber, event)
        elif isinstance(event, Ping):
            # A pong may be left out (RFC 6455 section 5.5.3), as it is while the socket is full.
            if self._tail is None:
                self._write(wire.websocket_frame(bytes(event.payload), 0xA))
        else:
            self._answer_close(event)

    def _answer_close(self, event: CloseConnection) -> None:
        if self._close_by is None and self._tail is None:
            code = int(event.code)
            reason = (event.reason or "").encode()[:123]
            payload = b"" if code in (1005, 1006) else code.to_bytes(2, "big") + reason
            self._write(wire.websocket_frame(payload, 0x8))
        self.abort()

    def _farewell(self, ending: Ending) -> bytes:
        frames = wire.farewell(ending.reason, ending.message, ending.retry_ms)
        payload = ending.close_code.to_bytes(2, "big") + ending.reason.encode()[:123]
        close = wire.websocket_frame(payload, 0x8)
        return b"".join(frame.encoded("websocket") for frame in frames) + close

    def _finish(self) -> None:
        """The close frame is sent: wait for the client's answer, but not for long."""
        if self._close_by is None:
            self._close_by = trio.current_time() + _CLOSE_TIMEOUT
            self._hub.unsubscribe(self.subscriber, now=trio.current_time())
