"""Who is really there, behind proxies that are trusted to say so.

Forwarding headers are believed from the configured addresses and networks only: anyone can write
them. Of `X-Forwarded-For` (with `-Proto` and `-Host`) and `Forwarded` (RFC 7239) one is read, which
the configuration names: a proxy that writes the one passes the other on as the client wrote it, so
that it says nothing, and is no reason to refuse anybody.

The list of hops is read from its near end. Either the first address that isn't a trusted proxy is
the client, or the n-th, where a proxy is known to append so many. What stands beyond was written by
the client itself, or by whoever it trusts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Header = Literal["x-forwarded-for", "forwarded"]

UNIX: Final = "unix"
"""Among the trusted: whoever comes by a Unix socket, and so has no address."""
_MOST_HOPS: Final = 32
"""Those nearest to us; whoever writes more hides behind the farthest of them."""
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*+"|[^\s",;]*+)\s*')


class Client(msgspec.Struct, frozen=True):
    """The other end of a request, as far as trusted proxies tell."""

    address: str
    """`unix` for who comes by a Unix socket, and is named by nobody who is trusted."""
    scheme: str
    """`http` or `https`, as the client speaks it."""
    host: str
    """Host and port under which the client asked; empty if it didn't say."""
    peer: str = ""
    """Who is at the other end of the connection."""
    believed: bool = False
    """Whether what the peer says of others is believed."""

    @property
    def origin(self) -> str:
        """The web origin that a page served here has."""
        return f"{self.scheme}://{_without_default_port(self.scheme, self.host.lower())}"


class _Hop(msgspec.Struct, frozen=True):
    address: str
    scheme: str = ""
    host: str = ""


class Proxies:
    """The proxies that are trusted, and how they say who the client is."""

    def __init__(
        self, networks: Iterable[str], *, header: Header = "x-forwarded-for", depth: int = 0
    ) -> None:
        """Addresses and CIDR networks, and `unix`; `depth` is how many addresses the proxies append
        where that is known, and 0 where they are told by their addresses. Raises ValueError for
        what is no network."""
        named = tuple(networks)
        self._unix = UNIX in named
        self._networks = tuple(
            ipaddress.ip_network(text, strict=False) for text in named if text != UNIX
        )
        self.header = header
        """What they write, and is read."""
        self._depth = depth

    def client(self, peer: str, scheme: str, headers: Mapping[str, str]) -> Client:
        """Who is behind a request that came from `peer` over `scheme`.

        `headers` have lower-case names, those that are repeated joined with commas. Where a trusted
        proxy names nobody, or what can't be read, the nearest address that is known counts.
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
        """Whether what this peer says of others is believed."""
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
                # `unknown`, or a name that hides an address: the way can't be followed further.
                # The scheme and the host are of the one who wrote that.
                return msgspec.structs.replace(
                    hop, address="" if nearest is None else nearest.address
                )
            nearest = hop
            if not self.trusts(hop.address):
                return hop
        return nearest


def _forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    """A hop for each element; one that can't be read has no address, and hides those beyond."""
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
    # With one value for each hop they belong together; else only the nearest is known.
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


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without a port, is this machine's own and nobody else's."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return _parse(host).is_loopback
    except ValueError:
        return False
