"""The engine: sockets without a task of their own.

Once a stream's handshake is answered, its socket is taken out of the server and registered here.
The hub's tick writes shared bytes directly to it, without blocking; one Trio task watches all of
them, through an epoll of their own that is one more readable file for Trio.
"""

from __future__ import annotations

import socket
from select import EPOLLIN, EPOLLOUT, epoll
from typing import Final, Protocol

import trio

from pushsvc.log import get_logger

_log = get_logger("pushsvc.engine")

READ: Final = 1
WRITE: Final = 2
"""What a socket is ready for. One that has failed is ready for both, and tells the error."""
_SLICE = 128
"""Sockets served between two checkpoints."""
_LONGEST = 0.005
"""Seconds after which no further socket is served before the next checkpoint: a handshake of TLS
may take some milliseconds."""


class Watched(Protocol):
    """What the engine calls on a carrier. None of it blocks."""

    @property
    def socket(self) -> socket.socket: ...

    @property
    def closed(self) -> bool: ...

    def serve(self, events: int) -> None:
        """Read and write, as the socket is ready for: `events` are READ, WRITE or both."""
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
        # Without `selectors`, whose objects for each socket cost as much as the system call.
        self._epoll = epoll()
        self._carriers: dict[int, Watched] = {}  # by descriptor
        self._empty = trio.Event()

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._carriers)

    def add(self, carrier: Watched) -> None:
        fd = carrier.socket.fileno()
        self._epoll.register(fd, EPOLLIN)
        self._carriers[fd] = carrier

    def watch(self, carrier: Watched, events: int) -> None:
        """Serve it for these events from now on: READ, as in the beginning, WRITE, or both."""
        wanted = (EPOLLIN if events & READ else 0) | (EPOLLOUT if events & WRITE else 0)
        self._epoll.modify(carrier.socket.fileno(), wanted)

    def remove(self, carrier: Watched) -> None:
        # Unregister it before it is closed: another socket may get its number right after.
        fd = carrier.socket.fileno()
        self._epoll.unregister(fd)
        del self._carriers[fd]
        if not self._carriers:
            self._empty.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve sockets that became readable or writable, until cancelled."""
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                # Whose they are is looked up before any is served: a number that becomes free in
                # this round may belong to another socket by its end.
                begun, carriers = trio.current_time(), self._carriers
                ready = [(carriers[fd], events) for fd, events in self._epoll.poll(0)]
                for index, (carrier, events) in enumerate(ready):
                    if index % _SLICE == _SLICE - 1 or trio.current_time() - begun > _LONGEST:
                        await trio.lowlevel.checkpoint()
                        begun = trio.current_time()
                    if carrier.closed:
                        continue  # removed by an earlier one in this round
                    readable = READ if events & ~EPOLLOUT else 0
                    writable = WRITE if events & ~EPOLLIN else 0
                    try:
                        carrier.serve(readable | writable)
                    except Exception:  # noqa: BLE001
                        # A crash is logged, and ends only this connection.
                        _log.exception("a stream failed", carrier=repr(carrier))
                        carrier.abort()
        finally:
            for carrier in list(self._carriers.values()):
                carrier.abort()
            self._epoll.close()

    async def run_tending(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Call each carrier's `tend` about once a second, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep_until(trio.current_time() // 1.0 + 1.0)
            for index, carrier in enumerate(list(self._carriers.values())):
                if index % _SLICE == _SLICE - 1:
                    await trio.lowlevel.checkpoint()
                if not carrier.closed:
                    carrier.tend(trio.current_time())

    async def finish(self, seconds: float) -> int:
        """Wait so many seconds for ended carriers to send what they have, then cut the rest;
        returns how many were cut."""
        with trio.move_on_after(seconds):
            while self._carriers:
                self._empty = trio.Event()
                await self._empty.wait()
        cut = list(self._carriers.values())
        for carrier in cut:
            carrier.abort()
        return len(cut)
