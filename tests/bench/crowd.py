"""The load generator for handshakes: a crowd that comes back at once.

A process of its own, `python -m tests.bench.crowd JOB`: for each line on standard input it opens
so many connections as fast as they are answered, closes them, and writes one line of JSON. It ends
with its standard input. A connection counts when the head of the right answer is there; what comes
after it is left in the socket.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

import msgspec

from tests.bench import transport
from tests.bench.process import cpu_seconds

_AT_ONCE = 256
"""Connections that wait for their answer: fewer than any backlog."""
_PATIENCE = 30.0


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to come, and how to ask."""

    host: str
    port: int
    pid: int
    transport: str
    target: str
    subprotocol: str | None = None
    token: str = ""
    """What each presents, if anything."""
    different: bool = False
    """Whether no two requests are equal."""


class Storm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many come at once."""

    clients: int


class Weathered(msgspec.Struct, frozen=True):
    """What came of it."""

    clients: int
    seconds: float
    server_cpu: float
    load_cpu: float


class Failure(msgspec.Struct, frozen=True):
    error: str


class Crowd:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._request = transport.request(
            job.transport, job.target, f"{job.host}:{job.port}", job.subprotocol
        )
        if job.token:
            self._request = _with(self._request, b"Authorization: Bearer " + job.token.encode())
        self._come = 0
        self._status = b"HTTP/1.1 101" if job.transport == "websocket" else b"HTTP/1.1 200"

    def come(self, storm: Storm) -> Weathered:
        """Open all connections, wait for their answers, and close them."""
        pid = self._job.pid
        sockets: dict[int, socket.socket] = {}
        server_cpu, load_cpu = cpu_seconds(pid), time.process_time()
        began = time.monotonic()
        with contextlib.closing(select.epoll()) as epoll:
            waiting = 0
            while waiting or len(sockets) < storm.clients:
                while waiting < _AT_ONCE and len(sockets) < storm.clients:
                    sock = socket.create_connection((self._job.host, self._job.port), _PATIENCE)
                    sockets[sock.fileno()] = sock
                    sock.send(self._next())
                    epoll.register(sock, select.EPOLLIN)
                    waiting += 1
                answered = epoll.poll(_PATIENCE, _AT_ONCE)
                if not answered:
                    raise transport.Broken(f"{waiting} handshakes are not answered")
                for fd, _ in answered:
                    data = sockets[fd].recv(4096)
                    if not data.startswith(self._status):
                        raise transport.Broken(f"answered with {data[:60]!r}")
                    epoll.unregister(fd)
                    waiting -= 1
        seconds = time.monotonic() - began
        load_cpu = time.process_time() - load_cpu
        # What follows a handshake, such as the first frames, is a part of it.
        time.sleep(0.1)
        server_cpu = cpu_seconds(pid) - server_cpu
        for sock in sockets.values():
            sock.close()
        return Weathered(storm.clients, seconds, server_cpu, load_cpu)

    def _next(self) -> bytes:
        """The request of the next one that comes."""
        if not self._job.different:
            return self._request
        self._come += 1
        return _with(self._request, b"User-Agent: dashboard/%d" % self._come)


def _with(request: bytes, field: bytes) -> bytes:
    return request.removesuffix(b"\r\n") + field + b"\r\n\r\n"


def main() -> None:
    try:
        crowd = Crowd(msgspec.json.decode(sys.argv[1], type=Job))
        for line in sys.stdin:
            answer = crowd.come(msgspec.json.decode(line, type=Storm))
            print(msgspec.json.encode(answer).decode(), flush=True)
    except (transport.Broken, OSError) as error:
        print(msgspec.json.encode(Failure(str(error))).decode(), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
