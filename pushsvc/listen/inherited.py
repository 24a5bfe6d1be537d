"""Sockets that a service manager opened and passed to this process."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from collections.abc import MutableMapping, Sequence
from typing import Final

from pushsvc.config import ConfigError
from pushsvc.listen.listeners import Listener

_FIRST_FD: Final = 3
"""The first descriptor that is passed (sd_listen_fds(3))."""
_COUNT: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Inherited:
    """What a service manager opened and passed."""

    listeners: Sequence[Listener] = ()
    statsd: socket.socket | None = None
    """A bound, non-blocking datagram socket."""


NOTHING: Final = Inherited()


def inherit_sockets(environment: MutableMapping[str, str]) -> Inherited:
    """The sockets that systemd passed to this process (sd_listen_fds(3)).

    Removes the variables that announce them from the environment. Raises ConfigError where one of
    them is neither a listening stream socket nor a datagram socket, or where there are several of
    the latter.
    """
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    environment.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()) or not count:
        return NOTHING
    if not _COUNT.fullmatch(count):
        raise ConfigError(f"LISTEN_FDS is no number of sockets: {count[:20]!r}")
    streams: list[socket.socket] = []
    datagrams: list[socket.socket] = []
    for place in range(int(count)):
        fd = _FIRST_FD + place
        name = names[place] if place < len(names) and names[place] else "unnamed"
        sock = _adopt(fd, name)
        (datagrams if sock.type == socket.SOCK_DGRAM else streams).append(sock)
    if len(datagrams) > 1:
        raise ConfigError(
            f"{len(datagrams)} sockets for datagrams were passed as LISTEN_FDS says, and StatsD "
            "takes one: leave but one ListenDatagram= in the unit"
        )
    return Inherited([Listener(sock) for sock in streams], next(iter(datagrams), None))


def _adopt(fd: int, name: str) -> socket.socket:
    """A listening stream socket, or a bound one for datagrams."""
    what = f"descriptor {fd} ({name}), which was passed as LISTEN_FDS says,"
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"{what} is no socket: {error.strerror}") from None
    if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        raise ConfigError(f"{what} is neither of IP nor a Unix socket")
    name_of = sock.getsockname()
    bound = name_of[1] != 0 if isinstance(name_of, tuple) else bool(name_of)
    if not (kind == socket.SOCK_STREAM and listens) and not (kind == socket.SOCK_DGRAM and bound):
        raise ConfigError(
            f"{what} is no listening stream socket, and none for StatsD's datagrams: its unit must "
            "say ListenStream= and Accept=no, or ListenDatagram="
        )
    sock.setblocking(False)
    return sock
