"""Every door, with every way of presenting every kind of token: who gets in, and who doesn't."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from joserfc.jwk import RSAKey
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from trio_websocket import ConnectionClosed, ConnectionRejected

from pushsvc.app import create_app
from pushsvc.app.guard import NEEDS
from pushsvc.auth.access import Need
from pushsvc.auth.presenting import COOKIE, subprotocol_of
from pushsvc.client.dial import leaf_of
from pushsvc.config import Auth
from pushsvc.core.limits import Limits, Pacing
from tests import tokens
from tests.ingest.samples import remote_write_1, snappy
from tests.serving import Served, detach, serving
from tests.test_hazards import context

OTHER = RSAKey.generate_key(2048)
MINE = '{__name__="mine"}'
NOW_MS = int(time.time() * 1000)

Knock = Callable[[Served, dict[str, str], str], Awaitable[int]]
"""Asks for something with these headers and this query; the status, 200 for all that is granted."""


def http(method: str, path: str, content: Any = None, **headers: str) -> Knock:
    async def knock(served: Served, presented: dict[str, str], query: str) -> int:
        answer = await served.http.request(
            method, f"{path}?{query}", content=content, headers={**headers, **presented}
        )
        return 200 if answer.is_success else answer.status_code

    return knock


def streaming(accept: str) -> Knock:
    async def knock(served: Served, presented: dict[str, str], query: str) -> int:
        fields = {"Host": f"{served.host}:{served.port}", "Accept": accept, **presented}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"GET /v1/stream?{query} HTTP/1.1\r\n{head}\r\n"
        async with await served.raw(request.encode()) as stream:
            said = b""
            while b'"type":' not in said and b'"code":' not in said:
                said += await stream.receive_some()
            status = int(said.split(b" ", 2)[1])
            assert (b'"hello"' in said) is (status == 200)
            return status

    return knock


def socket(path: str, *say: str) -> Knock:
    async def talk(served: Served, presented: dict[str, str], query: str) -> int:
        headers = dict(presented)
        protocols = headers.pop("Sec-WebSocket-Protocol", "pushsvc.v1").split(", ")
        async with served.websocket(query, protocols, headers, path) as ws:
            for message in say:
                await ws.send_message(message)
            first = msgspec.json.decode(await ws.get_message())
            if first["type"] != "error":
                return 200
            if first["code"] == "write_scope" and "tag" in first:
                return 403  # of one message; the connection goes on
            with pytest.raises(ConnectionClosed) as closed:
                await ws.get_message()
            reason = closed.value.reason
            return {4001: 401, 4003: 403}[reason.code if reason is not None else 0]

    async def knock(served: Served, presented: dict[str, str], query: str) -> int:
        status = 0
        try:
            status = await talk(served, presented, query)
        except* ConnectionRejected as group:
            leaf = leaf_of(group)
            assert isinstance(leaf, ConnectionRejected)
            status = leaf.status_code
        return status

    return knock


def export() -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="mine")
    metric.gauge.data_points.add(as_double=1.0, time_unix_nano=NOW_MS * 10**6)
    return bytes(request.SerializeToString())


SAMPLE = b'{"name":"mine","value":1}'
JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}

DOORS: dict[str, tuple[Need, Knock]] = {
    "stream by websocket": (Need.READ, socket("/v1/stream")),
    "stream by SSE": (Need.READ, streaming("text/event-stream")),
    "stream by NDJSON": (Need.READ, streaming("application/x-ndjson")),
    "long poll": (
        Need.READ,
        http("GET", "/v1/stream", Accept="application/json"),
    ),
    "series": (Need.READ, http("GET", "/v1/series")),
    "history": (Need.READ, http("GET", "/v1/history")),
    "samples, the short way": (Need.WRITE, http("POST", "/v1/samples", SAMPLE, **JSON)),
    "samples, the long way": (
        Need.WRITE,
        http(
            "POST",
            "/v1/samples",
            msgspec.msgpack.encode({"name": "mine", "value": 1}),
            **{"Content-Type": "application/msgpack"},
        ),
    ),
    "samples, by line": (
        Need.WRITE,
        http("POST", "/v1/samples", SAMPLE, **{"Content-Type": "application/x-ndjson"}),
    ),
    "publish by websocket": (Need.WRITE, socket("/v1/publish", SAMPLE.decode())),
    "OTLP": (Need.WRITE, http("POST", "/v1/metrics", export(), **PROTOBUF)),
    "remote write": (
        Need.WRITE,
        http(
            "POST",
            "/api/v1/write",
            snappy(remote_write_1({"mine": [(1.0, NOW_MS)]})),
            **{**PROTOBUF, "Content-Encoding": "snappy"},
        ),
    ),
    "line protocol 1": (Need.WRITE, http("POST", "/write", b"mine value=1")),
    "line protocol 2": (Need.WRITE, http("POST", "/api/v2/write", b"mine value=1")),
    "subscribers": (Need.OPERATOR, http("GET", "/v1/subscribers")),
    "metrics": (Need.OPERATOR, http("GET", "/metrics")),
    "tickets": (Need.READ, http("POST", "/v1/tickets")),
    "livez": (Need.NOTHING, http("GET", "/livez")),
    "readyz": (Need.NOTHING, http("GET", "/readyz")),
    "openapi": (Need.NOTHING, http("GET", "/openapi.json")),
    "ping": (Need.NOTHING, http("GET", "/ping")),
    "health": (Need.NOTHING, http("GET", "/health")),
}

READ, WRITE, OPERATOR = Need.READ, Need.WRITE, Need.OPERATOR
GOOD: dict[str, tuple[set[Need], dict[str, Any]]] = {
    "everything": ({READ, WRITE, OPERATOR}, {}),
    "reads mine": ({READ}, {"pushsvc": {"read": [MINE]}}),
    "writes mine": ({WRITE}, {"pushsvc": {"write": [MINE]}}),
    "writes others'": (set(), {"pushsvc": {"write": ['{__name__="others"}']}}),
    "operates": ({OPERATOR}, {"pushsvc": {"operator": True}}),
    "nothing": (set(), {"pushsvc": {}}),
    "no claim": (set(), {"pushsvc": None}),
}
"""Tokens that are good, each for so much."""


def bad_tokens() -> dict[str, str]:
    """Tokens that are good for nothing."""
    now = int(time.time())
    header, body, signature = tokens.token().split(".")
    return {
        "expired": tokens.token(exp=now - 3600),
        "not yet": tokens.token(nbf=now + 3600),
        "no expiry": tokens.token(exp=None),
        "no subject": tokens.token(sub=None),
        "wrong issuer": tokens.token(iss="https://evil.test"),
        "no issuer": tokens.token(iss=None),
        "wrong audience": tokens.token(aud="other.test"),
        "no audience": tokens.token(aud=None),
        "someone else's key": tokens.token(key=OTHER),
        "alg none": tokens.unsigned(),
        "alg None": tokens.unsigned("None"),
        "the public key as secret": tokens.forged_with_public_key(),
        "tampered": tokens.tampered(),
        "no signature": f"{header}.{body}.",
        "another signature": f"{header}.{body}.{signature[::-1]}",
        "key in the header": tokens.unsigned_jwk(OTHER),
        "kid that is a path": tokens.with_header(OTHER, kid="../../dev/null"),
        "jku": tokens.with_header(OTHER, jku="http://127.0.0.1:1/keys"),
        "crit": tokens.with_header(tokens.RSA, crit=["b64"], b64=False),
        "type of something else": tokens.with_header(tokens.RSA, typ="logout+jwt"),
        "selector that can't be read": tokens.token(pushsvc={"read": ["{"]}),
        "grants that aren't": tokens.token(pushsvc={"read": "all"}),
        "garbage": "garbage",
        "a key of the other mode": f"pushsvc_{'0' * 12}_{'x' * 43}",
    }


def presentations(token: str, name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The ways of presenting a token to this door that need no request of their own."""
    yield "bearer", {"Authorization": f"Bearer {token}"}
    yield "token", {"Authorization": f"Token {token}"}
    basic = base64.b64encode(f"any:{token}".encode()).decode()
    yield "basic", {"Authorization": f"Basic {basic}"}
    if "websocket" in name:
        yield "subprotocol", {"Sec-WebSocket-Protocol": f"pushsvc.v1, {subprotocol_of(token)}"}


