"""TLS in the process: a certificate that can be replaced while it is in use."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import trio

from pushsvc.listen.tls_socket import TlsSocket
from pushsvc.log import get_logger

_log = get_logger("pushsvc.service")

_LOOK_AT_CERTIFICATE = 2.0
"""Seconds between two looks at the certificate's files."""
HTTP2 = "h2"
HTTP1 = ("http/1.1",)
ALPN = (HTTP2, *HTTP1)
_HANDSHAKE = b"\x16"
"""The content type of a handshake, with which TLS begins (RFC 8446 section 5.1)."""
_PLAIN_READ = 64 * 1024
_PLAIN = b"This port speaks TLS: the URL begins with https://.\n"
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
) % (len(_PLAIN), _PLAIN)


def speaks_tls(sock: socket.socket) -> bool | None:
    """Whether the unread bytes of a non-blocking socket may be the start of TLS; None if there are
    none yet. Raises OSError when the peer is gone."""
    try:
        first = sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return None
    if not first:
        raise ConnectionResetError
    return first == _HANDSHAKE


def refuse_plain(sock: socket.socket) -> None:
    """Answer a client that doesn't speak TLS, if it may be one of HTTP. Doesn't block; the
    connection is to be closed next."""
    with contextlib.suppress(OSError):
        # Read first: closing with unread bytes resets the connection, and the client loses the
        # answer.
        if sock.recv(_PLAIN_READ)[:1].isalpha():
            sock.send(_PLAIN_ANSWER)


class CertificateError(Exception):
    """The certificate or its key can't be used; the message is one line that names the file."""


class Certificate:
    """A server's certificate chain and key, from two PEM files."""

    def __init__(self, certfile: Path, keyfile: Path, alpn: Sequence[str] = ALPN) -> None:
        """`alpn` are the supported protocols. Raises CertificateError."""
        self._alpn = alpn
        self._certfile = certfile
        self._keyfile = keyfile
        self._seen = self._stamp()
        self._context = self._load()

    def wrap(self, sock: socket.socket) -> TlsSocket:
        """The socket of a new connection with TLS on it, which takes its place. The handshake is
        still to be done. Raises OSError when the peer is gone; then it is closed."""
        wrapped = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        assert isinstance(wrapped, TlsSocket)
        return wrapped

    def reload(self) -> None:
        """Read the files again, for new connections.

        Raises CertificateError; then the former certificate stays in use.
        """
        self._seen = self._stamp()
        self._context = self._load()

    def changed(self) -> bool:
        """Whether the files have been replaced since they were last read. Blocks for two
        `stat`s."""
        return self._stamp() != self._seen

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        # Follow symbolic links, which are what Kubernetes and certbot replace.
        stamps: list[tuple[int, int, int] | None] = []
        for file in (self._certfile, self._keyfile):
            try:
                found = file.stat()
            except OSError:
                stamps.append(None)
            else:
                stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return stamps

    def _load(self) -> ssl.SSLContext:
        for file in (self._certfile, self._keyfile):
            try:
                file.open("rb").close()
            except OSError as error:
                raise CertificateError(f"{file}: {error.strerror or error}") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113 section 9.2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(list(self._alpn))
        context.sslsocket_class = TlsSocket
        try:
            # For an encrypted key OpenSSL would ask on the terminal.
            context.load_cert_chain(self._certfile, self._keyfile, password=_no_password)
        except _Encrypted:
            raise CertificateError(
                f"{self._keyfile}: the key is encrypted; a service needs one that isn't"
            ) from None
        except ssl.SSLError as error:
            what = error.reason or str(error)
            if what == "KEY_VALUES_MISMATCH":
                what = f"the key isn't the one of {self._certfile}"
                raise CertificateError(f"{self._keyfile}: {what}") from None
            raise CertificateError(
                f"{self._certfile}, {self._keyfile}: not a certificate and its key in PEM ({what})"
            ) from None
        return context


class _Encrypted(Exception):
    pass


def _no_password() -> str:
    raise _Encrypted


async def watch_certificate(certificate: Certificate) -> None:
    """Read the certificate again when its files were replaced, until cancelled.

    The two files are rarely replaced at the same moment: if they don't match yet, they are read
    again when the other one has changed too.
    """
    while True:
        await trio.sleep(_LOOK_AT_CERTIFICATE)
        if certificate.changed():
            renew(certificate)


def renew(certificate: Certificate) -> None:
    """Read the certificate again; an invalid one isn't used, and is logged."""
    try:
        certificate.reload()
    except CertificateError as error:
        _log.error("the former certificate stays", error=str(error))
    else:
        _log.info("certificate reloaded")
