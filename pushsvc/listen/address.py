"""Addresses as limits count them."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any


def peer_of(name: Any) -> str:
    """The address in what `accept` and `getpeername` give; empty for a Unix socket."""
    return plain(name[0]) if isinstance(name, tuple) else ""


def plain(address: str) -> str:
    """An IPv4 address in its own form, where a socket for both families gave it as an IPv6 address
    (RFC 4291 section 2.5.5.2)."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


@functools.lru_cache(maxsize=4096)
def group(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one.

    Any host may take as many addresses of its /64 as it likes (RFC 4291 section 2.5.1).
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
