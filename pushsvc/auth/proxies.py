"""The client's address behind trusted proxies.

Forwarding headers are believed only from the configured addresses and networks, since anyone can
write them. Either `X-Forwarded-For` (with `-Proto` and `-Host`) or `Forwarded` (RFC 7239) is read,
whichever the configuration names. A proxy that writes one of them passes the other on as the client
wrote it; so the other means nothing, and is no reason to refuse a request.

The list of hops is read from its near end. The client is either the first address that isn't a
trusted proxy, or the n-th, where proxies are known to append so many. Addresses beyond that were
written by the client itself, or by proxies that only the client trusts.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Header = Literal["x-forwarded-for", "forwarded"]

UNIX: Final = "unix"
"""In the list of trusted addresses: clients on a Unix socket, which have no address."""
_MOST_HOPS: Final = 32
"""Hops that are read, beginning with the nearest; a client behind more counts as the farthest of
them."""
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*+"|[^\s",;]*+)\s*')


class Client(msgspec.Struct, frozen=True):
    """The client of a request, as far as trusted proxies tell."""

    address: str
    """`unix` for a client on a Unix socket that no trusted proxy names."""
    scheme: str
    """`http` or `https`, as the client speaks it."""
    host: str
    """Host and port under which the client asked; empty if it didn't say."""
    peer: str = ""
    """The address at the other end of the connection."""
    believed: bool = False
    """Whether the peer is trusted to name its clients."""

    @property
    def origin(self) -> str:
        """The web origin of a page that is served here."""
        return f"{self.scheme}://{_without_default_port(self.scheme, self.host.lower())}"


class _Hop(msgspec.Struct, frozen=True):
    address: str
    scheme: str = ""
    host: str = ""


class Proxies:
    """The trusted proxies, and how they name the client."""

    def __init__(
        self, networks: Iterable[str], *, header: Header = "x-forwarded-for", depth: int = 0
    ) -> None:
        """Addresses and CIDR networks, and `unix`; `depth` is how many addresses the proxies append
        where that is known, and 0 where proxies are recognised by their addresses. Raises
        ValueError for a text that isn't a network."""
        named = tuple(networks)
        self._unix = UNIX in named
        self._networks = tuple(
            ipaddress.ip_network(text, strict=False) for text in named if text != UNIX
        )
        self.header = header
        """The header that they write, which is read."""
        self._depth = depth

    def client(self, peer: str, scheme: str, headers: Mapping[str, str]) -> Client:
        """The client of a request that came from `peer` over `scheme`.

        `headers` have lower-case names; repeated ones are joined with commas. Where a trusted proxy
        names no client, or its header can't be read, the nearest known address counts.
        """
        host = headers.get("host", "")
        if not self.trusts(peer):
            return Client(peer or UNIX, scheme, host, peer)
        if self.header == "forwarded":
            hop = self._choose(_forwarded(headers))
        else:
            hop = self._choose(_x_forwarded(headers))
        address = peer or UNIX if hop is None or not hop.address else hop.address
        told = "" if hop is None else hop.scheme
        asked = "" if hop is None else hop.host
        if self.header != "forwarded":
            # A proxy may set these alone, without the addresses.
            told = told or _last(headers, "x-forwarded-proto").lower()
            asked = asked or _last(headers, "x-forwarded-host")
        told = {"ws": "http", "wss": "https"}.get(told, told)
        if told not in ("http", "https"):
            told = scheme
        return Client(_plain(address), told, asked or host, peer, believed=True)

    def trusts(self, address: str) -> bool:
        """Whether this peer is trusted to name its clients."""
        if not address:
            return self._unix
        if not self._networks:
            return False
        try:
            parsed = _parse(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _choose(self, hops: Sequence[_Hop]) -> _Hop | None:
        """The client's hop, of hops in the order in which the request passed them; None where there
        is none."""
        if self._depth:
            # With fewer, it did not come through all of those proxies.
            hop = hops[-self._depth] if len(hops) >= self._depth else None
            return hop if hop is None or _is_address(hop.address) else None
        nearest = None
        for hop in reversed(hops):
            if not _is_address(hop.address):
                # `unknown`, or a name that hides an address: the path can't be followed further.
                # The scheme and the host are those that this hop wrote.
                return msgspec.structs.replace(
                    hop, address="" if nearest is None else nearest.address
                )
            nearest = hop
            if not self.trusts(hop.address):
                return hop
        return nearest


def _forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    """One hop for each element; one that can't be read has no address, and hides the hops beyond
    it."""
    hops = []
    for element in _split(headers.get("forwarded", ""), ","):
        pairs: dict[str, str] = {}
        for text in _split(element, ";"):
            pair = _PAIR.fullmatch(text)
            if pair is None:
                pairs = {}
                break
            pairs[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2].strip('"'))
        address = _strip_port(pairs.get("for", ""))
        hops.append(_Hop(address, pairs.get("proto", "").lower(), pairs.get("host", "")))
    return hops[-_MOST_HOPS:]


def _x_forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    addresses = _list(headers, "x-forwarded-for")[-_MOST_HOPS:]
    schemes = _list(headers, "x-forwarded-proto")[-_MOST_HOPS:]
    hosts = _list(headers, "x-forwarded-host")[-_MOST_HOPS:]
    # If they have one value for each hop they belong together; otherwise only the nearest is known.
    if len(schemes) != len(addresses):
        schemes = schemes[-1:] * len(addresses)
    if len(hosts) != len(addresses):
        hosts = hosts[-1:] * len(addresses)
    schemes = schemes or [""] * len(addresses)
    hosts = hosts or [""] * len(addresses)
    return [
        _Hop(_strip_port(address), scheme.lower(), host)
        for address, scheme, host in zip(addresses, schemes, hosts, strict=True)
    ]


def _list(headers: Mapping[str, str], name: str) -> list[str]:
    return [text for part in headers.get(name, "").split(",") if (text := part.strip())]


def _last(headers: Mapping[str, str], name: str) -> str:
    return (_list(headers, name) or [""])[-1]


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that aren't quoted; empty ones are left out."""
    parts = re.findall(rf'(?:[^"{separator}]|"(?:[^"\\]|\\.)*+"?)++', text)
    return [part for part in parts if part.strip()]


def _strip_port(text: str) -> str:
    """An address of `Forwarded` or `X-Forwarded-For` alone: both may come with a port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


@functools.lru_cache(1024)
def _parse(address: str) -> _Address:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    # A socket for both families tells IPv4 peers as IPv6 (RFC 4291 section 2.5.5.2).
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _is_address(text: str) -> bool:
    try:
        _parse(text)
    except ValueError:
        return False
    return True


def _plain(address: str) -> str:
    try:
        return str(_parse(address))
    except ValueError:
        return address


def _without_default_port(scheme: str, host: str) -> str:
    default = ":443" if scheme == "https" else ":80"
    return host.removesuffix(default)


@functools.lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address, without a port, is this machine's own and nobody else's."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return _parse(host).is_loopback
    except ValueError:
        return False
