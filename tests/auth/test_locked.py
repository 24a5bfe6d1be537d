"""A locked service at work: what is written and shown, when streams end, what logs never say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import trio
from trio_websocket import ConnectionClosed

from pushsvc.auth.credentials import subprotocol_of
from pushsvc.auth.keys import make_key, table_of
from pushsvc.auth.mode import make_access_control
from pushsvc.config import Auth, ConfigError, Server, Settings, Web
from pushsvc.core.resources.limits import Pacing
from pushsvc.pipeline import now_ms
from tests import tokens
from tests.ingest.samples import remote_write_1, snappy
from tests.serving import TRUST, next_of, serving
from tests.tokens import bearer, token

ACME = ['{tenant="acme"}']


@pytest.fixture
def auth(tmp_path: Path) -> Auth:
    return Auth(
        mode="jwt",
        public_keys_file=tokens.write_public_key(tmp_path),
        issuer=tokens.ISSUER,
        audience=tokens.AUDIENCE,
        leeway=0,
    )


def tenant(subject: str = "acme", **changed: Any) -> str:
    grants = {"read": [f'{{tenant="{subject}"}}'], "write": [f'{{tenant="{subject}"}}']}
    return token(**{"sub": subject, "pushsvc": grants, **changed})


def sample(tenant: str, name: str = "up") -> dict[str, Any]:
    return {"name": name, "labels": {"tenant": tenant}, "value": 1}


# -- what is written -------------------------------------------------------------------------------


async def test_a_batch_with_one_series_outside_names_it_and_applies_nothing(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        mine = bearer(tenant())
        for extra in ({}, {"Idempotency-Key": '"k"'}):  # the fast path, and the route
            batch = {"samples": [sample("acme"), sample("beta")]}
            refused = await served.http.post("/v1/samples", json=batch, headers={**mine, **extra})
            assert refused.status_code == 403
            assert refused.json()["series"] == ['up{tenant="beta"}']
        listed = await served.http.get("/v1/series", headers=bearer(token()))
        assert listed.json()["series"] == []
        taken = await served.http.post("/v1/samples", json=sample("acme"), headers=mine)
        assert taken.json()["applied"] == 1


async def test_formats_that_take_parts_take_what_may_be_written(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        mine = bearer(tenant())
        lines = "\n".join(json.dumps(sample(one, f"lines_{one}")) for one in ("acme", "beta"))
        said = await served.http.post(
            "/v1/samples",
            content=lines,
            headers={**mine, "Content-Type": "application/x-ndjson"},
        )
        assert 'lines_beta{tenant=\\"beta\\"}' in said.text
        influx = "influx,tenant=acme v=1\ninflux,tenant=beta v=1"
        for path in ("/write", "/api/v2/write"):
            said = await served.http.post(path, content=influx, headers=mine)
            assert said.status_code in (400, 403)
            assert 'influx_v{tenant=\\"beta\\"}' in said.text
        for name in ("acme", "beta"):
            said = await served.http.post(
                "/api/v1/write",
                content=snappy(
                    remote_write_1({"remote": [(1.0, now_ms())]}, labels={"tenant": name})
                ),
                headers={
                    **mine,
                    "Content-Type": "application/x-protobuf",
                    "Content-Encoding": "snappy",
                },
            )
            assert said.status_code in ((204,) if name == "acme" else (400, 403)), said.text
        point = {"asDouble": 1.0, "timeUnixNano": str(time.time_ns())}
        metrics = [
            {
                "name": "otlp",
                "gauge": {
                    "dataPoints": [
                        {**point, "attributes": [{"key": "tenant", "value": {"stringValue": one}}]}
                        for one in ("acme", "beta")
                    ]
                },
            }
        ]
        export = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
        said = await served.http.post("/v1/metrics", json=export, headers=mine)
        assert said.json()["partialSuccess"]["rejectedDataPoints"] in (1, "1")
        async with served.websocket("", None, mine, "/v1/publish") as socket:
            for one in ("beta", "acme"):
                await socket.send_message(json.dumps(sample(one, "socket")))
            answers = [json.loads(await socket.get_message()) for _ in range(2)]
            assert [answer["type"] for answer in answers] == ["error", "applied"]
        listed = (await served.http.get("/v1/series", headers=bearer(token()))).json()["series"]
        assert {one["labels"]["tenant"] for one in listed} == {"acme"}
        names = {"lines_acme", "influx_v", "remote", "otlp", "socket"}
        assert {one["name"] for one in listed} == names


async def test_an_idempotency_key_is_its_owners_own(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        for subject in ("acme", "beta"):
            for _ in range(2):
                said = await served.http.post(
                    "/v1/samples",
                    json=sample(subject),
                    headers={**bearer(tenant(subject)), "Idempotency-Key": '"one"'},
                )
                assert said.status_code == 200, said.text
        listed = (await served.http.get("/v1/history", headers=bearer(token()))).json()["series"]
        assert {one["labels"]["tenant"]: len(one["points"]) for one in listed} == {
            "acme": 1,
            "beta": 1,
        }


# -- what is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize("detach", [True, False])
async def test_tenants_who_ask_for_the_same_see_each_their_own(auth: Auth, detach: bool) -> None:
    async with serving(auth=auth, stream=Pacing(detach=detach)) as served:
        for subject in ("acme", "beta"):
            await served.http.post(
                "/v1/samples", json=sample(subject), headers=bearer(tenant(subject))
            )
        for subject in ("acme", "beta"):
            mine = bearer(tenant(subject))
            for path in ("/v1/series", "/v1/history"):
                listed = (await served.http.get(path, headers=mine)).json()["series"]
                assert [one["labels"] for one in listed] == [{"tenant": subject}]
            for accept in ("text/event-stream", "application/x-ndjson"):
                async with served.documents(accept, headers=mine) as documents:
                    points = await next_of(documents, "points")
                    assert [one["labels"] for one in points["series"]] == [{"tenant": subject}]
            poll = await served.http.get(
                "/v1/stream", headers={**mine, "Accept": "application/json"}
            )
            assert '"tenant":"' + subject in poll.text
            assert poll.text.count('"tenant"') == 1


async def test_tenants_see_their_own_labels_and_have_their_own_tags(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        for subject in ("acme", "beta"):
            own = {**sample(subject), "labels": {"tenant": subject, f"of_{subject}": "1"}}
            mine = bearer(tenant(subject, pushsvc={"read": [], "write": ['{tenant=~".+"}']}))
            assert (await served.http.post("/v1/samples", json=own, headers=mine)).is_success
        tags = set()
        for subject in ("acme", "beta"):
            mine = bearer(tenant(subject))
            names = (await served.http.get("/v1/label_names", headers=mine)).json()
            assert names["labels"] == ["__name__", f"of_{subject}", "tenant"]
            values = await served.http.get("/v1/label_values?label=tenant", headers=mine)
            assert values.json()["values"] == [subject]
            listed = await served.http.get("/v1/series?values=false", headers=mine)
            tags.add(listed.headers["etag"])
        assert len(tags) == 2


async def test_nobody_speaks_to_a_stream_of_someone_else(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        mine = bearer(tenant())
        async with served.documents("text/event-stream", headers=mine) as documents:
            path = f"/v1/stream/{(await next_of(documents, 'hello'))['session']}"
            watch = {"type": "watch", "select": ["up"]}
            for subject, status in (("beta", 403), ("acme", 200)):
                said = await served.http.post(path, json=watch, headers=bearer(tenant(subject)))
                assert said.status_code == status


# -- until when ------------------------------------------------------------------------------------


@pytest.mark.parametrize("detach", [True, False])
async def test_a_stream_ends_with_its_token_and_says_so(auth: Auth, detach: bool) -> None:
    async with serving(auth=auth, stream=Pacing(detach=detach)) as served:
        brief = bearer(tenant(exp=int(time.time()) + 2))
        async with served.documents("text/event-stream", headers=brief) as documents:
            assert (await next_of(documents, "error"))["code"] == "token_expired"
        brief = bearer(tenant(exp=int(time.time()) + 2))
        async with served.websocket("", None, brief) as socket:
            with trio.fail_after(30), pytest.raises(ConnectionClosed):
                while True:
                    await socket.get_message()
            assert socket.closed is not None
            assert socket.closed.code == 4101


@pytest.mark.parametrize("detach", [True, False])
async def test_a_websocket_goes_on_with_a_new_token(auth: Auth, detach: bool) -> None:
    async with serving(auth=auth, stream=Pacing(detach=detach)) as served:
        end = int(time.time()) + 2
        async with served.websocket("", None, bearer(tenant(exp=end))) as socket:
            await socket.send_message(json.dumps({"type": "auth", "token": tenant()}))
            await trio.sleep(end + 1.5 - time.time())
            await served.http.post("/v1/samples", json=sample("acme"), headers=bearer(tenant()))
            with trio.fail_after(30):
                while json.loads(await socket.get_message())["type"] != "points":
                    pass


async def test_a_token_that_cannot_renew_ends_the_stream(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        reads_nothing = token(sub="acme", pushsvc=None)
        for other, code in ((tenant("beta"), 4003), (reads_nothing, 4003), ("x", 4001)):
            async with served.websocket("", None, bearer(tenant())) as socket:
                await socket.send_message(json.dumps({"type": "auth", "token": other}))
                with trio.fail_after(30), pytest.raises(ConnectionClosed):
                    while True:
                        await socket.get_message()
                assert socket.closed is not None
                assert socket.closed.code == code


async def test_a_key_that_is_taken_away_ends_its_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushsvc.auth.mode._LOOK", 0.05)
    key, id_, hash_ = make_key()
    file = tmp_path / "keys.toml"
    file.write_text(table_of(id_, hash_, name="", read=ACME, write=[], operator=False))
    async with serving(auth=Auth(mode="keys", keys_file=str(file))) as served:
        async with served.documents("text/event-stream", headers=bearer(key)) as documents:
            await next_of(documents, "hello")
            file.write_text("")
            assert (await next_of(documents, "error"))["code"] == "token"
        assert (await served.http.get("/v1/series", headers=bearer(key))).status_code == 401


# -- starting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "push.example"])
def test_without_control_it_starts_on_loopback_only(host: str) -> None:
    with pytest.raises(ConfigError, match="insecure-no-auth"):
        make_access_control(Settings(server=Server(host=host)))
    make_access_control(Settings(server=Server(host=host), auth=Auth(insecure_no_auth=True)))
    make_access_control(Settings(server=Server(host="127.0.0.1")))


# -- the web's own rules ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "jwt"])
async def test_pages_of_other_sites_change_nothing(auth: Auth, mode: str) -> None:
    web = Web(origins="https://dash.example")
    async with serving(auth=auth if mode == "jwt" else Auth(), web=web) as served:
        mine = bearer(tenant())
        own = served.url
        for origin, good in (
            (own, True),
            ("https://dash.example", True),
            ("https://evil.example", False),
            ("https://dash.example.evil.example", False),
            ("http://dash.example", False),
            ("null", False),
            (f"{own}0", False),
        ):
            headers = {**mine, "Origin": origin}
            said = await served.http.post("/v1/samples", json=sample("acme"), headers=headers)
            assert said.status_code == (200 if good else 403), origin
            shared = said.headers.get("access-control-allow-origin")
            assert shared == (origin if origin == "https://dash.example" else None)
            if origin != own:  # the socket's helper calls the service by another name
                if good:
                    async with served.websocket("", None, headers) as socket:
                        assert '"hello"' in await socket.get_message()
                else:
                    assert await served.rejection(None, "", headers) == 403


async def test_a_preflight_is_answered_for_configured_origins_only(auth: Auth) -> None:
    async with serving(auth=auth, web=Web(origins="https://dash.example")) as served:
        for origin, good in (("https://dash.example", True), ("https://evil.example", False)):
            said = await served.http.options(
                "/v1/samples",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            )
            assert ("access-control-allow-origin" in said.headers) is good
            assert "Origin" in said.headers["vary"]


@pytest.mark.parametrize(
    ("ancestors", "policy", "frame"),
    [
        ("none", "frame-ancestors 'none'", "DENY"),
        ("self", "frame-ancestors 'self'", "SAMEORIGIN"),
        ("https://a.example,https://b.example", "https://a.example https://b.example", None),
    ],
)
async def test_the_page_says_who_may_embed_it(
    auth: Auth, ancestors: str, policy: str, frame: str | None
) -> None:
    async with serving(auth=auth, web=Web(frame_ancestors=ancestors)) as served:
        page = await served.http.get("/")
        assert policy in page.headers["content-security-policy"]
        assert page.headers.get("x-frame-options") == frame
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        # A browser says the origin of the page's own form only under this policy.
        assert page.headers["referrer-policy"] == "same-origin"


async def test_logging_in_by_the_form_and_out_again(auth: Auth) -> None:
    async with (
        serving(auth=auth) as served,
        httpx.AsyncClient(
            base_url=served.url, headers={"Origin": served.url}, verify=TRUST
        ) as http,
    ):
        assert "<form" in (await http.get("/")).text
        wrong = await http.post("/v1/login", data={"token": "<b>"})
        assert wrong.status_code == 401
        assert "<b>" not in wrong.text
        said = await http.post("/v1/login", data={"token": tenant()})
        assert said.status_code == 303
        held = said.headers["set-cookie"]
        for attribute in ("__Host-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert attribute in held
        cookie = {"Cookie": held.partition(";")[0]}
        assert "<form" not in (await http.get("/", headers=cookie)).text
        assert "Max-Age=0" in (await http.post("/v1/logout")).headers["set-cookie"]
        evil = {"Origin": "https://evil.example"}
        assert (
            await http.post("/v1/login", json={"token": tenant()}, headers=evil)
        ).status_code == 403


@pytest.mark.parametrize("trusted", [True, False])
async def test_only_trusted_proxies_say_who_the_client_is(auth: Auth, trusted: bool) -> None:
    web = Web(trusted_proxies="127.0.0.0/8" if trusted else "192.0.2.1")
    async with serving(auth=auth, web=web) as served:
        behind = {
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "push.example",
            "Origin": "https://push.example",
        }
        headers = {**bearer(tenant()), **behind}
        said = await served.http.post("/v1/samples", json=sample("acme"), headers=headers)
        assert said.status_code == (200 if trusted else 403)


# -- logs ------------------------------------------------------------------------------------------


async def test_no_token_gets_into_a_log(auth: Auth, capfd: pytest.CaptureFixture[str]) -> None:
    secrets: list[str] = []
    with structlog.testing.capture_logs() as entries:
        async with serving(auth=auth) as served:
            for text in (
                tenant(),
                tenant(exp=int(time.time()) - 60),
                "a.strange.one-that-is-none",
            ):
                secrets.append(text)
                for headers in (
                    bearer(text),
                    {"Authorization": f"Basic {text}"},
                    {"Sec-WebSocket-Protocol": subprotocol_of(text)},
                    {"Cookie": f"__Host-pushsvc={text}"},
                ):
                    await served.http.get("/v1/series", headers=headers)
                    await served.http.post("/v1/samples", json={}, headers=headers)
                await served.http.post("/v1/login", json={"token": text})
                issued = await served.http.post("/v1/tickets", headers=bearer(text))
                ticket = issued.json().get("ticket", "a-ticket-that-is-none")
                secrets.append(ticket)
                for _ in range(2):
                    await served.http.get(f"/v1/series?ticket={ticket}")
            async with served.websocket("", None, bearer(tenant())) as socket:
                await socket.send_message(json.dumps({"type": "auth", "token": secrets[0]}))
                await socket.get_message()
    out, err = capfd.readouterr()
    logged = f"{entries}{out}{err}"
    assert "refused" in logged
    for secret in secrets:
        assert secret not in logged
        assert secret.rpartition(".")[2] not in logged


async def test_a_poll_that_is_held_ends_with_its_token(auth: Auth) -> None:
    async with serving(auth=auth) as served:
        brief = bearer(tenant(exp=int(time.time()) + 2))
        headers = {**brief, "Accept": "application/json"}
        with trio.fail_after(30):
            answer = await served.http.get("/v1/stream?since=there!9.7", headers=headers)
        (error,) = answer.json()["documents"]
        assert (error["type"], error["code"]) == ("error", "token_expired")
        assert answer.json()["id"] == "there!9.7"
