"""Addresses as limits see them."""

from __future__ import annotations

import functools
import ipaddress


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
