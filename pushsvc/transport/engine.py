"""The engine: sockets without a task of their own.

Once a stream's handshake is answered, its socket is taken out of the server and registered here.
The hub's tick writes shared bytes directly to it, without blocking; one Trio task watches all of
them, through a selector of their own that is one more readable file for Trio.
"""

from __future__ import annotations

import selectors
import socket
from typing import Protocol

import trio

from pushsvc.log import get_logger

_log = get_logger("pushsvc.engine")

_SLICE = 128
"""Sockets served between two checkpoints."""


class Watched(Protocol):
    """What the engine calls on a carrier. None of it blocks."""

    @property
    def socket(self) -> socket.socket: ...

    @property
    def closed(self) -> bool: ...

    def serve(self, events: int) -> None:
        """Read and write, as the socket is ready for; `events` as `selectors` has them."""
        ...

    def tend(self, now: float) -> None:
        """Do what depends on the time; called about once a second."""
        ...

    def abort(self) -> None:
        """Cut the connection and leave the engine. Calling it again does nothing."""
        ...


class Engine:
    """Watches detached sockets. Their carriers close them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._open = 0
        self._empty = trio.Event()

    def __len__(self) -> int:
        """How many sockets are open."""
        return self._open

    def add(self, carrier: Watched) -> None:
        self._selector.register(carrier.socket, selectors.EVENT_READ, carrier)
        self._open += 1

    def watch_writable(self, carrier: Watched, wanted: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        self._selector.modify(carrier.socket, events, carrier)

    def remove(self, carrier: Watched) -> None:
        # Unregister it before it is closed: another socket may get its number right after.
        self._selector.unregister(carrier.socket)
        self._open -= 1
        if not self._open:
            self._empty.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve sockets that became readable or writable, until cancelled."""
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(self._selector.fileno())
                for index, (key, events) in enumerate(self._selector.select(0)):
                    if index % _SLICE == _SLICE - 1:
                        await trio.lowlevel.checkpoint()
                    carrier: Watched = key.data
                    if carrier.closed:
                        continue  # removed by an earlier one in this round
                    try:
                        carrier.serve(events)
                    except Exception:  # noqa: BLE001
                        # A crash is logged, and ends only this connection.
                        _log.exception("a stream failed", carrier=repr(carrier))
                        carrier.abort()
        finally:
            for key in list(self._selector.get_map().values()):
                key.data.abort()
            self._selector.close()

    async def run_tending(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Call each carrier's `tend` about once a second, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep_until(trio.current_time() // 1.0 + 1.0)
            for index, key in enumerate(list(self._selector.get_map().values())):
                if index % _SLICE == _SLICE - 1:
                    await trio.lowlevel.checkpoint()
                if not key.data.closed:
                    key.data.tend(trio.current_time())

    async def finish(self, seconds: float) -> int:
        """Wait so many seconds for ended carriers to send what they have, then cut the rest;
        returns how many were cut."""
        with trio.move_on_after(seconds):
            while self._open:
                self._empty = trio.Event()
                await self._empty.wait()
        cut = [key.data for key in self._selector.get_map().values()]
        for carrier in cut:
            carrier.abort()
        return len(cut)
