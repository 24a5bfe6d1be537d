"""How processes that share a file tell each other what they have appended: a datagram each, with
the entries themselves where they are small.

Whoever is told of the entries that come next needn't look into the file. A datagram that gets lost
does no harm: what it told of is in the file, which is looked at where entries are missing, where it
can be that something was lost, and now and then. Without a notifier it is polled all the time.
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
"""Bytes of a datagram at the most."""


class News(msgspec.Struct, array_like=True, frozen=True):
    """What was appended in one go, or only that something was."""

    epoch: str
    horizon: Mark
    end: Mark
    """After it."""
    entries: Sequence[tuple[int, int, bytes]] = ()
    """Each one's first seq, its stamp and its bytes; none where they are too many."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(News).decode


class AppendNotifier:
    """The notifier of one of `count` processes, all of which have `folder` in common."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        own = _place(folder, index)
        own.unlink(missing_ok=True)  # of a process that this one replaces
        self._socket = _open_socket()
        self._socket.bind(str(own))
        # A socket for each: what one that hangs leaves lying is no bound of what others are told.
        self._others = [
            (_open_socket(), str(_place(folder, one))) for one in range(count) if one != index
        ]
        # Several must fit into a queue: then who was told of less than all finds several in it.
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self._most = min(_MOST, room // 4)

    def notify(self, news: News) -> None:
        """Tell the others. One that isn't there, or hasn't listened for long, is passed over."""
        data = _encode(news)
        if len(data) > self._most:
            data = _encode(News(news.epoch, news.horizon, news.end))
        for sock, other in self._others:
            with contextlib.suppress(OSError):
                sock.sendto(data, other)

    async def wait(self) -> list[News]:
        """Wait until one of the others has notified this one; gives all that has come. More may
        have been lost where that is more than one: only who found the queue full is passed over."""
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
        return News("", Mark(), Mark())  # of no epoch that anybody reads


def _open_socket() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _place(folder: Path, index: int) -> Path:
    return folder / f"notify-{index}"
