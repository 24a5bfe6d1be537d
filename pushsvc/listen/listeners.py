"""Listening sockets: on addresses and in the file system."""

from __future__ import annotations

import errno
import ipaddress
import os
import shlex
import socket
import stat
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import trio

from pushsvc.config import Server
from pushsvc.config.hosts import UNIX_PREFIX, UnixPath, parse_host
from pushsvc.log import get_logger

_log = get_logger("pushsvc.service")

_ATTEMPTS: Final = 10
"""Attempts to find a port that is free on all addresses, where the port is 0."""
_MOST_BACKLOG: Final = 0xFFFF
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104

_Address = tuple[socket.AddressFamily, Any]


class Listener:
    """A listening, non-blocking socket, which this object owns."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        file: os.stat_result | None = None,
        name: str = "",
        backlog: int = 0,
    ) -> None:
        """`file` is the path of a Unix socket, which is removed with it; `name` is the host that
        was asked for, where that isn't an address; `backlog` is how many connections may wait."""
        sock.setblocking(False)
        self.socket = sock
        self._file = file
        self.name = name
        self.backlog = backlog
        self._kind = int(sock.family), int(sock.type), sock.proto

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection, non-blocking, and the address of its peer. Raises what
        `socket.accept` does.

        It does the same, but without making enumerations of integers for each connection, which
        takes as long as the system call.
        """
        fd, name = self.socket._accept()  # type: ignore[attr-defined]
        sock = socket.socket(*self._kind, fileno=fd)
        sock.setblocking(False)
        return sock, name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}>"

    def again(self) -> Listener:
        """Another listener on the same socket, which may be closed by itself."""
        return Listener(self.socket.dup(), name=self.name)

    @property
    def is_unix(self) -> bool:
        return self.socket.family == socket.AF_UNIX

    @property
    def host(self) -> str:
        """The address it is bound to, as `server.host` names it."""
        name = self.socket.getsockname()
        if not self.is_unix:
            return str(name[0])
        return UNIX_PREFIX + (f"@{name[1:].decode()}" if isinstance(name, bytes) else name)

    def place(self, scheme: str, prefix: str) -> str:
        """The URL for a browser on this machine; of a Unix socket a command that asks there."""
        if self.is_unix:
            path = self.host.removeprefix(UNIX_PREFIX)
            option = "--unix-socket"
            if path.startswith("@"):
                option, path = "--abstract-unix-socket", path[1:]
            return f"curl {option} {shlex.quote(path)} {scheme}://localhost{prefix}/"
        host, port = self.socket.getsockname()[:2]
        if self.name:
            host = self.name
        elif host in _ANY:
            host = "127.0.0.1" if self._takes_ipv4 else "::1"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{prefix}"

    @property
    def _takes_ipv4(self) -> bool:
        if self.socket.family == socket.AF_INET:
            return True
        return not self.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

    def close(self) -> None:
        """Close the socket; closing it again does nothing. If a service manager opened it, it stays
        open there, and connections wait in its queue until the next process accepts them."""
        if self.socket.fileno() < 0:
            return
        if self._file is not None:
            path = self.socket.getsockname()
            try:
                if os.path.samestat(os.stat(path), self._file):  # noqa: PTH116
                    os.unlink(path)  # noqa: PTH108
            except OSError:
                pass  # already removed by another process
        self.socket.close()


async def open_listeners(
    hosts: Iterable[str], port: int, *, backlog: int, reuse_port: bool = False
) -> list[Listener]:
    """Listen on all hosts; with port 0, on one port that is free on all of them.

    `::` is for IPv4 too, unless an IPv4 address is named beside it. A Unix socket that a dead
    process left behind is replaced. With `reuse_port` there may be `twins` of listeners on
    addresses. Raises OSError, which names the address.
    """
    parsed = [parse_host(host) for host in dict.fromkeys(hosts)]
    names = [host for host in parsed if not isinstance(host, UnixPath)]
    addresses = [(name, await _resolve(name, port)) for name in names]
    listeners: list[Listener] = []
    try:
        listeners += _bind_all(addresses, port, _Options(backlog, reuse_port))
        for host in parsed:
            if isinstance(host, UnixPath):
                listeners.append(_bind_unix(host, backlog))
    except BaseException:
        close_all(listeners)
        raise
    return listeners


async def open_all(where: Server, *, reuse_port: bool = False) -> list[Listener]:
    """Listen on all hosts of the settings, and on their addresses on the second port, too, if
    there is one. Raises OSError, which names the address."""
    listeners = await open_listeners(
        where.hosts, where.port, backlog=where.backlog, reuse_port=reuse_port
    )
    hosts = [host for host in where.hosts if not isinstance(parse_host(host), UnixPath)]
    if where.grpc_port and hosts:
        try:
            listeners += await open_listeners(
                hosts, where.grpc_port, backlog=where.backlog, reuse_port=reuse_port
            )
        except BaseException:
            close_all(listeners)
            raise
    return listeners


async def resolve_hosts(hosts: Iterable[str], port: int) -> None:
    """Raise OSError, which names it, for a host that has no address."""
    for host in map(parse_host, hosts):
        if not isinstance(host, UnixPath):
            await _resolve(host, port)


async def refuse_taken(hosts: Iterable[str], port: int) -> None:
    """Raise OSError, which names it, for an address on which another program listens already: the
    kernel doesn't report that to sockets that share a port by SO_REUSEPORT."""
    for host in map(parse_host, hosts):
        if port and not isinstance(host, UnixPath):
            for family, address in await _resolve(host, port):
                try:
                    _bind(family, address, _Options(1), ipv4_too=False).close()
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        raise


