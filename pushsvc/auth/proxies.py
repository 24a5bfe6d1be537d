"""Who is really there, behind proxies that are trusted to say so.

`Forwarded` (RFC 7239) and `X-Forwarded-For`, `-Proto` and `-Host` are believed from the configured
addresses and networks only: anyone can write them. The list of hops is read from its near end,
and the first address that isn't a trusted proxy is the client; what stands beyond it was written
by the client itself, or by whoever it trusts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pushsvc.errors import Malformed

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_HOPS: Final = 32
_PAIR = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*+"|[^\s",;]*+)\s*')


class Client(msgspec.Struct, frozen=True):
    """The other end of a request, as far as trusted proxies tell."""

    address: str
    scheme: str
    """`http` or `https`, as the client speaks it."""
    host: str
    """Host and port under which the client asked; empty if it didn't say."""

    @property
    def origin(self) -> str:
        """The web origin that a page served here has."""
        return f"{self.scheme}://{_without_default_port(self.scheme, self.host.lower())}"


class _Hop(msgspec.Struct, frozen=True):
    address: str
    scheme: str = ""
    host: str = ""


class Proxies:
    """The proxies that are trusted."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Addresses and CIDR networks. Raises ValueError for what is neither."""
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in networks)

    def client(self, peer: str, scheme: str, headers: Mapping[str, str]) -> Client:
        """Who is behind a request that came from `peer` over `scheme`.

        `headers` have lower-case names, those that are repeated joined with commas. Raises
        Malformed where a trusted proxy's headers can't be read or contradict each other.
        """
        host = headers.get("host", "")
        if not self._networks or not self.trusts(peer):
            return Client(peer, scheme, host)
        hop = self._nearest_untrusted(_forwarded(headers))
        other = self._nearest_untrusted(_x_forwarded(headers))
        if hop is not None and other is not None and _plain(hop.address) != _plain(other.address):
            # A proxy sets one of them and may pass the other on as the client wrote it.
            raise Malformed("forwarded", "Forwarded and X-Forwarded-For name different clients")
        address = next((one.address for one in (hop, other) if one is not None), peer)
        schemes = [one.scheme for one in (hop, other) if one is not None and one.scheme]
        hosts = [one.host for one in (hop, other) if one is not None and one.host]
        # A proxy may set these alone, without the addresses.
        if not schemes and (last := _last(headers, "x-forwarded-proto")):
            schemes = [last.lower()]
        if not hosts and (last := _last(headers, "x-forwarded-host")):
            hosts = [last]
        told = schemes[0] if schemes else scheme
        if told in ("ws", "wss"):
            told = "http" + told[2:]
        if told not in ("http", "https"):
            raise Malformed("forwarded", "the forwarded scheme is neither http nor https")
        return Client(_plain(address), told, hosts[0] if hosts else host)

    def trusts(self, address: str) -> bool:
        """Whether what this peer says of others is believed."""
        if not self._networks:
            return False
        try:
            parsed = _parse(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _nearest_untrusted(self, hops: Sequence[_Hop]) -> _Hop | None:
        """Of hops in the order of the way, the last that isn't a trusted proxy; else the first."""
        for hop in reversed(hops):
            try:
                _parse(hop.address)
            except ValueError:
                # `unknown`, or a name that hides an address: the way can't be followed further.
                raise Malformed("forwarded", "a forwarded address can't be read") from None
            if not self.trusts(hop.address):
                return hop
        return hops[0] if hops else None


def _forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    hops = []
    for element in _split(headers.get("forwarded", ""), ","):
        pairs: dict[str, str] = {}
        for text in _split(element, ";"):
            pair = _PAIR.fullmatch(text)
            if pair is None:
                raise Malformed("forwarded", "the Forwarded header can't be read")
            pairs[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2].strip('"'))
        if "for" in pairs:
            hops.append(
                _Hop(
                    _strip_port(pairs["for"]), pairs.get("proto", "").lower(), pairs.get("host", "")
                )
            )
    return _bounded(hops)


def _x_forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    addresses = _list(headers, "x-forwarded-for")
    schemes = _list(headers, "x-forwarded-proto")
    hosts = _list(headers, "x-forwarded-host")
    # With one value for each hop they belong together; else only the nearest is known.
    if len(schemes) != len(addresses):
        schemes = schemes[-1:] * len(addresses)
    if len(hosts) != len(addresses):
        hosts = hosts[-1:] * len(addresses)
    schemes = schemes or [""] * len(addresses)
    hosts = hosts or [""] * len(addresses)
    return _bounded(
        [
            _Hop(_strip_port(address), scheme.lower(), host)
            for address, scheme, host in zip(addresses, schemes, hosts, strict=True)
        ]
    )


def _bounded(hops: list[_Hop]) -> list[_Hop]:
    if len(hops) > _MOST_HOPS:
        raise Malformed("forwarded", f"more than {_MOST_HOPS} forwarding hops")
    return hops


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
