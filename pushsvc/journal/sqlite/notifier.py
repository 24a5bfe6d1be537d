"""How processes that share a file tell each other what they have appended: by a datagram, which
contains the entries if they are small.

A process that receives the next entries this way needn't read the file. A lost datagram does no
harm: its entries are in the file, and the file is read when entries are missing, when a datagram
may have been lost, and from time to time. Without a notifier the file is polled all the time.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from pushsvc.journal.sqlite.keeping import Mark

_MOST = 32 * 1024
"""The most bytes of a datagram."""


class News(msgspec.Struct, array_like=True, frozen=True):
    """The entries of one append, or only that there was one."""

    epoch: str
    horizon: Mark
    end: Mark
    """The end of the log after it."""
    entries: Sequence[tuple[int, int, bytes]] = ()
    """For each the first seq, the stamp and the bytes; empty if they are too large."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(News).decode


class AppendNotifier:
    """The notifier of one of `count` processes, which all use `folder`."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        own = _place(folder, index)
        own.unlink(missing_ok=True)  # the socket of a process that this one replaces
        self._socket = _open_socket()
        self._socket.bind(str(own))
        # A socket for each: one process that hangs doesn't keep the others from being told.
        self._others = [
            (_open_socket(), str(_place(folder, one))) for one in range(count) if one != index
        ]
        # Several must fit into a queue: a process that missed some then finds several in it.
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self._most = min(_MOST, room // 4)

    def notify(self, news: News) -> None:
        """Tell the other processes. One that isn't running, or whose queue is full, is skipped."""
        data = _encode(news)
        if len(data) > self._most:
            data = _encode(News(news.epoch, news.horizon, news.end))
        for sock, other in self._others:
            with contextlib.suppress(OSError):
                sock.sendto(data, other)

    async def wait(self) -> list[News]:
        """Wait for news from other processes, and return all that has come. If that is more than
        one, others may have been lost: a process is only skipped if its queue is full."""
        await trio.lowlevel.wait_readable(self._socket)
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(_read(self._socket.recv(2 * _MOST)))
        return told

    def close(self) -> None:
        for sock, _ in self._others:
            sock.close()
        self._socket.close()


def _read(data: bytes) -> News:
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return News("", Mark(), Mark())  # an epoch that no reader has


def _open_socket() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _place(folder: Path, index: int) -> Path:
    return folder / f"notify-{index}"
