"""Requests over plain HTTP/1.1 read without a framework: bytes in, an AccessRequest out."""

from __future__ import annotations

import socket
from urllib.parse import parse_qsl

import h11

from pushsvc.auth.access import AccessRequest
from pushsvc.listen.address import peer_of


def read_request(data: bytes, sock: socket.socket | None = None) -> AccessRequest | None:
    """The request in `data`, if that is one whole request and nothing more; None otherwise.

    `sock` gives the peer's address, where that matters. Raises OSError if the peer is gone.
    """
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        head = connection.next_event()
        if not isinstance(head, h11.Request) or head.http_version != b"1.1":
            return None
        end = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    whole = isinstance(end, h11.EndOfMessage) and not connection.trailing_data[0]
    if not whole:
        return None
    return access_request_of_head(head, "" if sock is None else peer_of(sock.getpeername()))


def access_request_of_head(head: h11.Request, peer: str) -> AccessRequest:
    """The parts of a plain HTTP/1.1 request that decide whether it is allowed."""
    headers: dict[str, str] = {}
    for raw, value in head.headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        if name in headers:
            text = headers[name] + ("; " if name == "cookie" else ", ") + text
        headers[name] = text
    query = head.target.partition(b"?")[2]
    return AccessRequest(
        head.method.decode("latin-1"),
        headers,
        _tickets(query) if b"ticket=" in query else (),
        peer,
        "http",
        "upgrade" in headers,
        query,
    )


def _tickets(query: bytes) -> list[str]:
    pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
    return [value for name, value in pairs if name == "ticket"]
