"""How processes that share a file tell each other that it has new entries: a datagram each.

A datagram says no more than that. One that gets lost does no harm, since the file is polled now and
then as well; without a notifier it is polled all the time.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import trio


class AppendNotifier:
    """The notifier of one of `count` processes, all of which have `folder` in common."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self._others = [str(_place(folder, one)) for one in range(count) if one != index]
        own = _place(folder, index)
        own.unlink(missing_ok=True)  # of a process that this one replaces
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(own))

    def notify(self) -> None:
        """Tell the others. One that isn't there, or hasn't listened for long, is passed over."""
        for other in self._others:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"!", other)

    async def wait(self) -> None:
        """Wait until one of the others has notified this one."""
        await trio.lowlevel.wait_readable(self._socket)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()


def _place(folder: Path, index: int) -> Path:
    return folder / f"notify-{index}"
