"""The carrier for detached sockets: each costs a socket and a cursor, and no task."""

from __future__ import annotations

import socket
import ssl

import trio

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import GZIP_HEAD, Frame, GzipEnd, Text, Wire, gzipped
from pushsvc.core.hub import Hub
from pushsvc.transport.backlog import Backlog, peer_window
from pushsvc.transport.buffers import NOT_SENT, bound_sent
from pushsvc.transport.engine import READ, WRITE, Engine

_BURST = 16
"""Frames written to one socket in a row; a client with more to catch up with waits for its next
turn."""
_RECEIVE = 16 * 1024


class DetachedCarrier:
    """Carries SSE or NDJSON over a socket, without a task.

    What can't be written at once is kept as the tail of one shared frame, a view and not a copy;
    nothing else is pulled until it is gone.
    """

    __slots__ = (
        "_backlog",
        "_blocked_since",
        "_closing",
        "_ending",
        "_engine",
        "_hub",
        "_tail",
        "_window",
        "_wire",
        "closed",
        "socket",
        "subscriber",
    )

    def __init__(
        self, engine: Engine, hub: Hub, sock: socket.socket, subscriber: Subscriber, wire: Wire
    ) -> None:
        """Takes over `sock`, which must be non-blocking, and the subscriber."""
        self.socket = sock
        self.subscriber = subscriber
        self.closed = False
        self._engine = engine
        self._hub = hub
        self._wire: Wire = wire
        self._tail: memoryview | None = None
        self._window = -1  # in KiB, as small integers cost no memory of their own; -1 if not asked
        self._backlog: Backlog | None = None  # only for a client that is slow
        self._blocked_since: float | None = None
        self._ending: Ending | None = None
        self._closing = False  # the farewell was written: close once it is sent
        subscriber.carrier = self
        engine.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.subscriber.session[:8]}>"

    def begin(self, head: bytes = b"") -> None:
        """Send the first bytes: the head of the answer, if any, and the first frames with it."""
        frames = [head]
        size = 0
        pull = self.subscriber.pull
        while size < NOT_SENT and (frame := pull()) is not None:
            encoded = self._encoded(frame)
            frames.append(encoded)
            size += len(encoded)
        if self._write(b"".join(frames)) and not self.subscriber.is_current:
            self._pump()

    # -- the hub's side ----------------------------------------------------------------------------

    def wake(self) -> None:
        if self._blocked_since is not None or self.closed or self._ending is not None:
            return
        if self._backlog is not None:
            self._pump()
            return
        # The most frequent operation of the service, a frame to a client that has taken all before
        # it; so it is written without a further call.
        subscriber, wire = self.subscriber, self._wire
        frame = subscriber.pull()
        if frame is None:
            return
        data = frame.forms.get(wire) or frame.encoded(wire)
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.abort()
            return
        if sent != len(data):
            self._keep(data, sent)
        elif frame is not subscriber.view.newest and not subscriber.is_current:
            self._pump()

    def end(self, ending: Ending) -> None:
        if self._ending is None and not self.closed:
            self._ending = ending
            if self._blocked_since is None:
                self._pump()

    def stalled_since(self) -> float | None:
        if self._blocked_since is None and self._backlog is not None:
            # It may be held back, as long as what it has been given is unread.
            return None if self.subscriber.is_current else self._backlog.moved_at
        return self._blocked_since

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._hub.unsubscribe(self.subscriber, now=trio.current_time())
            self._engine.remove(self)
            self.socket.close()

    # -- the engine's side -------------------------------------------------------------------------

    def serve(self, events: int) -> None:
        """Read and write, as the socket is ready for."""
        if events & READ:
            try:
                data = self.socket.recv(_RECEIVE)
            except (BlockingIOError, InterruptedError):
                pass
            except ssl.SSLWantWriteError:
                # A client that changes its keys (RFC 8446 section 4.6.3) and takes no answer:
                # nothing can be read before, so that the engine would tell of it again and again.
                self._wait_writable(reading=False)
            except OSError:
                self.abort()
                return
            else:
                if not data:
                    self._peer_finished()
                else:
                    self._receive(data)
        if events & WRITE and not self.closed:
            self._blocked_since = None
            self._engine.watch(self, READ)
            self._pump()

    def _receive(self, data: bytes) -> None:
        """A one-way stream's client has nothing to say: a pipelined request isn't answered."""

    def _peer_finished(self) -> None:
        self.abort()

    def _pump(self) -> None:
        """Write until the client has everything, the socket is full, or its turn is over."""
        if self._tail is not None and not self._write(self._tail):
            return
        if self._closing:
            self._finish()
            return
        for _ in range(_BURST):
            if self._backlog is not None and self._ending is None and not self._has_room():
                return  # until the view ticks again, or a second has passed
            ending = self._ending
            frame = self.subscriber.pull() if ending is None or ending.flush else None
            if frame is None:
                if ending is not None:
                    self._say_goodbye(ending)
                return
            if not self._write(self._encoded(frame)):
                return
        self._wait_writable()  # usually at once: other sockets first

    def _write(self, data: bytes | memoryview) -> bool:
        """Returns whether all was written; if not, the rest is kept or the socket is closed."""
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.abort()
            return False
        if self._backlog is not None:
            self._backlog.sent += sent
        if sent == len(data):
            self._tail = None
            return True
        self._keep(data, sent)
        return False

    def _has_room(self) -> bool:
        backlog, now = self._backlog, trio.current_time()
        if backlog is None or not backlog.room(self.socket, now):
            return backlog is None
        if backlog.over(now):
            self._backlog = None
        return True

    def _keep(self, data: bytes | memoryview, sent: int) -> None:
        """Keep the rest until the socket is writable."""
        if not self.subscriber.blocked:
            bound_sent(self.socket)
        self.subscriber.blocked += 1
        self._ask_window()
        if self._backlog is None and self.subscriber.view.merge != "all":
            self._backlog = Backlog(self._window << 10, trio.current_time())
        self._tail = memoryview(data)[sent:]
        self._wait_writable()

    def _ask_window(self) -> None:
        """Note the peer's window, once, while all before was read: within the first second, or
        before the first rest of a frame can have arrived."""
        if self._window < 0:
            self._window = min(peer_window(self.socket) >> 10, 256)

    def _wait_writable(self, *, reading: bool = True) -> None:
        if self._blocked_since is None:
            self._blocked_since = trio.current_time()
        elif reading:
            return
        self._engine.watch(self, READ | WRITE if reading else WRITE)

    def _say_goodbye(self, ending: Ending) -> None:
        self._closing = True
        if self._write(self._farewell(ending)):
            self._finish()

    def _farewell(self, ending: Ending) -> bytes:
        frames = wire.farewell(ending.reason, ending.message, ending.retry_ms)
        return b"".join(self._encoded(frame) for frame in frames) + self._last_bytes()

    def _encoded(self, frame: Frame) -> bytes:
        """A frame in the form in which it is sent next."""
        return frame.encoded(self._wire)

    def _last_bytes(self) -> bytes:
        """The bytes that end the answer."""
        return wire.last_of(self._wire)

    def _finish(self) -> None:
        """Everything is written: close, the kernel delivers it."""
        self.abort()

    def tend(self, now: float) -> None:  # noqa: ARG002 - nothing depends on the time
        """Look again at a client that was held back."""
        self._ask_window()
        if self._backlog is not None and self._blocked_since is None and not self._closing:
            self._pump()


class GzipCarrier(DetachedCarrier):
    """Carries SSE or NDJSON in gzip: shared blocks between a head and a checksum of its own.

    Only the checksum is computed for each client, a microsecond for each kilobyte.
    """

    __slots__ = ("_end", "_text")

    def __init__(
        self, engine: Engine, hub: Hub, sock: socket.socket, subscriber: Subscriber, wire: Wire
    ) -> None:
        text = gzipped(wire)
        assert text is not None
        self._text: Text = text
        self._end = GzipEnd()
        super().__init__(engine, hub, sock, subscriber, wire)

    def begin(self, head: bytes = b"") -> None:
        super().begin(head + wire.framed(self._wire, GZIP_HEAD))

    def wake(self) -> None:
        if self._blocked_since is None and not self.closed and self._ending is None:
            self._pump()

    def _encoded(self, frame: Frame) -> bytes:
        self._end.count(frame.encoded(self._text))
        return frame.encoded(self._wire)

    def _last_bytes(self) -> bytes:
        return wire.framed(self._wire, self._end.encoded()) + super()._last_bytes()
