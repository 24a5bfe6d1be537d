"""How processes on one machine that share a log tell each other of what they append: by datagrams.

A lost datagram must do no harm. One is lost only if its receiver isn't there, or has so many in its
queue that there is no room for another.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import trio

_MOST = 32 * 1024


class Datagrams:
    """The socket of one of `count` processes, which all use `folder`."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self._place = str(_place(folder, index))
        # That of a process which this one replaces.
        _place(folder, index).unlink(missing_ok=True)
        self._socket = _open_socket()
        self._socket.bind(self._place)
        # A socket for each: one process that hangs doesn't keep the others from being told.
        self._others = [
            (_open_socket(), str(_place(folder, one))) for one in range(count) if one != index
        ]
        # Several must fit into a queue: a process that missed some then finds several in it.
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.most = min(_MOST, room // 4)
        """The most bytes of a datagram."""

    def send(self, data: bytes) -> bool:
        """Send to all other processes, and tell whether none was skipped because its queue is full.
        Those that aren't running are skipped, too."""
        all_told = True
        for sock, other in self._others:
            try:
                _send(sock, data, other)
            except BlockingIOError:
                all_told = False
            except OSError:
                continue
        return all_told

    def remind(self) -> bool:
        """Send this process an empty one, which has `wait` return. False if there is no room for
        it: then `wait` returns anyway."""
        try:
            self._socket.sendto(b"", self._place)
        except OSError:
            return False
        return True

    async def wait(self) -> bytes:
        """Wait for a datagram. Always checkpoints."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            with contextlib.suppress(BlockingIOError):
                return self._socket.recv(_MOST)

    def take(self) -> list[bytes]:
        """Those that have come already."""
        told: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self._socket.recv(_MOST))
        return told

    def close(self) -> None:
        """Close the sockets; nobody may wait any more."""
        for sock, _ in self._others:
            sock.close()
        self._socket.close()


def _send(sock: socket.socket, data: bytes, place: str) -> None:
    """Raises OSError."""
    try:
        sock.send(data)
    except BlockingIOError:
        raise
    except OSError:  # not connected: the other one has begun since, or has replaced another
        sock.connect(place)
        sock.send(data)


def _open_socket() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _place(folder: Path, index: int) -> Path:
    return folder / f"notify-{index}"
