"""How much is on its way to a slow client, and whether it should be given more.

What was handed to the kernel can't be merged with later samples any more. So a client that has once
taken less than it was offered is given more only when nearly everything before has arrived: what it
gets is then as new as possible. The kernel knows how much is on its way: what the peer has not
acknowledged (`SIOCOUTQ`, tcp(7)), and, from how far the peer has closed its window (`TCP_INFO`),
what is unread at the other end.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys
import termios

_SECONDS = 0.25
"""How much may be on its way, in seconds of the client's own pace."""
_FLOOR = 4 * 1024
"""Bytes that may always be on their way."""
_SETTLE = 0.5
"""Seconds over which the pace of a client is averaged."""
_ASK = 0.5
"""Seconds without a new frame after which a client whose socket is empty is given one."""
_RECOVERED = 3.0
"""Seconds without a backlog after which a client isn't slow any more."""
_WINDOW_AT = 228
"""The offset of the peer's window in Linux' struct tcp_info (`tcpi_snd_wnd`, since 5.4)."""


def peer_window(sock: socket.socket) -> int:
    """The bytes for which the peer has room, beyond what it has acknowledged; 0 if unknown."""
    if sys.platform != "linux":
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WINDOW_AT + 4)
    except OSError:  # not a TCP socket
        return 0
    return int(struct.unpack_from("I", info, _WINDOW_AT)[0]) if len(info) >= _WINDOW_AT + 4 else 0


def unacknowledged(sock: socket.socket) -> int:
    """The bytes that were sent and not acknowledged, or not sent yet; 0 if unknown."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, size)  # SIOCOUTQ has the same number
    except OSError:
        return 0
    return size[0]


class Backlog:
    """The backlog of one slow client."""

    __slots__ = (
        "_clear_since",
        "_given_at",
        "_heard",
        "_heard_at",
        "_rate",
        "_taken",
        "_taken_at",
        "_window",
        "moved_at",
        "sent",
    )

    def __init__(self, window: int, now: float) -> None:
        """`window` is the peer's window when it had nothing unread."""
        self._window = window
        self.sent = 0
        """Bytes handed to the kernel since it was found to be slow."""
        self._heard = -1  # the peer's last known window, and since when
        self._heard_at = now
        self._taken = 0
        self._taken_at = now
        self._rate = 0.0
        self._given_at = now
        self._clear_since: float | None = None
        self.moved_at = now
        """When the client last took something, or had nothing to take."""

    def room(self, sock: socket.socket, now: float) -> bool:
        """Whether so little is on its way that it can be given more; if so, it will be."""
        unsent, window = unacknowledged(sock), peer_window(sock)
        if window != self._heard:
            self._heard, self._heard_at = window, now
            self._window = max(self._window, window)
            self._measure(self.sent - unsent - (self._window - window), now)
        # What it has read since its last acknowledgement isn't known: assume the same pace.
        unread = self._window - window - self._rate * (now - self._heard_at)
        waiting = unsent + max(0.0, unread)
        if not waiting:
            self.moved_at = now
        if waiting >= _FLOOR:
            self._clear_since = None
        elif self._clear_since is None:
            self._clear_since = now
        room = waiting < max(_FLOOR, self._rate * _SECONDS)
        # Only sending something brings a new acknowledgement.
        if room or (not unsent and now - self._given_at >= _ASK):
            self._given_at = now
            return True
        return False

    def _measure(self, taken: int, now: float) -> None:
        """Note how much it has taken; below 0 for what was on its way before."""
        if taken > self._taken:
            self.moved_at = now
        seconds = now - self._taken_at
        if seconds >= _SETTLE:
            self._rate += 0.5 * (max(0, taken - self._taken) / seconds - self._rate)
            self._taken, self._taken_at = taken, now

    def over(self, now: float) -> bool:
        """Whether it has kept up for a while, and isn't slow any more."""
        return self._clear_since is not None and now - self._clear_since >= _RECOVERED
