"""Hypercorn's HTTP/2 connection, changed so that it outlives requests that are answered before they
end.

Hypercorn's own goes on passing a body to an app that has ended, and waits for it without end; or it
has forgotten the request, and fails on the rest of the body. In both cases all streams of the
connection end with the one.
"""

from __future__ import annotations

from typing import Any

import hypercorn.protocol
import hypercorn.protocol.h2
import trio
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived
from h2.events import Event as Http2Event
from h2.exceptions import ProtocolError
from hypercorn.protocol.events import Body, EndBody, Event, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import HTTPStream


class PassingStream(HTTPStream):
    """One request, whose body is passed to the app as long as the app runs."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._ended = False
        self._passing = trio.CancelScope()
        self._telling = trio.CancelScope()

    async def handle(self, event: Event) -> None:
        if self.closed:
            return
        if isinstance(event, Body | EndBody):
            if not self._ended:
                with trio.CancelScope() as self._passing:
                    await super().handle(event)
        elif isinstance(event, StreamClosed):
            # The app may be in its last send at this moment, and its queue may be full.
            self.closed = True
            self._passing.cancel()
            if not self._ended:
                self.task_group.spawn(self._tell)
        else:
            await super().handle(event)

    async def _tell(self) -> None:
        with self._telling:
            await self.app_put({"type": "http.disconnect"})

    async def app_send(self, message: Any) -> None:
        if message is None:
            self._ended = True
            self._passing.cancel()
            self._telling.cancel()
        await super().app_send(message)


class LastingH2Protocol(H2Protocol):
    """One connection."""

    async def _handle_events(self, events: list[Http2Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived) and self.context.terminated.is_set():
                # So that the client knows that nothing was done (RFC 9113 section 8.7): Hypercorn
                # says NO_ERROR, after which clients of gRPC don't try again.
                assert event.stream_id is not None
                self.connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            elif isinstance(event, DataReceived) and event.stream_id not in self.streams:
                await self._stop(event)
            else:
                await super()._handle_events([event])
        await super()._handle_events([])

    async def _stop(self, event: DataReceived) -> None:
        """Ask the client to send no more of a body that nobody will read (RFC 9113 section 8.1)."""
        assert event.stream_id is not None
        assert event.flow_controlled_length is not None
        try:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            # Not before the whole answer is sent.
            if event.stream_ended is None and event.stream_id not in self.stream_buffers:
                self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)
        except ProtocolError:
            pass  # it has ended by itself
        await self._flush()


def install() -> None:
    """Replace Hypercorn's class by this one, in this process."""
    setattr(hypercorn.protocol, "H2Protocol", LastingH2Protocol)  # noqa: B010 - not exported
    setattr(hypercorn.protocol.h2, "HTTPStream", PassingStream)  # noqa: B010