def twins(listeners: Sequence[Listener], count: int) -> list[list[Listener]]:
    """Listeners for so many processes; `listeners` are those of the first. On addresses that were
    opened with `reuse_port` each process gets sockets of its own, among which the kernel
    distributes connections; otherwise they share one socket. Raises OSError."""
    each = [list(listeners)]
    try:
        for _ in range(count - 1):
            each.append([])
            each[-1].extend(map(_twin, listeners))
    except BaseException:
        for some in each[1:]:
            close_all(some)
        raise
    return each


def _twin(listener: Listener) -> Listener:
    sock = listener.socket
    if listener.is_unix or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
        return listener.again()
    both = sock.family == socket.AF_INET6 and not sock.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    options = _Options(listener.backlog, reuse_port=True)
    return Listener(
        _bind(sock.family, sock.getsockname(), options, ipv4_too=both),
        name=listener.name,
        backlog=listener.backlog,
    )


class _Options(NamedTuple):
    """How to listen on an address."""

    backlog: int
    reuse_port: bool = False


def close_all(listeners: Iterable[Listener]) -> None:
    for listener in listeners:
        listener.close()


# -- TCP -------------------------------------------------------------------------------------------


async def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no name"
        raise OSError(
            getattr(error, "errno", None) or errno.EINVAL, f"the name doesn't resolve ({why})", host
        ) from error
    addresses = [(family, address) for family, _, _, _, address in found]
    if host.lower().rstrip(".") == "localhost":
        # On the loopback addresses of both families (RFC 6761 section 6.3), whatever /etc/hosts
        # says, since browsers try both.
        addresses += [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
    return list(dict.fromkeys(addresses))


def _bind_all(
    hosts: Sequence[tuple[str, list[_Address]]], port: int, options: _Options
) -> list[Listener]:
    """A listener for each address, all on one port."""
    for attempt in range(_ATTEMPTS):
        listeners: list[Listener] = []
        done: set[_Address] = set()
        ipv4_too = not any(family == socket.AF_INET for _, found in hosts for family, _ in found)
        try:
            for name, found in hosts:
                shown = "" if _is_address(name) else name
                _bind_host(shown, found, port, options, ipv4_too, listeners, done)
        except OSError as error:
            close_all(listeners)
            again = not port and listeners and error.errno == errno.EADDRINUSE
            if not again or attempt == _ATTEMPTS - 1:
                raise
        except BaseException:
            close_all(listeners)
            raise
        else:
            return listeners
    raise AssertionError


def _bind_host(
    name: str,
    addresses: list[_Address],
    port: int,
    options: _Options,
    ipv4_too: bool,
    listeners: list[Listener],
    done: set[_Address],
) -> None:
    """Listen on all addresses of a host; at least one must belong to this machine."""
    failed: OSError | None = None
    bound = False
    for family, address in addresses:
        if (family, address) in done:
            bound = True
            continue
        done.add((family, address))
        free = port or (listeners[0].socket.getsockname()[1] if listeners else 0)
        try:
            bound_to = (address[0], free, *address[2:])
            sock = _bind(family, bound_to, options, ipv4_too=ipv4_too)
            listeners.append(Listener(sock, name=name, backlog=options.backlog))
        except OSError as error:
            # A name such as localhost stands for both families, even where the machine has only
            # one.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            failed = error
        else:
            bound = True
    if failed is not None and not bound:
        raise failed


def _bind(
    family: socket.AddressFamily, address: tuple[Any, ...], options: _Options, *, ipv4_too: bool
) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if options.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                _choose_families(sock, both=ipv4_too and address[0] == "::")
            sock.bind(address)
            sock.listen(min(options.backlog, _MOST_BACKLOG))
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        where = f"{address[0]} port {address[1]}"
        if error.errno == errno.EAFNOSUPPORT and address[0] == "::":
            where += " (this system has no IPv6: 0.0.0.0 is for IPv4)"
        raise OSError(error.errno, error.strerror, where) from error
    return sock


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _choose_families(sock: socket.socket, *, both: bool) -> None:
    """Accept IPv4 on a socket for IPv6, or not (RFC 3493 section 5.3)."""
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
    except OSError as error:
        if not both:
            raise
        _log.warning(
            "IPv6 only",
            host="::",
            reason=f"this system's sockets for IPv6 take no IPv4 ({error.strerror})",
            cure="name both: --host :: --host 0.0.0.0",
        )


# -- Unix ------------------------------------------------------------------------------------------


def _bind_unix(host: UnixPath, backlog: int) -> Listener:
    try:
        _remove_stale(host.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(host.path)
            file = os.stat(host.path)  # noqa: PTH116
            try:
                # Nobody can connect before it listens.
                os.chmod(host.path, host.mode)  # noqa: PTH101
                sock.listen(min(backlog, _MOST_BACKLOG))
            except BaseException:
                os.unlink(host.path)  # noqa: PTH108
                raise
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{UNIX_PREFIX}{host.path}") from error
    return Listener(sock, file=file)


def _remove_stale(path: str) -> None:
    """Remove a socket on which nobody listens. Raises OSError where the path is taken."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode  # noqa: PTH116
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is something else by that name, which isn't removed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # a program listens there, and its queue is full
    raise OSError(errno.EADDRINUSE, "another process listens there")
