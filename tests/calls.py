"""Calls of gRPC by hand, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping

import h2.config
import h2.connection
import h2.events
import trio

from pushsvc.app.producers.grpc import EXPORT
from tests.serving import Served


async def call_by_hand(
    served: Served,
    sent: bytes,
    *,
    ended: bool = True,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The trailers of the answer to an export whose body, whole or in part, is this."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    peer.initiate_connection()
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"{EXPORT}?{query}" if query else EXPORT,
        ":authority": f"{served.host}:{served.port}",
        "content-type": "application/grpc",
        "te": "trailers",
        **{name.lower(): text for name, text in (headers or {}).items()},
    }
    peer.send_headers(1, list(fields.items()))
    for start in range(0, len(sent), 7):  # in frames that have nothing to do with the message
        peer.send_data(1, sent[start : start + 7])
    if ended:
        peer.end_stream(1)
    async with await served.raw(peer.data_to_send()) as stream:
        with trio.fail_after(30):
            while True:
                for event in peer.receive_data(bytes(await stream.receive_some(65536))):
                    if isinstance(event, h2.events.TrailersReceived):
                        assert event.headers is not None
                        return {name.decode(): text.decode() for name, text in event.headers}
                await stream.send_all(peer.data_to_send())
