"""What comes in on a WebSocket: bytes to whole messages and control frames, without I/O."""

from __future__ import annotations

from collections.abc import Iterator

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from pushsvc.errors import TooLarge
from pushsvc.transport.deflate import BoundedInflate

__all__ = ["CloseConnection", "Incoming", "Ping"]


class Incoming:
    """Reads the frames of one client. Made when the client first sends something other than a
    pong."""

    __slots__ = ("_connection", "_most", "_parts", "_size")

    def __init__(self, most: int, *, deflated: bool) -> None:
        """No message may be larger than `most` bytes; `deflated` says whether permessage-deflate
        was negotiated."""
        extensions = [BoundedInflate(most)] if deflated else []
        self._connection = Connection(ConnectionType.SERVER, [*extensions])
        self._most = most
        self._parts: list[str | bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[str | bytes | Ping | CloseConnection]:
        """The messages and control frames that `data` completes, in order. Raises TooLarge.

        A CloseConnection is the last: the client's own, without its reason, or one with the error
        by which the client broke the protocol.
        """
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                message = self._gather(event)
                if message is not None:
                    yield message
            elif isinstance(event, CloseConnection):
                broken = self._connection.state is ConnectionState.OPEN
                yield event if broken else CloseConnection(event.code)
            elif isinstance(event, Ping):
                yield event

    def _gather(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        data: str | bytes = event.data if isinstance(event.data, str) else bytes(event.data)
        self._size += len(data)
        if self._size > self._most:
            raise TooLarge(
                "message", f"a message of more than {self._most} bytes (limits.message_bytes)"
            )
        self._parts.append(data)
        if not event.message_finished:
            return None
        parts, self._parts = self._parts, []
        self._size = 0
        # The parts of one message are of one type, wsproto sees to it.
        return "".join(parts) if isinstance(data, str) else b"".join(parts)  # type: ignore[arg-type]
