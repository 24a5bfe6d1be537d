"""Allowances: an identity's own wherever it comes from, an address's for those who show none."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from pushsvc.config import Auth, Web
from pushsvc.core.resources.account import Account
from pushsvc.core.resources.limits import Limits
from pushsvc.core.resources.quota import Quotas
from tests.auth.test_proxied import BEHIND
from tests.ingest.samples import remote_write_1, snappy
from tests.serving import TRUST, Served, detach, next_of, serving
from tests.tokens import ISSUER, SECRET, token

JWT = Auth(mode="jwt", secret=SECRET)
HEAVY = f"jwt:{ISSUER}|heavy"
FLOOD = {"samples": [{"name": "a", "value": n} for n in range(100)]}


def bearer(subject: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token('HS256', sub=subject)}"}


@contextlib.asynccontextmanager
async def client_of(served: Served, subject: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a connection of its own."""
    async with httpx.AsyncClient(
        base_url=served.url, headers=bearer(subject), verify=TRUST
    ) as client:
        yield client


@pytest.mark.parametrize("short", [True, False])
async def test_one_who_floods_takes_nothing_from_its_neighbours(short: bool) -> None:
    # Any of these is answered by another of the ways in.
    more = {} if short else {"Idempotency-Key": "k"}
    async with serving(limits=Limits(samples_per_second=1.0), auth=JWT) as served:
        async with client_of(served, "heavy") as heavy, client_of(served, "calm") as calm:
            statuses = [
                (await heavy.post("/v1/samples", json=FLOOD, headers=more)).status_code
                for more in ({}, more, more)
            ]
            assert statuses == [200, 429, 429]
            answer = await heavy.post("/v1/samples", json=FLOOD, headers=more)
            told = answer.json()
            assert (told["account"], told["account_kind"]) == (HEAVY, "identity")
            assert f"came from all who have the tokens of {HEAVY!r}" in told["detail"]
            assert int(answer.headers["Retry-After"]) > 0
            assert (await calm.post("/v1/samples", json=FLOOD)).status_code == 200
            # Whatever else the same producer asks for is no sample.
            assert (await heavy.post("/v1/tickets")).status_code == 200


async def test_words_of_other_formats_name_the_account_as_well() -> None:
    async with serving(limits=Limits(samples_per_second=1.0), auth=JWT) as served:
        async with client_of(served, "heavy") as heavy:
            assert (await heavy.post("/v1/samples", json=FLOOD)).status_code == 200
            written = await heavy.post(
                "/api/v1/write",
                content=snappy(remote_write_1({"a": [(1.0, 1)]})),
                headers={"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"},
            )
            assert (written.status_code, written.json()["account"]) == (503, HEAVY)
            otlp = await heavy.post(
                "/v1/metrics", content=b"{}", headers={"Content-Type": "application/json"}
            )
            assert (otlp.status_code, HEAVY in otlp.json()["message"]) == (503, True)
            line = await heavy.post("/api/v2/write", content=b"a v=1")
            assert (line.status_code, HEAVY in line.json()["message"]) == (429, True)
            async with served.websocket(headers=bearer("heavy"), path="/v1/publish") as socket:
                await socket.send_message('{"name": "a", "value": 1}')
                assert HEAVY in await socket.get_message()


async def test_an_identity_has_one_allowance_wherever_it_comes_from() -> None:
    async with serving(limits=Limits(samples_per_second=1.0), auth=JWT, web=BEHIND) as served:
        for address, status in (("192.0.2.1", 200), ("192.0.2.2", 429)):
            answer = await served.http.post(
                "/v1/samples",
                json=FLOOD,
                headers={**bearer("heavy"), "X-Forwarded-For": address},
            )
            assert answer.status_code == status


