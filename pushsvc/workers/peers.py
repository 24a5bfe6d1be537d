"""Questions between workers: about a stream that another one has, and for totals.

Each worker listens on a Unix socket in a directory that only they can enter. A connection carries
one question, an operation and a body, and its answer.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import trio

from pushsvc.log import get_logger
from pushsvc.workers.assignment import Assignment

_log = get_logger("pushsvc.workers")

_LENGTH: Final = struct.Struct("!I")
_MOST: Final = 64 * 1024 * 1024
_PATIENCE: Final = 2.0
"""Seconds that a worker has to answer. One that hangs is replaced in the end."""
_PLACES: Final = 2
"""Characters of a session's name that say which worker has it."""

Answerer: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class PeerGone(Exception):
    """A worker doesn't answer: it hangs, has ended, or doesn't serve yet."""


class Peers:
    """The other workers, and what this one answers them. `run` serves it."""

    def __init__(self, assignment: Assignment) -> None:
        self.index = assignment.index
        self.others = [one for one in range(assignment.count) if one != assignment.index]
        self.restarts = assignment.restarts
        self.folder = Path(assignment.folder)
        self._answerers: dict[str, Answerer] = {}

    @property
    def session_prefix(self) -> str:
        """The start of the names of this worker's sessions."""
        return f"{self.index:02x}"

    def holder(self, session: str) -> int | None:
        """The other worker that has a session; None if none can have it."""
        try:
            index = int(session[:_PLACES], 16)
        except ValueError:
            return None
        return index if index in self.others else None

    def answer(self, operation: str, answerer: Answerer) -> None:
        """Register `answerer` for an operation."""
        self._answerers[operation] = answerer

    async def ask(self, index: int, operation: str, body: bytes = b"") -> bytes:
        """The answer of a worker. Raises PeerGone."""
        with trio.move_on_after(_PATIENCE):
            try:
                async with await trio.open_unix_socket(str(self._place(index))) as stream:
                    await _send(stream, operation.encode(), body)
                    return await _receive(stream)
            except (OSError, trio.BrokenResourceError) as error:
                raise PeerGone(f"worker {index} is not there") from error
        raise PeerGone(f"worker {index} does not answer")

    async def ask_others(self, operation: str, body: bytes = b"") -> dict[int, bytes]:
        """The answers of the other workers, by index, without those that don't answer."""
        answers: dict[int, bytes] = {}

        async def ask(index: int) -> None:
            try:
                answers[index] = await self.ask(index, operation, body)
            except PeerGone as error:
                _log.warning("a worker does not answer", operation=operation, reason=str(error))

        async with trio.open_nursery() as nursery:
            for index in self.others:
                nursery.start_soon(ask, index)
        return {index: answers[index] for index in sorted(answers)}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer the others until cancelled."""
        place = self._place(self.index)
        place.unlink(missing_ok=True)  # left by the worker that this one replaces
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as sock:
            await sock.bind(str(place))
            sock.listen()
            listener = trio.SocketListener(sock)
            async with trio.open_nursery() as nursery:
                task_status.started()
                await trio.serve_listeners(self._serve, [listener], handler_nursery=nursery)

    async def _serve(self, stream: trio.SocketStream) -> None:
        with trio.move_on_after(_PATIENCE):
            try:
                async with stream:
                    operation = (await _receive(stream)).decode()
                    body = await _receive(stream)
                    answerer = self._answerers.get(operation)
                    if answerer is not None:
                        await _send(stream, await answerer(body))
            except (OSError, trio.BrokenResourceError):
                pass  # it has no more questions

    def _place(self, index: int) -> Path:
        return self.folder / f"worker-{index}"


async def _send(stream: trio.SocketStream, *parts: bytes) -> None:
    await stream.send_all(b"".join(_LENGTH.pack(len(part)) + part for part in parts))


async def _receive(stream: trio.SocketStream) -> bytes:
    """Raises BrokenResourceError where the other side ends before its end."""
    [length] = _LENGTH.unpack(await _exactly(stream, _LENGTH.size))
    if length > _MOST:
        raise trio.BrokenResourceError
    return await _exactly(stream, length)


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = await stream.receive_some(min(count - len(data), 1 << 20))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return bytes(data)
