"""Flow control for Hypercorn's HTTP/2: what waits for a client is bounded in size and in time.

With HTTP/2 a client says how many bytes it accepts, for each stream and for all together, and may
never allow any more. Hypercorn's own buffers take in everything that an application sends
meanwhile: a stream whose window is closed counts as read. Here an application waits for its client
as it does over HTTP/1.1: a stream has one bounded buffer, and a connection a bounded sum. A stream
whose client takes nothing for too long is reset, and a connection that takes nothing is cut. If too
much waits in all, the streams that have waited longest are reset first.
"""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Final

import h2.errors
import h2.events
import h2.exceptions
import hypercorn.protocol
import trio
from h2.settings import SettingCodes
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol.h2 import BufferCompleteError, H2Protocol, StreamBuffer
from priority.priority import MissingStreamError

from pushsvc.listen.hypercorn_http2 import LastingH2Protocol

_STREAM: Final = 32 * 1024
"""Bytes that a stream buffers for its client; beyond that the application waits."""
_CONNECTION: Final = 1024 * 1024
"""Bytes that the streams of one connection keep; beyond, each has `_LITTLE`."""
_LITTLE: Final = 4 * 1024
_TASK: Final = 32 * 1024
"""Bytes that the task of a request costs while it waits (measured)."""
_OPENING: Final = 10.0
"""Seconds that a stream waits for a client that has not taken any of it yet."""
_YOUNG: Final = 1.0
"""Seconds for which a stream is never reset: a client that reads takes something in that time."""
_EVERY: Final = 1.0
WAITING: Final = "pushsvc.waiting"
CONNECTION: Final = "pushsvc.connection"
"""Where in the state of an HTTP/2 connection its `Waiting` is, and what can `abort` it."""
DETACHES: Final = "pushsvc.detaches"
"""Where it is said whether sockets of HTTP/1.1 are detached."""


