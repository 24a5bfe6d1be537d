"""How much the kernel keeps for a client that is slow: little, so that it is never very old."""

from __future__ import annotations

import contextlib
import socket
from typing import Final

NOT_SENT: Final = 32 * 1024
"""Bytes that a socket takes beyond those that are on their way."""
_SEND_BUFFER: Final = 128 * 1024
_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def bound_unsent(sock: socket.socket) -> None:
    """Have a socket, and all that are accepted from it, take no more than NOT_SENT."""
    if _LOWAT is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _LOWAT, NOT_SENT)


def bound_sent(sock: socket.socket) -> None:
    """Bound what is on its way too, where the network is slow: by default Linux lets a send buffer
    grow to some megabytes."""
    with contextlib.suppress(OSError):  # the peer is gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
