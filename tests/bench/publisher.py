"""The producers of a benchmark: how each system wants to be given samples.

Each is one connection that stays open; what is published waits for what the system answers, if it
answers.
"""

from __future__ import annotations

import functools
import socket
import ssl
from typing import Literal
from urllib.parse import quote, urlencode

from tests.bench import transport
from tests.bench.peers import mercure

PATIENCE = 60.0
"""Seconds without a byte after which what is missing is taken for lost."""

Publish = Literal["samples", "message", "commands", "update", "websocket", "frame"]
"""One POST with all samples; a POST for each; one with a command to Centrifugo for each; one with a
form for each, as Mercure wants it; a WebSocket message for each; or, to the floor, the very bytes
that it is to send, after their length."""


@functools.cache
def _trust() -> ssl.SSLContext:
    """Whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(
    host: str, port: int, *, tls: bool = False, session: ssl.SSLSession | None = None
) -> socket.socket:
    """A connection, made when this returns."""
    sock = socket.create_connection((host, port), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _trust().wrap_socket(sock, session=session) if tls else sock


class Publisher:
    """Sends samples as their numbers, one batch at a time."""

    def __init__(
        self, sock: socket.socket, how: Publish, wire: str, name: str, series: int, pad: int
    ) -> None:
        """`wire` is the transport that frames are wrapped for, and `pad` how many bytes a sample
        has at the least."""
        self.sock = sock
        host, port = sock.getpeername()[:2]
        self._how = how
        self._wire = wire
        self._pad = pad
        self._unanswered = 0
        self._answers = transport.PollReader()
        self._name = name
        kind, more = "application/json", ""
        if how == "samples":
            path = "/v1/samples"
        elif how == "commands":
            path = "/api/batch"
        elif how == "update":
            path, kind = mercure.PATH, "application/x-www-form-urlencoded"
            more = f"Authorization: Bearer {mercure.token()}\r\n"
        else:
            path = f"/publish?id={quote(name)}"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}"
            f"Content-Type: {kind}\r\nContent-Length: "
        ).encode()
        self._samples = [
            f'{{"name":"{name}","labels":{{"host":"web-{n:03}","region":"eu-1"}},"value":'
            for n in range(series)
        ]
        if how == "websocket":
            self.sock.sendall(transport.request("websocket", path, f"{host}:{port}"))
            opening = transport.reader("websocket")
            while not opening.opened:
                opening.feed(self._receive())
        elif how == "frame":
            self.sock.sendall(b"PUBLISH\n")

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._unanswered > 0

    def post(self, numbers: range) -> None:
        """Publish these numbers in one go."""
        if self._how == "samples":
            samples = ",".join(self._sample(number) for number in numbers)
            requests = [self._request(f'{{"samples":[{samples}]}}'.encode())]
        elif self._how == "commands":
            commands = ",".join(
                f'{{"publish":{{"channel":"{self._name}","data":{self._sample(number)}}}}}'
                for number in numbers
            )
            requests = [self._request(f'{{"commands":[{commands}]}}'.encode())]
        elif self._how == "update":
            requests = [
                self._request(
                    urlencode({"topic": self._name, "data": self._sample(number)}).encode()
                )
                for number in numbers
            ]
        elif self._how == "message":
            requests = [self._request(self._sample(number).encode()) for number in numbers]
        else:
            messages = [self._sample(number).encode() for number in numbers]
            self.sock.sendall(b"".join(map(self._wrap, messages)))
            return
        self._unanswered += len(requests)
        self.sock.sendall(b"".join(requests))

    def receive(self) -> None:
        """Read what there is of the answers."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.setblocking(False)
            try:
                data = self._receive()
            except ssl.SSLWantReadError:
                return  # it was a ticket
            finally:
                self.sock.settimeout(PATIENCE)
        else:
            data = self._receive()
        self._unanswered -= len(self._answers.feed(data))

    def _receive(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise transport.Broken("the server closed the publisher's connection")
        return data

    def _sample(self, number: int) -> str:
        head = self._samples[number % len(self._samples)]
        if not self._pad:
            return f"{head}{number}}}"
        sample = f'{head}{number},"pad":"'
        return f'{sample}{"x" * (self._pad - len(sample) - 2)}"}}'

    def _request(self, body: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def _wrap(self, message: bytes) -> bytes:
        if self._how == "websocket":
            return transport.client_message(message)
        wrapped = transport.server_message(self._wire, message)
        return len(wrapped).to_bytes(4, "big") + wrapped
