"""Hypercorn's WebSockets, changed so that they say why they end.

Hypercorn's own close without a message when a client breaks the protocol; they wait without end for
the answer of a client that sent too much, or for an app that has ended; and they fail on bytes that
come before the handshake is answered.
"""

from __future__ import annotations

from typing import Any, Final

import hypercorn.protocol.h2
import hypercorn.protocol.h11
import trio
from hypercorn.protocol.events import Body, Data, EndBody, EndData, Event, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

_CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a client gets to answer a close frame."""
_CLOSE: Final = b"\x88"
"""The first byte of a close frame (RFC 6455 section 5.5.1)."""


class ClosingWebSocket(WSStream):
    """One WebSocket of Hypercorn's, over HTTP/1.1 or HTTP/2."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.early = False
        """Whether bytes that came before the answer to the handshake are still to be read."""
        self._answered = trio.Event()
        self._parting = False  # our close frame was sent
        self._broken = False  # what the client sends can't be read any more
        self._over = trio.Event()
        self._ended = False  # the app has ended
        self._told = False  # and was told that the client is gone
        self._passing = trio.CancelScope()
        self._telling = trio.CancelScope()

    async def handle(self, event: Event) -> None:
        if self.closed:
            return
        if isinstance(event, StreamClosed):
            self.closed = True
            self._answered.set()
            self._over.set()
            self._leave(CloseReason.ABNORMAL_CLOSURE)
        elif isinstance(event, Body | Data):
            if not self._answered.is_set():
                # A client that sends so early may still be accepted: its bytes are read then.
                self.early = True
                await self._answered.wait()
                self.early = False
            if self.handshake.accepted:
                self._hear(event.data)
                await self._handle_events()
        elif isinstance(event, EndBody):
            self._over.set()
        else:
            await super().handle(event)

    async def app_send(self, message: Any) -> None:
        closes = self.state is ASGIWebsocketState.CONNECTED and not self._parting
        if message is None:
            self._ended = True
            self._telling.cancel()
            self._passing.cancel()
            if self._parting:
                return  # it ends when the client has answered
        try:
            await super().app_send(message)
        finally:
            self._answered.set()
        if closes and self.state is ASGIWebsocketState.CLOSED:
            self._begin_parting()

    def _hear(self, data: bytes) -> None:
        if self._broken:
            if data.startswith(_CLOSE):
                self._over.set()
        elif not self._over.is_set():
            self.connection.receive_data(data)

    async def _handle_events(self) -> None:
        if self._broken or self._over.is_set():
            return
        for event in self.connection.events():
            if isinstance(event, CloseConnection):
                await self._take_close(event)
                return
            if self._parting:
                continue  # what the client sent before it got our close frame is ignored
            if isinstance(event, Message):
                await self._take(event)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())

    async def _take(self, event: Message[Any]) -> None:
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            self.buffer.clear()
            most = self.config.websocket_max_message_size
            reason = f"a message of more than {most} bytes (limits.message_bytes)"
            await self._part(CloseReason.MESSAGE_TOO_BIG, reason)
            return
        if event.message_finished and self.app_put is not None:
            # The app may end while this waits for the lock.
            with trio.CancelScope() as self._passing:
                await self.app_put(self.buffer.to_message())
            self.buffer.clear()

    async def _take_close(self, event: CloseConnection) -> None:
        state = self.connection.state
        if state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            self._broken = True
            await self._part(event.code, event.reason or "")
            return
        if state is ConnectionState.REMOTE_CLOSING:
            await self._send_wsproto_event(event.response())
        self._over.set()
        if not self._parting:
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _part(self, code: int, reason: str) -> None:
        """Tell the client and the app why this ends."""
        if self._parting:
            return
        await self._send_wsproto_event(CloseConnection(code, reason))
        await self.send(EndData(stream_id=self.stream_id))
        self._begin_parting()
        self._leave(code)

    def _begin_parting(self) -> None:
        # Closing a socket with unread bytes resets it, and the client loses what was sent last.
        self._parting = True
        self._passing.cancel()
        self.task_group.spawn(self._end)

    async def _end(self) -> None:
        with trio.move_on_after(_CLOSE_TIMEOUT):
            await self._over.wait()
        await self.send(StreamClosed(stream_id=self.stream_id))

    def _leave(self, code: int) -> None:
        """Tell the app, when it next receives, that the client is gone."""
        self._passing.cancel()
        if self.app_put is not None and not self._ended and not self._told:
            self._told = True
            self.task_group.spawn(self._tell, code)

    async def _tell(self, code: int) -> None:
        with self._telling:
            await self.app_put({"type": "websocket.disconnect", "code": code})  # type: ignore[misc]


def install() -> None:
    """Replace Hypercorn's class by this one, in this process."""
    for module in (hypercorn.protocol.h11, hypercorn.protocol.h2):
        module.WSStream = ClosingWebSocket  # type: ignore[attr-defined]
