"""Messages between a supervisor and a worker: lines on a socket between them.

The supervisor sends `drain` and `reload`; the worker sends `ready`, when it serves, and `alive`
every few seconds. If the supervisor is gone the worker reads the end of the socket, and ends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator
from typing import Final

import trio

from pushsvc.log import get_logger

_log = get_logger("pushsvc.workers")

_ALIVE_EVERY: Final = 5.0
"""Seconds between two signs of life."""
_LONGEST: Final = 100
_ORPHANED: Final = 5.0
"""Seconds that a worker whose supervisor is gone gives its clients. The next service needs the
port, and as long as these workers hold it, clients reach them and their log."""


async def lines(stream: trio.SocketStream) -> AsyncGenerator[bytes]:
    """The messages of the other side, a line at a time, until it is gone."""
    rest = b""
    while True:
        try:
            data = await stream.receive_some(_LONGEST)
        except trio.BrokenResourceError:
            data = b""
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line


class Orders:
    """A worker's end of the socket."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    async def run(self, drain: trio.Event, reload: trio.MemorySendChannel[None]) -> None:
        """Carry out messages until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._live)
            async for line in lines(self._stream):
                if line == b"drain":
                    drain.set()
                elif line == b"reload":
                    await reload.send(None)
            if not drain.is_set():
                _log.error("the supervisor is gone: this worker ends")
                drain.set()
                await trio.sleep(_ORPHANED)
                os._exit(1)
            await trio.sleep_forever()

    async def ready(self) -> None:
        """Report that this worker serves."""
        await self._say(b"ready\n")

    async def _live(self) -> None:
        while True:
            await self._say(b"alive\n")
            await trio.sleep_until(
                trio.current_time() // _ALIVE_EVERY * _ALIVE_EVERY + _ALIVE_EVERY
            )

    async def _say(self, line: bytes) -> None:
        try:
            await self._stream.send_all(line)
        except trio.BrokenResourceError:
            pass  # the task that receives ends for the same reason
        except trio.BusyResourceError:
            await trio.lowlevel.checkpoint()  # another line is being sent, which says the same
