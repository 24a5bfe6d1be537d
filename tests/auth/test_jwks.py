"""Keys that an issuer publishes, rotates, and fails to answer for."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio
from joserfc.jwk import ECKey, Key

from pushsvc.auth.jwks import Jwks
from pushsvc.auth.jwt import sign
from pushsvc.config import Auth
from tests.serving import Served, serving
from tests.tokens import AUDIENCE, ISSUER, claims


class Issuer:
    """Publishes keys over HTTP."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.asked = 0
        self.broken: bytes | None = None
        self.url = ""

    async def answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            while b"\r\n\r\n" not in await stream.receive_some():
                pass
            self.asked += 1
            documents = [key.as_dict(private=False) for key in self.keys]
            body = msgspec.json.encode({"keys": documents}) if self.broken is None else self.broken
            status = "200 OK" if body else "500 Broken"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await stream.send_all(head.encode() + body)


@contextlib.asynccontextmanager
async def issuer(*keys: Key) -> AsyncIterator[Issuer]:
    it = Issuer()
    it.keys = list(keys)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        it.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/keys"
        nursery.start_soon(trio.serve_listeners, it.answer, listeners)
        yield it
        nursery.cancel_scope.cancel()


def key(name: str) -> Key:
    return ECKey.generate_key("P-256", {"kid": name, "use": "sig"}, auto_kid=False)


def token(signed_with: Key, **changed: Any) -> str:
    return sign(claims(**changed), signed_with, "ES256")


def auth(of: Issuer) -> Auth:
    return Auth(mode="jwt", jwks_url=of.url, issuer=ISSUER, audience=AUDIENCE)


async def status(served: Served, presented: str) -> int:
    headers = {"Authorization": f"Bearer {presented}"}
    return (await served.http.get("/v1/series", headers=headers)).status_code


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once where a token names a key that isn't known."""
    monkeypatch.setattr(
        "pushsvc.auth.mode.Jwks", functools.partial(Jwks, cooldown=0.0, spacing=0.0)
    )


@pytest.mark.usefixtures("eager")
async def test_keys_are_fetched_when_a_token_names_one_that_is_new() -> None:
    old, new, never = key("old"), key("new"), key("never")
    async with issuer(old) as at, serving(auth=auth(at)) as served:
        assert await status(served, token(old)) == 200
        asked = at.asked
        assert await status(served, token(old, sub="another")) == 200
        assert at.asked == asked  # what is known is not asked for
        at.keys = [old, new]
        assert await status(served, token(new)) == 200
        assert at.asked == asked + 1
        at.keys = [new]
        assert await status(served, token(never)) == 401
        assert await status(served, token(old)) == 401  # also what was verified before
        assert await status(served, token(new)) == 200


async def test_strangers_do_not_make_it_ask_all_the_time() -> None:
    known = key("known")
    async with issuer(known) as at, serving(auth=auth(at)) as served:
        asked = at.asked
        same = token(key("made up"))
        for _ in range(20):
            assert await status(served, same) == 401
        assert at.asked == asked + 1
        # However many names there are, they wait for the same fetch.
        answers: list[int] = []

        async def present(name: str) -> None:
            answers.append(await status(served, token(key(name))))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(present, f"made up {number}")
        assert answers == [401] * 20
        assert at.asked <= asked + 3


async def test_a_new_key_is_taken_just_after_a_fetch_and_under_made_up_names() -> None:
    old, new = key("old"), key("new")
    async with issuer(old) as at, serving(auth=auth(at)) as served:
        assert await status(served, token(key("made up"))) == 401
        at.keys = [old, new]
        answers: list[int] = []

        async def present(presented: str) -> None:
            answers.append(await status(served, presented))

        asked = at.asked
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(present, token(new, sub=f"user {number}"))
        assert answers == [200] * 5
        assert at.asked == asked + 1


@pytest.mark.usefixtures("eager")
async def test_an_issuer_that_fails_takes_nothing_away() -> None:
    known = key("known")
    async with issuer(known) as at, serving(auth=auth(at)) as served:
        assert await status(served, token(known)) == 200
        for broken in (b"", b"no JSON", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}'):
            at.broken = broken
            assert await status(served, token(key("another"))) == 401
            assert await status(served, token(known, sub=f"after {broken!r}")) == 200


async def test_without_keys_nobody_gets_in_and_is_told_to_come_back() -> None:
    async with issuer() as at:
        at.broken = b""
        async with serving(auth=auth(at)) as served:
            headers = {"Authorization": f"Bearer {token(key('any'))}"}
            answer = await served.http.get("/v1/series", headers=headers)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert (await served.http.get("/livez")).status_code == 200
