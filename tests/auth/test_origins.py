"""What a page may do, and what who runs the service is told when its own page may not."""

from __future__ import annotations

import pytest
import structlog

from pushsvc.auth.origins import Origins
from pushsvc.auth.proxies import Client, Proxies
from pushsvc.config import Auth, Web
from pushsvc.errors import Forbidden, Misdirected
from tests.serving import serving

TRUSTED = Proxies(("127.0.0.0/8",))
NOBODY = Proxies(())


def sentence(origin: str, headers: dict[str, str], proxies: Proxies = NOBODY) -> str:
    client = proxies.client("127.0.0.1", "http", headers)
    with pytest.raises(Forbidden) as refused:
        Origins((), ()).refuse_strangers(client, {**headers, "origin": origin}, by_cookie=False)
    assert refused.value.code == "origin"
    return refused.value.detail


@pytest.mark.parametrize(
    ("headers", "proxies", "told", "untold"),
    [
        # nginx and Apache as they are: the host is the one of the backend.
        ({"host": "127.0.0.1:8080"}, NOBODY, ["Host $http_host", "ProxyPreserveHost On"], []),
        (
            {"host": "dash.example"},
            NOBODY,
            ["X-Forwarded-Proto", "trusted_proxies (127.0.0.1)"],
            ["web.origins"],
        ),
        (
            {"host": "dash.example"},
            TRUSTED,
            ["send X-Forwarded-Proto"],
            ["web.origins", "web.trusted"],
        ),
        (
            {"host": "127.0.0.1:8080", "x-forwarded-host": "dash.example"},
            NOBODY,
            ["X-Forwarded-Host", "trusted_proxies (127.0.0.1)"],
            ["web.origins", "Host $http_host"],
        ),
        (
            {"host": "127.0.0.1:8080", "forwarded": 'for=1.2.3.4;host="dash.example"'},
            NOBODY,
            ["trusted_proxies (127.0.0.1)"],
            ["web.origins"],
        ),
        # The port is lost.
        ({"host": "dash.example:81"}, TRUSTED, ["Host $http_host", "web.origins"], []),
    ],
)
def test_a_refusal_names_what_to_set(
    headers: dict[str, str], proxies: Proxies, told: list[str], untold: list[str]
) -> None:
    said = sentence("https://dash.example", headers, proxies)
    assert "https://dash.example" in said
    for text in told:
        assert text in said
    for text in untold:
        assert text not in said


def test_a_strange_origin_is_answered_as_well() -> None:
    for origin in ("null", "https://[", "https://evil.example/path", "\u202eevil"):
        assert "web.origins" in sentence(origin, {"host": "dash.example"})


def test_other_sites_may_nothing_and_our_own_all() -> None:
    origins = Origins(("https://also.example",), ())
    ours = Client("192.0.2.1", "https", "dash.example")
    for origin in ("https://dash.example", "https://also.example", "HTTPS://DASH.example"):
        origins.refuse_strangers(ours, {"origin": origin}, by_cookie=True)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "http://dash.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ):
        with pytest.raises(Forbidden):
            origins.refuse_strangers(ours, headers, by_cookie=False)


def test_a_name_that_leads_here_is_not_made_ours_by_a_header() -> None:
    """A page under its own name may write what a proxy writes."""
    origins = Origins((), ())
    headers = {"host": "evil.example", "x-forwarded-host": "localhost"}
    with pytest.raises(Misdirected, match=r"web\.origins"):
        origins.refuse_other_names(TRUSTED.client("127.0.0.1", "http", headers), headers)
    for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "dash", ""):
        headers = {"host": host}
        origins.refuse_other_names(NOBODY.client("127.0.0.1", "http", headers), headers)
    for host in ("dash.example", "a.b:80", "x.example."):
        headers = {"host": host}
        with pytest.raises(Misdirected):
            origins.refuse_other_names(NOBODY.client("127.0.0.1", "http", headers), headers)


async def test_probes_ask_by_any_name() -> None:
    async with serving() as served:
        other = {"Host": "pod-7.example:8080"}
        for path, status in (("/livez", 200), ("/readyz", 200), ("/v1/series", 421), ("/", 421)):
            answer = await served.http.get(path, headers=other)
            assert answer.status_code == status, path
        refused = (await served.http.get("/v1/series", headers=other)).json()
        assert 'say web.origins = "http://pod-7.example:8080" if it is' in refused["detail"]
        # What isn't a host's name is not there to be pasted.
        strange = {"Host": "x.example\"';rm"}
        refused = (await served.http.get("/v1/series", headers=strange)).json()
        assert "web.origins = " not in refused["detail"]


async def test_what_passes_requests_on_to_a_service_without_a_lock_is_told_of_once() -> None:
    for web, auth, headers, told in (
        (Web(), Auth(), {}, 0),
        (Web(), Auth(), {"X-Forwarded-For": "203.0.113.7"}, 1),
        (Web(trusted_proxies="127.0.0.1"), Auth(), {}, 1),
        (Web(), Auth(insecure_no_auth=True), {"X-Forwarded-For": "203.0.113.7"}, 0),
    ):
        with structlog.testing.capture_logs() as logs:
            async with serving(web=web, auth=auth) as served:
                for _ in range(2):
                    assert (await served.http.get("/v1/series", headers=headers)).is_success
        warned = [log for log in logs if "everyone who reaches it may read" in log["event"]]
        assert len(warned) == told, (web, auth, headers)


async def test_a_refused_page_is_told_of_in_the_log_once() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(web=Web()) as served:
            for _ in range(3):
                answer = await served.http.post(
                    "/v1/samples", json={}, headers={"Origin": "http://dash.example"}
                )
                assert answer.status_code == 403
                # Behind another request on its connection, and on the fast path.
                assert await served.rejection(headers={"Origin": "http://dash.example"}) == 403
    warned = [one for one in logs if one["log_level"] == "warning" and one.get("code") == "origin"]
    assert len(warned) == 1
    assert "Host $http_host" in warned[0]["reason"]
