"""Who is the client, from what proxies write and what clients write themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc.auth.proxies import Client, Header, Proxies

PROXY = "10.0.0.1"
PRIVATE = ("10.0.0.0/8", "fd00::/8")
GOOGLE = ("35.191.0.0/16", "130.211.0.0/22")


def client(
    headers: dict[str, str],
    *,
    peer: str = PROXY,
    networks: tuple[str, ...] = PRIVATE,
    header: Header = "x-forwarded-for",
    depth: int = 0,
) -> Client:
    return Proxies(networks, header=header, depth=depth).client(peer, "http", headers)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.9", "192.0.2.7"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("", PROXY),
        (" , ", PROXY),
        # What nobody can follow ends at who wrote it.
        ("unknown", PROXY),
        ("_hidden", PROXY),
        ("192.0.2.7, unknown", PROXY),
        ("192.0.2.7, unknown, 10.0.0.9", "10.0.0.9"),
        ("unknown, 192.0.2.7", "192.0.2.7"),
        (", ".join(["192.0.2.1"] * 500 + ["192.0.2.7"]), "192.0.2.7"),
        (", ".join(["192.0.2.1"] + ["10.0.0.9"] * 500), "10.0.0.9"),
    ],
)
def test_an_address_is_found(told: str, address: str) -> None:
    assert client({"x-forwarded-for": told}).address == address


@pytest.mark.parametrize(
    ("told", "address", "scheme", "host"),
    [
        ("for=192.0.2.7", "192.0.2.7", "http", "inside"),
        ('for="[2001:db8::7]:1";proto=https;host="a.example"', "2001:db8::7", "https", "a.example"),
        ("for=192.0.2.1, for=192.0.2.7;proto=HTTPS", "192.0.2.7", "https", "inside"),
        ("for=unknown;proto=https;host=a.example", PROXY, "https", "a.example"),
        ("for=192.0.2.1, proto=https", PROXY, "https", "inside"),
        ("garbage in here, for=192.0.2.7", "192.0.2.7", "http", "inside"),
        ("for=192.0.2.7, garbage in here", PROXY, "http", "inside"),
        ('for="192.0.2.7', PROXY, "http", "inside"),
        ("for=192.0.2.7;proto=gopher", "192.0.2.7", "http", "inside"),
    ],
)
def test_forwarded_is_read_where_it_is_what_the_proxies_write(
    told: str, address: str, scheme: str, host: str
) -> None:
    found = client({"host": "inside", "forwarded": told}, header="forwarded")
    assert (found.address, found.scheme, found.host) == (address, scheme, host)


@pytest.mark.parametrize("written", ["for=198.51.100.1;proto=https;host=evil", "x", "for=unknown"])
def test_the_header_that_the_proxies_do_not_write_says_nothing(written: str) -> None:
    both = {"host": "a", "x-forwarded-for": "192.0.2.7", "forwarded": written}
    assert client(both) == client({"host": "a", "x-forwarded-for": "192.0.2.7"})
    other = {"host": "a", "forwarded": "for=192.0.2.7", "x-forwarded-for": written}
    alone = client({"host": "a", "forwarded": "for=192.0.2.7"}, header="forwarded")
    assert client({**other, "x-forwarded-proto": "https"}, header="forwarded") == alone
    assert alone.address == "192.0.2.7"


@given(
    mine=st.lists(
        st.sampled_from(
            ["192.0.2.9", "10.0.0.3", "unknown", "", "x", "35.191.0.1", "::1", '"', "a=b"]
        )
    ),
    forwarded=st.text(max_size=40),
    proto=st.sampled_from(["", "https", "gopher", "https, http"]),
)
def test_whatever_a_client_writes_it_is_who_the_proxy_saw(
    mine: list[str], forwarded: str, proto: str
) -> None:
    """Behind one that appends to X-Forwarded-For and leaves `Forwarded` as it came."""
    headers = {
        "x-forwarded-for": ", ".join([*mine, "192.0.2.7"]),
        "x-forwarded-proto": proto,
        "forwarded": forwarded,
    }
    assert client(headers).address == "192.0.2.7"
    appended = ", ".join([*mine, "192.0.2.7", "203.0.113.80"])
    google = client({"x-forwarded-for": appended}, peer="35.191.4.5", networks=GOOGLE, depth=2)
    assert google.address == "192.0.2.7"


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([0, 1, 2]))
def test_nothing_is_refused_for_what_it_says(forwarded: str, other: str, depth: int) -> None:
    headers: tuple[Header, ...] = ("forwarded", "x-forwarded-for")
    for header in headers:
        told = {"forwarded": forwarded, "x-forwarded-for": other, "x-forwarded-proto": forwarded}
        found = client(told, header=header, depth=depth)
        assert found.scheme in ("http", "https")
        assert found.address


def test_a_known_number_of_addresses_is_appended() -> None:
    def behind(told: str, depth: int = 2) -> str:
        headers = {"x-forwarded-for": told}
        return client(headers, peer="35.191.4.5", networks=GOOGLE, depth=depth).address

    assert behind("192.0.2.7,203.0.113.80") == "192.0.2.7"
    assert behind("198.51.100.1, 192.0.2.7, 203.0.113.80") == "192.0.2.7"
    # It did not come through them: a health check, or somebody beside them.
    assert behind("192.0.2.7") == "35.191.4.5"
    assert behind("unknown, 203.0.113.80") == "35.191.4.5"
    assert behind("198.51.100.1, 192.0.2.7", depth=1) == "192.0.2.7"


def test_scheme_and_host_come_alone_too_and_belong_to_their_hop() -> None:
    alone = client({"host": "in", "x-forwarded-proto": "https", "x-forwarded-host": "a.example"})
    assert (alone.address, alone.origin) == (PROXY, "https://a.example")
    several = client(
        {
            "x-forwarded-for": "192.0.2.7, 10.0.0.9",
            "x-forwarded-proto": "https, http",
            "x-forwarded-host": "a.example, inner",
        }
    )
    assert (several.address, several.origin) == ("192.0.2.7", "https://a.example")
    socket = client({"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "wss", "host": "a"})
    assert socket.origin == "https://a"


def test_who_is_not_trusted_says_nothing() -> None:
    told = {"host": "a", "x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    assert client(told, peer="192.0.2.200") == Client("192.0.2.200", "http", "a", "192.0.2.200")


def test_a_unix_socket_has_no_address_and_is_trusted_by_name() -> None:
    told = {"x-forwarded-for": "192.0.2.7"}
    assert client(told, peer="").address == "unix"
    assert client(told, peer="", networks=("unix",)).address == "192.0.2.7"
    assert not Proxies(("unix",)).trusts("10.0.0.1")
    with pytest.raises(ValueError, match="not appear to be"):
        Proxies(("somewhere",))
