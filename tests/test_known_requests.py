"""Requests that came before: the same answer in less time, as long as nothing has changed."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from joserfc.jwk import Key

from pushsvc.app.dashboards import fast_path, known
from pushsvc.app.dashboards.known import KnownRequests, name_of
from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.app.http import plain
from pushsvc.auth.access import Access, Need
from pushsvc.auth.jwt import Verifier
from pushsvc.auth.keys import KeyRing, make_key, table_of
from pushsvc.auth.principal import Grants, principal_of
from pushsvc.config import Auth
from pushsvc.core.delivery.negotiate import Transport
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Overloaded
from pushsvc.listen import server
from tests import tokens
from tests.serving import Served, serving
from tests.test_acceptor import SSE, answer
from tests.test_websocket_protocol import HANDSHAKE
from tests.tokens import token

ALL = '{__name__=~".+"}'
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


# -- reading a head --------------------------------------------------------------------------------

_LINES = st.sampled_from(
    [
        *(
            b"Host: a",
            b"host:b",
            b"Host : a",
            b" Host: a",
            b"Accept: text/event-stream",
            b"Cookie: a=b",
        ),
        *(b"cookie:c=d; e=f", b"Accept:\t*/* ", b"X:", b"X: a\tb", b"X: \x80\xff", b"X: a\x00b"),
        *(
            b"X: a\x0bb",
            b"X: a\rb",
            b"X: a\nY: b",
            b"\tfolded",
            b"Content-Length: 0",
            b"Content-Length: 3",
        ),
        *(
            b"Transfer-Encoding: chunked",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b": x",
            b"X",
        ),
        *(b"X\xff: a", b"Expect: 100-continue", b"Connection: close", b"X: a\x7f", b"X(: a"),
    ]
)
_HEADS = st.builds(
    lambda first, lines, end, rest, between: between.join([first, *lines]) + between + end + rest,
    st.sampled_from(
        [
            *(b"GET /v1/stream?select=a HTTP/1.1", b"GET /v1/stream HTTP/1.0", b"POST / HTTP/1.1"),
            *(b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"get / HTTP/1.1", b"GET /\xff HTTP/1.1"),
            *(b"GET /?ticket=a&ticket=b HTTP/1.1", b"", b"GET /"),
        ]
    ),
    st.lists(_LINES, max_size=5),
    st.sampled_from([b"\r\n", b"\n", b"", b"\r"]),
    st.sampled_from([b"", b"", b"", b"x", b"GET / HTTP/1.1\r\n"]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)


@settings(deadline=None, max_examples=400)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\nX: 1\r\nX: 2\r\n\r\n")
@example(HANDSHAKE)
@given(_HEADS)
def test_what_is_read_without_h11_is_what_h11_reads(data: bytes) -> None:
    usual = plain._read_usual(data, "192.0.2.1", "https")
    if usual is not None:
        assert usual == plain._read_any(data, "192.0.2.1", "https")


def test_what_clients_send_is_read_without_h11() -> None:
    for data in (HANDSHAKE, SSE):
        assert plain._read_usual(data, "", "https") is not None


# -- names -----------------------------------------------------------------------------------------


def keyed(number: int) -> tuple[bytes, bytes]:
    """A handshake, and its key."""
    key = base64.b64encode(number.to_bytes(16, "big"))
    return HANDSHAKE.replace(b"AAAAAAAAAAAAAAAAAAAAAA==", key), key


def test_requests_that_differ_in_more_than_the_key_have_other_names() -> None:
    (one, key), (other, other_key) = keyed(1), keyed(2)
    name, found = name_of(one, "192.0.2.1")
    assert found == key
    assert name_of(other, "192.0.2.1") == (name, other_key)
    names = {
        name,
        name_of(one, "192.0.2.2")[0],
        name_of(one.replace(b"Host: x", b"Host: y"), "192.0.2.1")[0],
        name_of(one.replace(b"==\r\n", b"==,a\r\n"), "192.0.2.1")[0],
        name_of(one + b"x", "192.0.2.1")[0],
        name_of(SSE, "192.0.2.1")[0],
    }
    assert len(names) == 6
    twice = one.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    assert name_of(twice, "192.0.2.1")[0] != name


def decision(select: str = "m") -> known.Known:
    spec = ViewSpec((parse(select),), 1.0, "all", 15.0)
    stream = StreamRequest(spec, Start(None), Transport.SSE)
    return known.Known(None, None, stream, None)  # type: ignore[arg-type]


def test_only_so_many_are_known_and_those_that_come_again_longest() -> None:
    requests = KnownRequests()
    again, one = b"again", decision()
    requests.learn(again, one)
    for number in range(3 * known.MOST):
        requests.learn(str(number).encode(), one)
        if number % 1000 == 0:
            requests.find(again)
    assert len(requests) <= known.MOST
    assert requests.find(str(number).encode()) is not None
    assert requests.find(b"0") is None


def test_those_that_ask_for_much_are_fewer() -> None:
    requests = KnownRequests()
    long = decision('m{label=~"' + "a" * 4000 + '"}')
    for number in range(known.MOST):
        requests.learn(str(number).encode(), long)
    assert len(requests) <= known.MOST_ASKED // 4000
    assert requests.find(str(number).encode()) is not None


# -- over the wire ---------------------------------------------------------------------------------


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that were read, and not known."""
    heads: list[bytes] = []
    read = plain.read_request

    def note(data: bytes, *more: str) -> object:
        heads.append(data)
        return read(data, *more)

    monkeypatch.setattr(fast_path, "read_request", note)
    return heads


