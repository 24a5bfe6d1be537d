"""A non-blocking socket that speaks TLS, and such a socket as a stream of Trio.

OpenSSL reads from the socket and writes to it by itself, and keeps a buffer only while a record is
on its way. Between the two there is nothing that would have to be kept for each of many clients.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RECORD = 16 * 1024
"""Bytes of a record at the most (RFC 8446 section 5.1)."""


class TlsSocket(ssl.SSLSocket):
    """A non-blocking server's socket: whoever sends on it and receives from it needn't know that
    it isn't a plain one. `tls.Certificate` makes them.

    Each record is received as a whole by `recv(16 * 1024)`, so that the kernel, and so a selector,
    knows whether there is more. What `send` didn't take must be the beginning of what is sent next:
    OpenSSL may have encrypted it already.
    """

    def agree(self) -> bool:
        """Go on with the handshake; returns whether it is done. Raises OSError where it fails."""
        try:
            self.do_handshake()
        except ssl.SSLWantReadError:
            return False
        # The client's turn only comes when all before it was sent. A new connection's buffer has
        # room for a chain of certificates several times: a full one isn't waited for.
        except ssl.SSLWantWriteError as error:
            raise ConnectionAbortedError(errno.ECONNABORTED, "it takes no handshake") from error
        return True

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send what there is room for, and return how many bytes that was. Raises BlockingIOError
        where there is no room."""
        view = memoryview(data)
        sent = 0
        try:
            # By the record, so that it is known how much of a large frame was taken.
            while sent < len(view):
                sent += super().send(view[sent : sent + _RECORD], flags)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            if not sent:
                raise _would_block() from None
        return sent

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive what there is; nothing at the end. Raises BlockingIOError where nothing is there,
        and `ssl.SSLWantWriteError` where nothing can be read before something is sent: a client
        that changes its keys wants an answer, and takes none."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise _would_block() from None

    def shutdown(self, how: int) -> None:
        """Say that nothing follows. What is received from now on isn't decrypted."""
        self._say_end()
        super().shutdown(how)

    def close(self) -> None:
        """Close the socket; tasks that wait for it are woken. That nothing follows is said, where
        that can be sent at once (RFC 8446 section 6.1)."""
        if self.fileno() >= 0:
            self._say_end()
            trio.lowlevel.notify_closing(self)
        super().close()

    def _say_end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.unwrap()


def _would_block() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


class TlsStream(trio.abc.Stream):
    """A TlsSocket as a stream. Only one task may send at a time, and one receive."""

    def __init__(self, sock: TlsSocket) -> None:
        self.socket = sock
        self._writable = trio.Lock()

    # -- what Hypercorn asks of a stream with TLS --------------------------------------------------

    @property
    def transport_stream(self) -> TlsStream:
        """The stream that has the socket."""
        return self

    async def do_handshake(self) -> None:
        """Nothing: it was done before there was a stream."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str | None:
        return self.socket.selected_alpn_protocol()

    # ----------------------------------------------------------------------------------------------

    def detach(self) -> TlsSocket:
        """Take the socket out. The stream must not be used any more."""
        trio.lowlevel.notify_closing(self.socket)
        return self.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        most = _RECORD if max_bytes is None else min(max_bytes, _RECORD)
        if most < 1:
            raise ValueError("max_bytes must be at least 1")
        await trio.lowlevel.checkpoint()
        while True:
            self._refuse_closed()
            try:
                return self.socket.recv(most)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.socket)
            except ssl.SSLWantWriteError:
                await self._wait_writable()
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        await trio.lowlevel.checkpoint()
        self._refuse_closed()
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                await self._wait_writable()
                self._refuse_closed()
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        self._refuse_closed()
        await self._wait_writable()

    async def _wait_writable(self) -> None:
        async with self._writable:  # reading may have to write
            self._refuse_closed()
            await trio.lowlevel.wait_writable(self.socket)

    async def aclose(self) -> None:
        self.socket.close()
        await trio.lowlevel.checkpoint()

    def _refuse_closed(self) -> None:
        if self.socket.fileno() < 0:
            raise trio.ClosedResourceError("this connection was closed")