class Waiting:
    """What waits for the flow-control windows of all HTTP/2 clients of a server."""

    def __init__(self, most: int, patience: float, counts: Counter[str]) -> None:
        """At most `most` bytes may wait longer than a second, and none longer than `patience`
        seconds without a byte being taken."""
        self.bytes = 0
        """The bytes that wait: in buffers, in applications that wait for room, and for their
        tasks."""
        self.opening = min(_OPENING, patience)
        """Seconds that a client has to take its first byte."""
        self._most = most
        self._patience = patience
        self._counts = counts
        # Least recently read first.
        self._buffers: OrderedDict[Buffer, None] = OrderedDict()

    def __len__(self) -> int:
        """How many streams wait."""
        return len(self._buffers)

    def hold(self, buffer: Buffer, count: int) -> None:
        """Count so many more waiting bytes."""
        if not count:
            return
        now = trio.current_time()
        if not buffer.held:
            buffer.since = now
            self._buffers[buffer] = None
            self.bytes += _TASK
        buffer.held += count
        self.bytes += count
        self._trim(now)

    def release(self, buffer: Buffer, count: int) -> None:
        """Count so many fewer waiting bytes."""
        if not count:
            return
        buffer.held -= count
        self.bytes -= count
        if not buffer.held:
            del self._buffers[buffer]
            self.bytes -= _TASK

    def moved(self, buffer: Buffer) -> None:
        """A client took something of this buffer."""
        buffer.opened = True
        if buffer.held:
            buffer.since = trio.current_time()
            self._buffers.move_to_end(buffer)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reset streams that have waited too long, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep_until(trio.current_time() // _EVERY * _EVERY + _EVERY)
            now = trio.current_time()
            self._trim(now)
            for buffer in self._older_than(now - self.opening):
                if not buffer.opened or now - buffer.since >= self._patience:
                    self._give_up(buffer, for_good=True)

    def _older_than(self, since: float) -> list[Buffer]:
        found = []
        for buffer in self._buffers:
            if buffer.since > since:
                break
            found.append(buffer)
        return found

    def _trim(self, now: float) -> None:
        while self.bytes > self._most:
            oldest = next(iter(self._buffers))
            if now - oldest.since < _YOUNG:
                return
            self._give_up(oldest, for_good=False)

    def _give_up(self, buffer: Buffer, *, for_good: bool) -> None:
        self._counts["http2_streams_reset"] += 1
        buffer.forsake()
        protocol = buffer.protocol
        with contextlib.suppress(RuntimeError):  # its connection has ended in this moment
            protocol.task_group.spawn(protocol.give_up, buffer.stream_id, for_good)


class Buffer(StreamBuffer):
    """The buffer of one stream."""

    def __init__(self, protocol: BoundedHttp2, stream_id: int) -> None:
        super().__init__(protocol.context.event_class)
        self.protocol = protocol
        self.stream_id = stream_id
        self.held = 0
        """Bytes that wait, including those for which there is no room yet."""
        self.since = 0.0
        """When the client last took something, or this began to wait."""
        self.opened = False
        """Whether the client ever took something."""
        self._waiting = protocol.waiting
        self._forsaken = False
        self._closed = False

    @property
    def complete(self) -> bool:
        """Whether the client has got all of it, or is to get no more."""
        return super().complete and (self._closed or not self._forsaken)

    async def push(self, data: bytes) -> None:
        """Put data in, waiting for room. Raises BufferCompleteError when the stream is gone."""
        self._refuse_gone()
        rest = memoryview(data)
        self._waiting.hold(self, len(rest))
        try:
            while rest:
                self._refuse_gone()
                if room := self._room():
                    self.protocol.add(self, rest[:room])
                    rest = rest[room:]
                    await self._is_empty.clear()
                    await self.protocol.announce(self.stream_id)
                else:
                    await self._paused.clear()
                    await self._paused.wait()
        finally:
            if not self._forsaken:
                self._waiting.release(self, len(rest))

    async def pop(self, max_length: int) -> bytes:
        """Take out as much as the client accepts."""
        data = bytes(self.buffer[:max_length])
        if data:
            del self.buffer[:max_length]
            self.protocol.took(self, len(data))
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data

    async def close(self) -> None:
        """Drop everything; tasks that wait in `push` or `drain` continue."""
        self.forsake()
        self._closed = True
        await super().close()

    def forsake(self) -> None:
        """Count nothing of it as waiting any more, whatever becomes of it."""
        if not self._forsaken:
            self._forsaken = True
            self.protocol.kept -= len(self.buffer)
            self._waiting.release(self, self.held)
            self.buffer = bytearray()

    def _refuse_gone(self) -> None:
        if self._complete or self._forsaken:
            raise BufferCompleteError

    def _room(self) -> int:
        most = _STREAM if self.protocol.kept < _CONNECTION else _LITTLE
        return max(0, most - len(self.buffer))


class _Buffers(dict[int, StreamBuffer]):
    """A connection's buffers: each one that Hypercorn makes is replaced by one of ours."""

    def __init__(self, protocol: BoundedHttp2) -> None:
        super().__init__()
        self._protocol = protocol

    def __setitem__(self, stream_id: int, _: StreamBuffer) -> None:
        super().__setitem__(stream_id, Buffer(self._protocol, stream_id))

    def __delitem__(self, stream_id: int) -> None:
        buffer = self[stream_id]
        assert isinstance(buffer, Buffer)
        buffer.forsake()
        super().__delitem__(stream_id)


class BoundedHttp2(LastingH2Protocol):
    """One HTTP/2 connection of Hypercorn's."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        waiting = self.connection_state[WAITING]
        assert isinstance(waiting, Waiting)
        self.waiting = waiting
        self._abort: Callable[[], None] = self.connection_state[CONNECTION].abort
        self.kept = 0
        """Bytes in the buffers of its streams."""
        self._moved_at = trio.current_time()
        self.stream_buffers = _Buffers(self)
        self._tell, self.send = self.send, self._tell_while_open
        if self.ssl and self.connection_state[DETACHES]:
            # A browser then has a connection of HTTP/1.1 for a WebSocket, which is detached, and
            # costs a seventh of one in an HTTP/2 connection (`python -m tests.bench tls`).
            del self.connection.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            # Hypercorn leaves the buffers, and the tasks that wait to put something in.
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        await super()._handle_events(events)
        for event in events:
            if isinstance(event, h2.events.StreamReset):
                # Hypercorn would keep its buffer as long as the connection lasts.
                await self._let_go(event.stream_id)

    async def _let_go(self, stream_id: int) -> None:
        """Have the buffer of a reset stream removed."""
        if stream_id in self.stream_buffers:
            await self.stream_buffers[stream_id].close()
            with contextlib.suppress(MissingStreamError):
                await self.announce(stream_id)

    async def give_up(self, stream_id: int, for_good: bool) -> None:
        """Reset a stream whose client takes nothing; with `for_good`, cut the connection if its
        client takes nothing of any stream."""
        if stream_id in self.stream_buffers:
            await self.stream_buffers[stream_id].close()
        if for_good and trio.current_time() - self._moved_at >= self.waiting.opening:
            self._abort()
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        await self._close_stream(stream_id)
        await self._let_go(stream_id)
        await self._flush()
        await self.send(Updated(idle=self.idle))

    def dismantle(self) -> None:
        """The connection has ended: nothing waits any more, and reference cycles are broken."""
        for buffer in self.stream_buffers.values():
            assert isinstance(buffer, Buffer)
            buffer.forsake()
        vars(self).clear()

    async def _tell_while_open(self, event: Event) -> None:
        # A stream that ends with its connection would restart the connection's keep-alive timer.
        if not (self.closed and isinstance(event, Updated)):
            await self._tell(event)

    # -- a buffer's side ---------------------------------------------------------------------------

    def add(self, buffer: Buffer, data: memoryview) -> None:
        """Put something in."""
        buffer.buffer.extend(data)
        self.kept += len(data)

    def took(self, buffer: Buffer, count: int) -> None:
        """The client took something of a stream."""
        self.kept -= count
        self._moved_at = trio.current_time()
        self.waiting.release(buffer, count)
        self.waiting.moved(buffer)

    async def announce(self, stream_id: int) -> None:
        """There is something to send."""
        self.priority.unblock(stream_id)
        await self.has_data.set()


USED: Final[dict[type, tuple[str, ...]]] = {
    H2Protocol: (
        "_close_stream",
        "_flush",
        "_handle_events",
        "closed",
        "connection",
        "connection_state",
        "handle",
        "has_data",
        "idle",
        "priority",
        "send",
        "ssl",
        "stream_buffers",
        "task_group",
    ),
    StreamBuffer: (
        "_complete",
        "_is_empty",
        "_paused",
        "buffer",
        "close",
        "complete",
        "pop",
        "push",
    ),
}
"""The undocumented names of Hypercorn that this uses."""


def install() -> None:
    """Replace Hypercorn's class by this one, in this process."""
    setattr(hypercorn.protocol, "H2Protocol", BoundedHttp2)  # noqa: B010 - not exported