async def head_for(served: Served, request: bytes) -> bytes:
    async with await served.raw(request) as stream:
        return await answer(stream)


async def test_each_handshake_is_answered_with_its_own_key(decided: list[bytes]) -> None:
    async with serving() as served:
        for number in range(3):
            request, key = keyed(number)
            token_ = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324
            head = await head_for(served, request)
            assert b"Sec-WebSocket-Accept: " + token_ + b"\r\n" in head
        heads = [await head_for(served, SSE) for _ in range(3)]
        assert all(b"\r\nDate: " in head and head.startswith(b"HTTP/1.1 200 ") for head in heads)
        assert len(decided) == 2


async def test_each_of_them_has_a_session_of_its_own() -> None:
    async with serving() as served:
        await served.publish({"name": "up", "value": 1})
        sessions = set()
        for _ in range(3):
            async with served.documents("text/event-stream") as documents:
                hello = await anext(documents)
                assert hello["granted"]["select"]
                sessions.add(hello["session"])
                assert (await anext(documents))["points"]
        assert len(sessions) == 3


class Fetched:
    """Keys from elsewhere, which may change and not be there."""

    grows = True

    def __init__(self) -> None:
        self.keys: tuple[Key, ...] | None = (tokens.RSA,)

    def current(self) -> Sequence[Key]:
        if self.keys is None:
            raise Overloaded("keys", "there are none", retry_after=5.0)
        return self.keys

    async def wait_refresh(self, name: object) -> None:
        pass


def locked(request: bytes, secret: str) -> bytes:
    return request.replace(b"Host: x", b"Host: x\r\nAuthorization: Bearer " + secret.encode())


async def test_a_known_request_is_refused_when_its_key_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decided: list[bytes]
) -> None:
    monkeypatch.setattr("pushsvc.auth.mode._LOOK", 0.05)
    (key, id_, hash_), (_, other, other_hash) = make_key(), make_key()
    file = tmp_path / "keys.toml"
    grants = {"read": [ALL], "write": [], "operator": False}
    file.write_text(table_of(id_, hash_, name="", **grants))  # type: ignore[arg-type]
    async with serving(auth=Auth(mode="keys", keys_file=str(file))) as served:
        request = locked(SSE, key)
        for _ in range(2):
            assert (await head_for(served, request))[9:12] == b"200"
        assert len(decided) == 1
        file.write_text(table_of(other, other_hash, name="", **grants))  # type: ignore[arg-type]
        with trio.fail_after(30):
            while (await head_for(served, request))[9:12] == b"200":
                await trio.sleep(0.02)
        assert b"401" in (await head_for(served, request))[:15]


def test_a_decision_stands_until_its_token_expires_or_keys_change() -> None:
    key, id_, hash_ = make_key()
    digest = bytes.fromhex(hash_.removeprefix("sha256:"))
    owner = principal_of(f"key:{id_}", Grants(read=(ALL,)), expires=100.0)
    ring, now = KeyRing({id_: (digest, owner)}), [99.0]
    access = Access(ring=ring, clock=lambda: now[0])
    request = plain.read_request(locked(SSE, key))
    assert request is not None
    decision, grounds = access.admit_at_once(request, Need.READ), access.grounds
    assert decision is not None
    assert access.stands(decision, grounds)
    now[0] = 100.0
    assert not access.stands(decision, grounds)
    now[0] = 99.0
    ring.replace(KeyRing({id_: (digest, owner)}))
    assert not access.stands(decision, grounds)


async def test_a_decision_by_keys_that_are_fetched_stands_until_they_change() -> None:
    source = Fetched()
    verifier = Verifier(
        source, algorithms=["RS256"], issuer=tokens.ISSUER, audience=tokens.AUDIENCE, leeway=0
    )
    access = Access(verifier=verifier)
    request = plain.read_request(locked(SSE, token()))
    assert request is not None
    decision, grounds = access.admit_at_once(request, Need.READ), access.grounds
    assert decision is not None
    assert access.stands(decision, grounds)
    source.keys = (tokens.RSA, tokens.EC)
    assert not access.stands(decision, grounds)
    source.keys = None
    assert not access.stands(decision, grounds)


async def test_a_known_request_for_what_has_not_been_yet_is_decided_anew(
    decided: list[bytes],
) -> None:
    async with serving() as served:
        await served.publish({"name": "up", "value": 1})
        cursor = (await served.publish({"name": "up", "value": 2}))["id"]
        request = SSE.replace(b"/v1/stream", b"/v1/stream?since=" + cursor.encode())
        for _ in range(2):
            assert (await head_for(served, request))[9:12] == b"200"
        assert len(decided) == 1
        epoch, _, seq = cursor.rpartition(".")
        ahead = f"{epoch}.{int(seq) + 10}"
        for _ in range(2):
            asked = SSE.replace(b"/v1/stream", b"/v1/stream?since=" + ahead.encode())
            assert (await head_for(served, asked))[9:12] == b"400"


async def test_limits_hold_for_known_requests(decided: list[bytes]) -> None:
    async with serving(limits=Limits(subscribers_per_address=2)) as served:
        crowd = [await served.raw(SSE) for _ in range(2)]
        for stream in crowd:
            assert (await answer(stream))[9:12] == b"200"
        assert (await head_for(served, SSE))[9:12] == b"503"
        assert len(decided) == 1
        for stream in crowd:
            await stream.aclose()


def test_what_accepted_sockets_inherit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server._set_for_accepted(listener, 30.0)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
