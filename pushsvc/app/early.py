"""Answers while the service starts: while it waits for its log, or reads it.

Probes are answered with the progress, and all others are told to come back later, in the form that
each of them understands. This uses no task and no framework per connection, so that many clients
that come back after a restart don't slow the start down. The sockets stay open: connections that
come while the service takes over wait in the sockets' queues.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import trio

from pushsvc.app.dashboards import eventsource
from pushsvc.app.http.base_path import root_seen_from
from pushsvc.app.http.problems import HTML, MEDIA_TYPE, PAGE_POLICY, jittered, page_of, page_wanted
from pushsvc.auth.access import AccessRequest
from pushsvc.errors import Overloaded
from pushsvc.journal.starting import Starting
from pushsvc.listen.acceptor import Acceptor
from pushsvc.listen.address import group
from pushsvc.listen.listeners import Listener, close_all
from pushsvc.listen.tls import Certificate
from pushsvc.transport.engine import Engine

PATIENCE: Final = 1.0
"""Seconds for which a new connection is left unanswered, in case the service is ready by then."""
_LINE: Final = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.[01]\r?\n")
_HTTP2: Final = b"PRI * HTTP/2.0\r\n"
_GOAWAY: Final = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
"""SETTINGS, and a GOAWAY that says that nothing was taken (RFC 9113 sections 6.5 and 6.8)."""
_READ: Final = 64 * 1024
_MOST_HEAD: Final = 16 * 1024
_SILENT: Final = 10.0
"""Seconds for a handshake and a head."""
_LINGER: Final = 2.0
"""Seconds that a client has to read its answer, while the rest of its request is read: closing a
connection with unread bytes resets it, and the client loses the answer."""
_HANDOVER: Final = 0.3
"""Seconds for connections that are being answered when the service takes over."""


def answer(
    head: bytes, starting: Starting, *, prefix: str = "", others_serve: bool = False
) -> bytes:
    """The answer to a request with this head, which may be incomplete.

    `prefix` is the path of a proxy. If `others_serve`, because other workers run while this one is
    replaced, the service counts as ready.
    """
    if head.startswith(_HTTP2):
        return _GOAWAY
    line = _LINE.match(head)
    method, target = ("GET", "/") if line is None else (line[1].decode(), line[2].decode())
    path = target.partition("?")[0]
    if prefix and path.startswith(f"{prefix}/"):
        path = path.removeprefix(prefix)
    if method not in ("GET", "HEAD"):
        return _problem(starting, method)
    if path == "/livez":
        return _response(method, 200, "text/plain", b"ok\n")
    if path == "/readyz":
        status, word = (200, "ok, but one worker") if others_serve else (503, "not yet")
        text = f"{word}: {starting.detail}\n"
        return _response(method, status, "text/plain; charset=utf-8", text.encode())
    fields = _fields(head)
    websocket = "upgrade" in fields
    if path == "/v1/stream":
        request = AccessRequest(method, fields, (), "", "http", websocket, b"")
        if (events := eventsource.told(request, _refusal(starting))) is not None:
            return _response(method, 200, eventsource.MEDIA_TYPE, events)
    if page_wanted(fields.get("accept", "")) and not websocket:
        return _page(starting, method, path)
    return _problem(starting, method)


def _refusal(starting: Starting) -> Overloaded:
    members = {} if starting.percent is None else {"percent": starting.percent}
    return Overloaded(
        "starting", f"not yet: {starting.detail}", retry_after=starting.retry_after, **members
    )


def _problem(starting: Starting, method: str) -> bytes:
    document = _refusal(starting).document()
    document["retry_after"] = seconds = jittered(starting.retry_after)
    body = msgspec.json.encode(document)
    return _response(method, 503, MEDIA_TYPE, body, {"Retry-After": str(seconds)})


def _page(starting: Starting, method: str, path: str) -> bytes:
    """For a person, whose browser reloads it by itself."""
    seconds = str(jittered(starting.retry_after))
    body = page_of(_refusal(starting).document(), root_seen_from(path)).encode()
    headers = {
        "Retry-After": seconds,
        "Refresh": seconds,
        "Vary": "Accept",
        "Content-Security-Policy": PAGE_POLICY,
    }
    return _response(method, 503, f"{HTML}; charset=utf-8", body, headers)


_PHRASES: Final = {200: "OK", 503: "Service Unavailable"}


def _response(
    method: str, status: int, media_type: str, body: bytes, headers: Mapping[str, str] | None = None
) -> bytes:
    fields = {
        "Content-Type": media_type,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\n{lines}\r\n".encode()
    return head if method == "HEAD" else head + body


def _fields(head: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.split(b"\n")[1:]:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class _Answered:
    """A connection whose client is reading its answer."""

    def __init__(self, early: Early, sock: socket.socket, address: str) -> None:
        self.socket = sock
        self.closed = False
        self._early = early
        self._address = address
        self._since = trio.current_time()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def serve(self, events: int) -> None:  # noqa: ARG002 - it is watched for reading only
        try:
            if self.socket.recv(_READ):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.abort()

    def tend(self, now: float) -> None:
        if now - self._since >= _LINGER:
            self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._early.lingering.remove(self)
            self._early.acceptor.leave(self._address)
            self.socket.close()


class Early:
    """Answers on listening sockets until the service takes over. Run it with `run`."""

    def __init__(
        self,
        answers: Callable[[bytes], bytes],
        *,
        most: int,
        most_of: Callable[[str], int],
        certificate: Certificate | None = None,
    ) -> None:
        """`answers` gives the answer to a head. `most` connections may be open in all, and
        `most_of(peer)` from one address; with a `certificate`, which offers no HTTP/2, all of them
        are TLS."""
        self.lingering = Engine()
        self.acceptor = Acceptor(
            self._enter,
            Counter(),
            most=most,
            most_of=most_of,
            patience=_SILENT,
            certificate=certificate,
        )
        self._answers = answers
        self._accepting = trio.CancelScope()
        self._over = trio.Event()

    async def run(
        self,
        listeners: Sequence[Listener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer until `close` is called. The first `PATIENCE` seconds no one is answered: if the
        start is done by then, waiting connections are served and not sent away. Closes the
        listeners in the end."""
        try:
            async with trio.open_nursery() as nursery:
                for engine in (self.acceptor.waiting, self.lingering):
                    await nursery.start(engine.run)
                    await nursery.start(engine.run_tending)
                task_status.started()
                with self._accepting:
                    await trio.sleep(PATIENCE)
                    async with trio.open_nursery() as accepting:
                        for listener in listeners:
                            await accepting.start(self.acceptor.run_accept, listener)
                with trio.move_on_after(_HANDOVER):
                    await self.acceptor.waiting.finish(_HANDOVER)
                    await self.lingering.finish(_HANDOVER)
                nursery.cancel_scope.cancel()
        finally:
            close_all(listeners)
            self._over.set()

    async def close(self) -> None:
        """Accept no more, and return when all connections that are being answered are done."""
        self._accepting.cancel()
        await self._over.wait()

    def _enter(self, sock: socket.socket, first: bytes, peer: str) -> None:
        with contextlib.suppress(OSError):
            sock.send(self._answers(first))  # it fits into the send buffer of any socket
            sock.shutdown(socket.SHUT_WR)
        self.lingering.add(_Answered(self, sock, group(peer)))