def expected(need: Need, grants: set[Need] | None) -> int:
    """The status for who is granted this; None stands for who is nobody."""
    if need is Need.NOTHING:
        return 200
    if grants is None:
        return 401
    return 200 if need in grants else 403


@pytest.fixture
def auth(tmp_path: Path) -> Auth:
    return Auth(
        mode="jwt",
        public_keys_file=tokens.write_public_key(tmp_path),
        issuer=tokens.ISSUER,
        audience=tokens.AUDIENCE,
    )


@pytest.mark.parametrize("detached", [True, False])
async def test_who_gets_in(auth: Auth, detached: bool) -> None:
    detach.set(detached)
    wrong: list[tuple[object, ...]] = []
    tried = 0
    limits = Limits(streams_per_second=1e6)
    async with serving(auth=auth, limits=limits, stream=Pacing(poll_wait=0.01)) as served:
        cases: list[tuple[str, str, set[Need] | None]] = [
            (kind, tokens.token(**changed), grants) for kind, (grants, changed) in GOOD.items()
        ]
        cases += [(kind, token, None) for kind, token in bad_tokens().items()]
        for door, (need, knock) in DOORS.items():
            if (got := await within_time(knock, served, {}, "")) != expected(need, None):
                wrong.append((door, "no token", got))
            for kind, token, grants in cases:
                want = expected(need, grants)
                if kind == "writes others'" and need is Need.WRITE:
                    # It may write something, but not this.
                    want = 403
                for way, headers in presentations(token, door):
                    got = await within_time(knock, served, headers, "")
                    tried += 1
                    if not agree(want, got, kind, door):
                        wrong.append((door, kind, way, got, want))
        assert not wrong
        assert tried > 2000
        # None of those that were refused left a trace.
        everything = {"Authorization": f"Bearer {tokens.token()}"}
        listed = (await served.http.get("/v1/series", headers=everything)).json()["series"]
        assert [series["name"] for series in listed] == ["mine"]


