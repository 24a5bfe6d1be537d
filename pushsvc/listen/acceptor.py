"""Accepts connections; none of them costs a task before it has sent a request's head.

After a restart all clients come back at once, and some connections never send anything. So
accepting is a loop without a task per connection: it reads what a new connection has sent, and
waits for the rest of its request's head in one selector that all of them share.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import time
from collections import Counter
from collections.abc import Callable

import trio

from pushsvc.listen.address import group, peer_of
from pushsvc.listen.listeners import Listener
from pushsvc.log import get_logger
from pushsvc.transport.engine import Engine

_log = get_logger("pushsvc.listen")

_SLICE = 32
"""Connections accepted between two checkpoints."""
_LONGEST = 0.005
"""Seconds after which no further connection is accepted before the next checkpoint: opening a
stream for one may take some milliseconds."""
_READ = 16 * 1024
_MOST_HEAD = 16 * 1024
"""Bytes of a head that are gathered here; a longer head is passed on before it is complete."""
_HEAD_END = re.compile(rb"\n\r?\n")
_HEAD_TIMEOUT = 10.0
"""Seconds from the first byte of a head to its last."""
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_PAUSE = 0.1
"""Seconds without accepting, when the process has no more descriptors or memory."""


class PendingConnection:
    """A connection that has not sent the whole head of its first request."""

    __slots__ = ("_acceptor", "_data", "_since", "closed", "peer", "socket")

    def __init__(self, acceptor: Acceptor, sock: socket.socket, peer: str, since: float) -> None:
        self.socket = sock
        self.peer = peer
        self.closed = False
        self._acceptor = acceptor
        self._data = b""
        self._since = since

    def __repr__(self) -> str:
        return f"<{type(self).__name__} after {len(self._data)} bytes>"

    def read(self) -> bytes | None:
        """Read; returns the bytes once the connection can be passed on, and None before that.

        Raises OSError when the peer is gone.
        """
        data = self._acceptor.read(self.socket)
        if data is None or not self._acceptor.reads_heads:
            return data
        if not self._data:
            self._since = trio.current_time()
        self._data += data
        return self._data if _is_whole(self._data) else None

    def keep(self, data: bytes) -> None:
        """Go on after what was read already."""
        self._data = data

    # -- the engine's side -------------------------------------------------------------------------

    def serve(self, events: int) -> None:  # noqa: ARG002 - it is watched for reading only
        try:
            first = self.read()
        except OSError:
            self.abort()
            return
        if first is not None:
            self.closed = True
            self._acceptor.waiting.remove(self)
            self._acceptor.pass_on(self.socket, first, self.peer)

    def tend(self, now: float) -> None:
        patience = _HEAD_TIMEOUT if self._data else self._acceptor.patience
        if now - self._since >= patience:
            self._acceptor.counts["connections_silent"] += 1
            self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._acceptor.waiting.remove(self)
            self._acceptor.leave(group(self.peer))
            self.socket.close()


class Acceptor:
    """Accepts connections and passes each on with the head of its first request."""

    def __init__(
        self,
        enter: Callable[[socket.socket, bytes, str], None],
        counts: Counter[str],
        *,
        most: int,
        most_of: Callable[[str], int],
        patience: float,
        reads_heads: bool = True,
        take: Callable[[bytes, socket.socket, str], bool] | None = None,
    ) -> None:
        """`take` is shown each head first, with the socket and the peer's address, and may take the
        connection, for good: it returns whether it has. `enter` gets a non-blocking socket, the
        bytes that were read from it, and the peer's address, for whose `group` `leave` must be
        called in the end. At most `most` connections are counted at a time, and `most_of(peer)` of
        one address; `patience` is for how many seconds a connection may send nothing. Without
        `reads_heads` nothing is read: the bytes are TLS, which is decrypted elsewhere."""
        self.waiting = Engine()
        """Connections whose first head isn't whole yet."""
        self.patience = patience
        self.reads_heads = reads_heads
        self.counts = counts
        self._take = take
        self._enter = enter
        self._most = most
        self._most_of = most_of
        self._inside = 0
        self._accounts: Counter[object] = Counter()

    def pass_on(self, sock: socket.socket, first: bytes, peer: str) -> None:
        """Pass on a connection that is counted."""
        if self._is_taken(sock, first, peer):
            self.leave(group(peer))
        else:
            self.enter(sock, first, peer)

    def _is_taken(self, sock: socket.socket, first: bytes, peer: str) -> bool:
        try:
            return self._take is not None and self._take(first, sock, peer)
        except Exception:  # noqa: BLE001
            self._fail(sock)
            return True

    def enter(self, sock: socket.socket, first: bytes, peer: str) -> None:
        """Pass on a connection that wasn't taken. A failure of it affects no other connection."""
        try:
            self._enter(sock, first, peer)
        except Exception:  # noqa: BLE001
            self._fail(sock)
            self.leave(group(peer))

    @staticmethod
    def _fail(sock: socket.socket) -> None:
        _log.exception("a connection failed when it was passed on")
        sock.close()

    def leave(self, whose: object) -> None:
        """Stop counting a connection, by its address or by the account that it was moved to: it has
        ended, or it counts as a subscriber from now on."""
        self._inside -= 1
        self._release(whose)

    def read(self, sock: socket.socket) -> bytes | None:
        """Read what there is; None if nothing is. Raises OSError when the peer is gone."""
        try:
            data = sock.recv(_READ) if self.reads_heads else sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        if not data:
            raise ConnectionResetError
        return data if self.reads_heads else b""

    def move(self, whose: object, account: object, most: int) -> bool:
        """Count a connection with an account, which may have `most`, instead of where it counted
        before; returns whether there was room."""
        if self._accounts[account] >= most:
            self.counts["connections_refused_by_identity"] += 1
            return False
        self._release(whose)
        self._accounts[account] += 1
        return True

    def _release(self, whose: object) -> None:
        self._accounts[whose] -= 1
        if not self._accounts[whose]:
            del self._accounts[whose]

    def _has_room(self, peer: str, address: str) -> bool:
        if self._inside >= self._most:
            self.counts["connections_refused"] += 1
        elif self._accounts[address] >= self._most_of(peer):
            self.counts["connections_refused_by_address"] += 1
        else:
            return True
        return False

    async def run_accept(
        self,
        listener: Listener,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled, then close the listener."""
        task_status.started()
        with contextlib.closing(listener):
            while True:
                await trio.lowlevel.wait_readable(listener.socket)
                try:
                    self._accept_some(listener)
                except OSError as error:
                    if error.errno not in _OUT_OF_RESOURCES:
                        raise
                    _log.error("can't accept", error=str(error))
                    await trio.sleep(_PAUSE)

    def _accept_some(self, listener: Listener) -> None:
        begun = time.perf_counter()
        for number in range(_SLICE):
            if number and time.perf_counter() - begun > _LONGEST:
                return
            try:
                sock, name = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # the peer closed it before it was accepted
            self._begin(sock, peer_of(name))

    def _begin(self, sock: socket.socket, peer: str) -> None:
        """Read what a new connection has sent, and pass it on or have it wait for the rest."""
        address = group(peer)
        if not self._has_room(peer, address):
            sock.close()
            return
        try:
            first = self.read(sock)
        except OSError:
            sock.close()
            return
        if first is None or (self.reads_heads and not _is_whole(first)):
            self._count(address)
            pending = PendingConnection(self, sock, peer, trio.current_time())
            pending.keep(first or b"")
            self.waiting.add(pending)
        elif not self._is_taken(sock, first, peer):  # which isn't counted for that moment
            self._count(address)
            self.enter(sock, first, peer)

    def _count(self, address: str) -> None:
        self._inside += 1
        self._accounts[address] += 1


def _is_whole(data: bytes) -> bool:
    """Whether a request's head is there, or more than is gathered."""
    return data.endswith(b"\r\n\r\n") or len(data) >= _MOST_HEAD or bool(_HEAD_END.search(data))
