"""The values of `server.host`: addresses, host names, and paths of Unix sockets."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final

import msgspec

UNIX_PREFIX: Final = "unix:"
_MODE: Final = 0o660
"""Owner and group may connect: a proxy that runs as another user is let in by its group."""
_MOST_BYTES: Final = 107
"""The longest path: `sun_path` has 108 bytes with the zero at its end (unix(7))."""
_HOST: Final = re.compile(r"\[[0-9A-Fa-f.:]+(?:%[\w.-]+)?\]|[\w.:%-]+")
_QUERY: Final = re.compile(r"mode=(0?[0-7]{3})")


class UnixPath(msgspec.Struct, frozen=True):
    """A Unix socket in the file system."""

    path: str
    mode: int
    """Permissions of the file; who may write to it may connect."""


class PathTooLong(ValueError):
    """The path of a Unix socket is too long."""


def split_hosts(text: str) -> tuple[str, ...]:
    """The hosts in a text, separated by commas or spaces."""
    return tuple(re.findall(r"[^,\s]+", text))


def _mapped(host: str) -> str:
    """The IPv4 address in ::ffff:192.0.2.1 (RFC 4291 section 2.5.5.2), and empty for others."""
    try:
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
    except ValueError:
        return ""
    return "" if mapped is None else str(mapped)


def parse_host(text: str) -> str | UnixPath:
    """A name or address without brackets, or the path in `unix:PATH` and `unix:PATH?mode=660`.

    An IPv4 address that is written as an IPv6 one is returned as IPv4: a socket for IPv6 can't be
    bound to it.

    Raises ValueError if it is neither, PathTooLong if the path is too long.
    """
    if not text.startswith(UNIX_PREFIX):
        if not _HOST.fullmatch(text):
            raise ValueError(text)
        host = text.removeprefix("[").removesuffix("]")
        return _mapped(host) or host
    path, asked, query = text.removeprefix(UNIX_PREFIX).partition("?")
    mode = _QUERY.fullmatch(query)
    # A path that begins with @ is an abstract one of Linux, which anyone may connect to.
    if (asked and mode is None) or path.startswith("@") or "\0" in path:
        raise ValueError(text)
    if not path or path.endswith("/"):
        raise ValueError(text)
    if (length := len(os.fsencode(path))) > _MOST_BYTES:
        raise PathTooLong(
            f"the path of a Unix socket takes {_MOST_BYTES} bytes at the most, and this one has "
            f"{length}"
        )
    return UnixPath(path, _MODE if mode is None else int(mode[1], 8))
