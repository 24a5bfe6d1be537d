"""Requests over plain HTTP/1.1 that are answered without a framework: their heads."""

from __future__ import annotations

from collections.abc import Mapping

import h11

from pushsvc.auth.access import AccessRequest


def parse_request(data: bytes) -> h11.Request | None:
    """The request that `data` is, and nothing but it; None for anything else."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        request = connection.next_event()
        if not isinstance(request, h11.Request) or request.http_version != b"1.1":
            return None
        end = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    whole = isinstance(end, h11.EndOfMessage) and not connection.trailing_data[0]
    return request if whole else None


def fields_of(request: h11.Request) -> dict[bytes, bytes]:
    """Its header fields by lower-case name, those that are repeated joined with commas."""
    fields: dict[bytes, bytes] = {}
    for name, value in request.headers:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def access_request_of_fields(
    method: str, fields: Mapping[bytes, bytes], peer: str
) -> AccessRequest:
    """What decides about a request without a ticket that came over plain HTTP/1.1."""
    return AccessRequest(
        method,
        {name.decode("latin-1"): value.decode("latin-1") for name, value in fields.items()},
        (),
        peer,
        "http",
        b"upgrade" in fields,
    )
