"""Requests over plain HTTP/1.1 read without a framework: bytes in, an AccessRequest out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import h11

from pushsvc.auth.access import AccessRequest

_USUAL_HEAD = re.compile(
    rb"GET ([\x21-\x7e]++) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++)\r\n"
)
"""A head as clients write it. It is a part of what h11 takes, and what isn't in it goes to h11."""
_ABOUT_BODIES = frozenset(("content-length", "transfer-encoding"))


def read_request(data: bytes, peer: str = "", scheme: str = "http") -> AccessRequest | None:
    """The request in `data`, if that is one whole request and nothing more; None otherwise. `peer`
    is the address that it came from, where that matters, and `scheme` is `https` over TLS."""
    request = _read_usual(data, peer, scheme)
    return _read_any(data, peer, scheme) if request is None else request


def _read_usual(data: bytes, peer: str, scheme: str) -> AccessRequest | None:
    """A request as clients usually write it, read in a tenth of the time that h11 takes, and no
    other: None for all about which there is a question."""
    head = _USUAL_HEAD.fullmatch(data)
    if head is None:
        return None
    target, fields = head.groups()
    headers: dict[str, str] = {}
    for line in fields.decode("latin-1").split("\r\n")[:-1]:
        name, _, text = line.partition(":")
        name = name.lower()
        if name in headers:
            if name == "host":
                return None
            _add(headers, name, text.strip(" \t"))
        else:
            headers[name] = text.strip(" \t")
    if "host" not in headers or not _ABOUT_BODIES.isdisjoint(headers):
        return None
    return _request("GET", headers, target, peer, scheme)


def _read_any(data: bytes, peer: str, scheme: str) -> AccessRequest | None:
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
    return access_request_of_head(head, peer, scheme) if whole else None


def access_request_of_head(head: h11.Request, peer: str, scheme: str) -> AccessRequest:
    """The parts of a plain HTTP/1.1 request that decide whether it is allowed."""
    headers: dict[str, str] = {}
    for raw, text in head.headers:
        _add(headers, raw.decode("latin-1"), text.decode("latin-1"))
    return _request(head.method.decode("latin-1"), headers, head.target, peer, scheme)


def _add(headers: dict[str, str], name: str, text: str) -> None:
    if name in headers:
        text = headers[name] + ("; " if name == "cookie" else ", ") + text
    headers[name] = text


def _request(
    method: str, headers: Mapping[str, str], target: bytes, peer: str, scheme: str
) -> AccessRequest:
    query = target.partition(b"?")[2]
    return AccessRequest(
        method,
        headers,
        tickets_of(query),
        peer,
        scheme,
        "upgrade" in headers,
        query,
    )


def tickets_of(query: bytes) -> Sequence[str]:
    """The values of the parameter `ticket` in the query of a URL."""
    if b"ticket=" not in query:
        return ()
    pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
    return [value for name, value in pairs if name == "ticket"]
