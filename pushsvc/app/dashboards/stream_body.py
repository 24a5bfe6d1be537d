"""The body of an SSE or NDJSON response that an ASGI server sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

import trio
from quart import request
from quart.wrappers.response import ResponseBody

from pushsvc.app.dashboards.attachment import Attachment, abort_callback
from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.auth.access import AccessDecision
from pushsvc.core.delivery.negotiate import Transport
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import GZIP_HEAD, GzipEnd, Text, chunked, text_wire
from pushsvc.listen.connection import connection_of
from pushsvc.transport.asgi import AsgiCarrier


class StreamBody(ResponseBody):
    """The body of an SSE or NDJSON response.

    It is entered when the head of the response has been sent. Then the client is attached, and its
    socket detached if that is possible. Otherwise the client's frames are the body, until the
    client leaves.
    """

    def __init__(
        self,
        attachment: Attachment,
        stream: StreamRequest,
        decision: AccessDecision,
    ) -> None:
        self._attachment = attachment
        self._stream = stream
        self._decision = decision
        coding = stream.coding
        self._text: Text = "sse" if stream.transport is Transport.SSE else "ndjson"
        self._wire = text_wire(self._text, coding)
        # HTTP/1.0 has no chunks (RFC 9112 section 6.1): its stream lasts as long as its connection.
        self._socket_wire = chunked(self._wire) if request.http_version != "1.0" else self._wire
        self._head = GZIP_HEAD if coding == "gzip" else b""
        self._end = GzipEnd() if coding == "gzip" else None
        self._over = False
        self._connection = connection_of(request.scope)
        self._carrier = AsgiCarrier(abort_callback(self._connection))
        self._subscriber: Subscriber | None = None

    async def __aenter__(self) -> AsyncIterator[bytes]:
        subscriber = self._attachment.subscribe(self._stream, self._decision, self._carrier)
        if self._attachment.detach(self._connection, subscriber, self._socket_wire):
            # cancelled at once, since this connection's tasks have ended
            await trio.sleep_forever()
        self._subscriber = subscriber
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._subscriber is not None:
            self._attachment.unsubscribe(self._subscriber)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        assert self._subscriber is not None
        head, self._head = self._head, b""
        frame = None
        if not self._over:
            frame = await self._carrier.next_frame(self._subscriber)
        if frame is not None:
            if self._end is not None:
                self._end.count(frame.encoded(self._text))
            return head + frame.encoded(self._wire)
        if self._end is None or self._over:
            raise StopAsyncIteration
        self._over = True
        return head + self._end.encoded()
