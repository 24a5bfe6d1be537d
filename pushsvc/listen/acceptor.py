"""Accepts connections; none of them costs a task before it has sent a request's head.

After a restart all clients come back at once, and some connections never send anything. So
accepting is a loop without a task per connection: it reads what a new connection has sent, and
waits for the rest of its request's head in one selector that all of them share. Handshakes of TLS,
which come before that, are done in the same way.
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
from pushsvc.listen.tls import Certificate, refuse_plain, speaks_tls
from pushsvc.listen.tls_socket import TlsSocket
from pushsvc.log import get_logger
from pushsvc.transport.engine import Engine

_log = get_logger("pushsvc.listen")

_SLICE = 32
"""Connections accepted between two checkpoints."""
_LONGEST = 0.005
"""Seconds after which no further connection is accepted before the next checkpoint: opening a
stream for one may take some milliseconds, and so may a handshake of TLS."""
_READ = 16 * 1024
_MOST_HEAD = 16 * 1024
"""Bytes of a head that are gathered here; a longer head is passed on before it is complete."""
_HEAD_END = re.compile(rb"\n\r?\n")
_HEAD_TIMEOUT = 10.0
"""Seconds from the first byte of a head, or of a handshake, to its last."""
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

        Raises OSError when the peer is gone, or is no client.
        """
        data = receive(self.socket)
        if data is None:
            return None
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
        patience = _HEAD_TIMEOUT if self._is_late() else self._acceptor.patience
        if now - self._since >= patience:
            self._acceptor.counts["connections_silent"] += 1
            self.abort()

    def _is_late(self) -> bool:
        """Whether it is in the middle of something."""
        return bool(self._data)

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self._acceptor.waiting.remove(self)
            self._acceptor.leave(group(self.peer))
            self.socket.close()


class PendingTls(PendingConnection):
    """A pending connection that agrees on keys first.

    OpenSSL's part takes up to 80 KiB during a handshake, and is made when one has begun.
    """

    __slots__ = ("_certificate", "_shaking")

    def __init__(
        self,
        acceptor: Acceptor,
        sock: socket.socket,
        peer: str,
        since: float,
        certificate: Certificate,
    ) -> None:
        super().__init__(acceptor, sock, peer, since)
        self._certificate = certificate
        self._shaking = False

    def read(self) -> bytes | None:
        if not isinstance(self.socket, TlsSocket):
            speaks = speaks_tls(self.socket)
            if speaks is None:
                return None
            if not speaks:
                refuse_plain(self.socket)
                raise ConnectionAbortedError
            self.socket = self._certificate.wrap(self.socket)
            self._shaking = True
            self._since = trio.current_time()
        if self._shaking:
            try:
                self._shaking = not self.socket.agree()
            except OSError as error:
                self._acceptor.counts["tls_handshakes_failed"] += 1
                _log.debug("no handshake", client=self.peer, reason=str(error))
                raise
            if self._shaking:
                return None
            self._since = trio.current_time()
        return super().read()

    def begin(self) -> None:
        """Read what has come, and wait for the rest, if there is one; nothing waits for it yet."""
        try:
            first = self.read()
        except OSError:
            self.closed = True
            self._acceptor.leave(group(self.peer))
            self.socket.close()
            return
        if first is None:
            self._acceptor.waiting.add(self)
        else:
            self.closed = True
            self._acceptor.pass_on(self.socket, first, self.peer)

    def serve(self, events: int) -> None:
        if isinstance(self.socket, TlsSocket):
            super().serve(events)
        else:
            # Another socket is about to take its place.
            self._acceptor.waiting.remove(self)
            self.begin()

    def _is_late(self) -> bool:
        return self._shaking or super()._is_late()


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
        certificate: Certificate | None = None,
        take: Callable[[bytes, socket.socket, str], bool] | None = None,
    ) -> None:
        """`take` is shown each head first, with the socket and the peer's address, and may take the
        connection, for good: it returns whether it has. `enter` gets a non-blocking socket, the
        bytes that were read from it, and the peer's address, for whose `group` `leave` must be
        called in the end. At most `most` connections are counted at a time, and `most_of(peer)` of
        one address; `patience` is for how many seconds a connection may send nothing. With a
        `certificate` all of them are TLS, and both get a TlsSocket."""
        self.waiting = Engine()
        """Connections whose first head isn't whole yet."""
        self.patience = patience
        self.counts = counts
        self._certificate = certificate
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
        elif self._accounts.get(address, 0) >= self._most_of(peer):
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
        if self._certificate is not None:
            self._count(address)
            now = trio.current_time()
            PendingTls(self, sock, peer, now, self._certificate).begin()
            return
        try:
            first = receive(sock)
        except OSError:
            sock.close()
            return
        if first is None or not _is_whole(first):
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


def receive(sock: socket.socket) -> bytes | None:
    """Read what there is; None if nothing is. Raises OSError when the peer is gone."""
    try:
        data = sock.recv(_READ)
    except (BlockingIOError, InterruptedError):
        return None
    if not data:
        raise ConnectionResetError
    return data


def _is_whole(data: bytes) -> bool:
    """Whether a request's head is there, or more than is gathered."""
    return data.endswith(b"\r\n\r\n") or len(data) >= _MOST_HEAD or bool(_HEAD_END.search(data))
