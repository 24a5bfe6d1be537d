"""Hypercorn's WebSockets, which here say why they end.

Its own close a connection without a word when a client breaks the protocol, wait without end for
the answer of one that said too much, and stumble over bytes that come before their handshake is
answered.
"""

from __future__ import annotations

from typing import Any, Final

import hypercorn.protocol.h2
import hypercorn.protocol.h11
import trio
from hypercorn.protocol.events import Body, Data, EndBody, EndData, Event, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a client gets to answer when it is told that this is over."""
_CLOSE: Final = b"\x88"
"""What a close frame begins with (RFC 6455 section 5.5.1)."""


class ClosingWebSocket(WSStream):
    """One WebSocket of Hypercorn's, over HTTP/1.1 or HTTP/2."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.early = False
        """Whether bytes that came before the handshake was answered are still to be read."""
        self._answered = trio.Event()
        self._over = trio.Event()
        self._parting = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, StreamClosed):
            self._answered.set()
            self._over.set()
        elif isinstance(event, Body | Data) and not self.closed:
            if not self._answered.is_set():
                # Who is that hasty may well be let in: what it said is read when it is.
                self.early = True
                await self._answered.wait()
                self.early = False
            if self._parting:
                # A client that broke the protocol can't be read any more; this is its answer.
                if event.data.startswith(_CLOSE):
                    self._over.set()
                return
            if not self.handshake.accepted:
                return  # it was refused, and what follows is nothing
        elif isinstance(event, EndBody) and self._parting:
            self._over.set()
            return
        await super().handle(event)

    async def app_send(self, message: Any) -> None:
        if message is None and self._parting:
            return  # it ends when the client has answered
        try:
            await super().app_send(message)
        finally:
            self._answered.set()

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    most = self.config.websocket_max_message_size
                    reason = f"a message of more than {most} bytes (limits.message_bytes)"
                    await self._part(CloseReason.MESSAGE_TOO_BIG, reason)
                    return
                if event.message_finished:
                    await self.app_put(self.buffer.to_message())  # type: ignore[misc]
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                if self.connection.state is ConnectionState.OPEN:
                    await self._part(event.code, event.reason or "")
                    return
                if self.connection.state is ConnectionState.REMOTE_CLOSING:
                    await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _part(self, code: int, reason: str) -> None:
        """Say why, to the client and to the app; the connection ends when the client answers."""
        self._parting = True
        self.buffer.clear()
        await self._send_wsproto_event(CloseConnection(code, reason))
        await self.send(EndData(stream_id=self.stream_id))
        self.task_group.spawn(self._end)
        if self.app_put is not None:
            await self.app_put({"type": "websocket.disconnect", "code": code})

    async def _end(self) -> None:
        with trio.move_on_after(_CLOSE_TIMEOUT):
            await self._over.wait()
        await self.send(StreamClosed(stream_id=self.stream_id))


def install() -> None:
    """Have Hypercorn make these, in this process."""
    for module in (hypercorn.protocol.h11, hypercorn.protocol.h2):
        module.WSStream = ClosingWebSocket  # type: ignore[attr-defined]