async def within_time(knock: Knock, served: Served, presented: dict[str, str], query: str) -> int:
    with trio.fail_after(5):
        return await knock(served, presented, query)


def agree(want: int, got: int, kind: str, door: str) -> bool:
    if kind == "writes others'" and want == 403:
        # Formats that may be taken in part say so in their own ways: OTLP as partial success, the
        # others with the status that keeps a producer from sending it again.
        return got in {"OTLP": (200,), "samples, by line": (422,)}.get(door, (403, 400))
    return want == got


async def test_cookies_and_tickets(auth: Auth) -> None:
    wrong: list[tuple[object, ...]] = []
    async with serving(auth=auth, stream=Pacing(poll_wait=0.01)) as served:
        origin = {"Origin": served.url}
        for kind, (grants, changed) in GOOD.items():
            token = tokens.token(**changed)
            login = await served.http.post("/v1/login", json={"token": token}, headers=origin)
            assert login.status_code == 204
            said = login.headers["Set-Cookie"]
            for attribute in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
                assert attribute in said
            cookie = {"Cookie": f"{COOKIE}={said.partition('=')[2].partition(';')[0]}"}
            for door, (need, knock) in DOORS.items():
                # A cookie never writes, and changes nothing without an Origin.
                want = expected(need, grants - {WRITE})
                got = await within_time(knock, served, {**cookie, **origin}, "")
                if got != want:
                    wrong.append((door, kind, "cookie", got, want))
                foreign = await within_time(
                    knock, served, {**cookie, "Origin": "https://evil.test"}, ""
                )
                changes = door in ("tickets",) or need is Need.WRITE or "websocket" in door
                if changes and foreign == 200:
                    wrong.append((door, kind, "cookie of a page elsewhere", foreign, 403))
            for door, (need, knock) in DOORS.items():
                bearer = {"Authorization": f"Bearer {token}"}
                answer = await served.http.post("/v1/tickets", headers=bearer)
                if READ not in grants:
                    assert answer.status_code == 403
                    continue
                query = f"ticket={answer.json()['ticket']}"
                if need is not Need.READ or door == "tickets":
                    continue
                if door != "long poll" and "stream" not in door:
                    query_status = await within_time(knock, served, {}, query)
                    if query_status not in (200, 400):
                        wrong.append((door, kind, "ticket", query_status, 200))
                    continue
                first, second = (
                    await within_time(knock, served, {}, query),
                    await within_time(knock, served, {}, query),
                )
                if (first, second) != (200, 401):
                    wrong.append((door, kind, "ticket, twice", first, second))
    assert not wrong


async def test_every_route_is_in_the_matrix_or_is_open() -> None:
    """A route that is added is locked by default; this tells who adds it to try the lock."""
    async with context(Pacing()) as parts:
        app = create_app(parts)
    tried = {
        *("stream", "stream_websocket", "series", "history", "samples", "publish", "otlp_metrics"),
        *("remote_write", "influx_v1", "influx_v2", "subscribers", "metrics", "tickets"),
    }
    elsewhere = {"companion"}  # test_tenants: whose stream it is matters
    open_ones = {endpoint for endpoint, need in NEEDS.items() if need is Need.NOTHING}
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert routes == tried | elsewhere | open_ones


async def test_a_request_has_one_token(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        token = tokens.token()
        bearer = {"Authorization": f"Bearer {token}"}
        issued = (await served.http.post("/v1/tickets", headers=bearer)).json()
        both = await served.http.get(
            f"/v1/stream?ticket={issued['ticket']}",
            headers={**bearer, "Accept": "text/event-stream"},
        )
        assert (both.status_code, both.json()["code"]) == (400, "authorization")
        unknown = await served.http.get("/v1/series", headers={"Authorization": "Digest x"})
        assert unknown.status_code == 400
        nobody = await served.http.get("/v1/series")
        assert nobody.headers["WWW-Authenticate"] == 'Bearer realm="pushsvc"'
