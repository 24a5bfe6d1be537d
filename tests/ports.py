"""Ports for what has to know its port before it listens, or keeps it over a restart.

Those that the kernel gives out by itself, to whoever listens on any port and to each connection,
are none of them: between looking and listening such a one may be another's, and tests run beside
each other. So they are from below those, and given out in turn.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FIRST = 12_000
_LAST = 32_000


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, and that nobody else is given meanwhile."""
    last = min(_LAST, _lowest_of_the_kernel())
    if last - _FIRST < 1_000:
        return _any(count)
    found: list[int] = []
    with _turn() as turn:
        text = os.pread(turn, 20, 0)
        at = int(text or b"0")
        for _ in range(last - _FIRST):
            if len(found) == count:
                break
            at = (at + 1) % (last - _FIRST)
            if _is_free(_FIRST + at):
                found.append(_FIRST + at)
        os.pwrite(turn, b"%20d" % at, 0)
    return found


def free_port() -> int:
    """One of them."""
    [port] = free_ports(1)
    return port


def _lowest_of_the_kernel() -> int:
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        return int(text.split()[0])
    return _LAST


@contextlib.contextmanager
def _turn() -> Iterator[int]:
    """The file that says which was given out last, for this process alone."""
    place = Path(tempfile.gettempdir()) / f"pushsvc-test-ports-{os.getuid()}"
    handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for host, family in (("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6)):
            try:
                with socket.socket(family, kind) as sock:
                    sock.bind((host, port))
            except OSError as error:
                if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
                    return False
    return True


def _any(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    print(free_port())  # noqa: T201