async def test_strangers_share_by_address_and_are_told_so() -> None:
    async with serving(limits=Limits(samples_per_second=1.0), web=BEHIND) as served:
        for address, status in (("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)):
            answer = await served.http.post(
                "/v1/samples", json=FLOOD, headers={"X-Forwarded-For": address}
            )
            assert answer.status_code == status
            if status == 429:
                told = answer.json()
                assert (told["account"], told["account_kind"]) == ("192.0.2.1", "address")
                assert "address 192.0.2.1" in told["detail"]
                assert "auth.mode" in told["detail"]
                assert "web.trusted_proxies" in told["detail"]


def test_a_subject_that_is_called_like_an_address_is_not_that_address() -> None:
    quotas = Quotas(1.0, 1.0)
    quotas.charge(Account("192.0.2.1", identified=True), 100, 0.0)
    quotas.refuse(Account("192.0.2.1"), 0.0)


async def test_a_producer_that_floods_stops_no_dashboard_at_its_address() -> None:
    async with serving(limits=Limits(samples_per_second=1.0)) as served:
        async with served.documents("text/event-stream", select="a") as documents:
            session = (await next_of(documents, "hello"))["session"]
            assert (await served.http.post("/v1/samples", json=FLOOD)).status_code == 200
            assert (await served.http.post("/v1/samples", json=FLOOD)).status_code == 429
            watched = await served.http.post(
                f"/v1/stream/{session}", json={"type": "watch", "select": ["b"]}
            )
            assert watched.status_code == 200, watched.text


@pytest.mark.parametrize("detached", [True, False])
async def test_dashboards_count_by_who_looks_at_them(detached: bool) -> None:
    detach.set(detached)
    limits = Limits(subscribers_per_address=1, subscribers_per_identity=2)
    async with serving(limits=limits, auth=JWT) as served, contextlib.AsyncExitStack() as stack:
        for subject in ("a", "a", "b", "b"):
            documents = await stack.enter_async_context(
                served.documents("text/event-stream", headers=bearer(subject))
            )
            await next_of(documents, "hello")
        for accept in ("application/x-ndjson", "application/json"):
            answer = await served.http.get("/v1/stream", headers={**bearer("a"), "Accept": accept})
            told = answer.json()
            assert (answer.status_code, told["limit"]) == (503, "subscribers_per_identity")
            assert (told["account"], told["account_kind"]) == (f"jwt:{ISSUER}|a", "identity")
        assert await served.rejection(headers=bearer("b")) == 503
        async with served.websocket(headers=bearer("c")) as socket:
            assert "hello" in await socket.get_message()


@pytest.mark.parametrize("path", ["/v1/samples", "/v1/series"], ids=["fast path", "route"])
async def test_connections_count_by_who_is_on_them(path: str) -> None:
    limits = Limits(connections_per_address=2, connections_per_identity=3)
    async with serving(limits=limits, auth=JWT) as served, contextlib.AsyncExitStack() as stack:

        async def ask(subject: str) -> httpx.Response:
            client = await stack.enter_async_context(client_of(served, subject))
            if path == "/v1/series":
                return await client.get(path)
            return await client.post(path, json={"name": "a", "value": 1})

        for _ in range(3):
            assert (await ask("heavy")).status_code == 200
        refused = await ask("heavy")
        told = refused.json()
        assert (refused.status_code, told["limit"]) == (429, "connections_per_identity")
        assert told["account"] == HEAVY
        assert refused.headers["Connection"] == "close"
        # They have left the address's allowance to others, who come from there too.
        for _ in range(2):
            assert (await ask("calm")).status_code == 200
        # A request without a token counts with its address, and so does one with a token that isn't
        # valid.
        nonsense = b"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n\r\n"
        for said in (b"", nonsense):
            await stack.enter_async_context(await served.raw(said))
        last = await served.raw(b"")
        await stack.enter_async_context(last)
        with trio.fail_after(30):
            assert await last.receive_some() == b"", "a third of the address: closed at once"


async def test_connections_that_end_make_room() -> None:
    limits = Limits(connections_per_identity=1)
    async with serving(limits=limits, auth=JWT) as served:
        for _ in range(3):
            async with client_of(served, "a") as client:
                for _ in range(2):
                    assert (await client.get("/v1/series")).status_code == 200
            await served.wait_metric("pushsvc_connections", 1, bearer("b"))


async def test_a_trusted_proxy_s_connections_are_nobody_s_own() -> None:
    limits = Limits(connections_per_identity=1)
    async with serving(limits=limits, auth=JWT, web=Web(trusted_proxies="127.0.0.1")) as served:
        async with client_of(served, "a") as one, client_of(served, "a") as two:
            for client in (one, two):
                assert (await client.get("/v1/series")).status_code == 200


async def test_one_producer_s_keys_leave_room_for_those_of_others() -> None:
    async with serving(limits=Limits(idempotency_keys=10), auth=JWT) as served:

        async def post(subject: str, key: int) -> httpx.Response:
            return await served.http.post(
                "/v1/samples",
                json={"name": "a", "value": 1},
                headers={**bearer(subject), "Idempotency-Key": f"k{key}"},
            )

        statuses = [(await post("heavy", key)).status_code for key in range(10)]
        assert statuses == [200] * 8 + [429] * 2
        told = (await post("heavy", 11)).json()
        assert (told["limit"], told["account"]) == ("idempotency_keys", HEAVY)
        assert (await post("heavy", 1)).status_code == 200, "what is known still counts"
        assert (await post("calm", 1)).status_code == 200
