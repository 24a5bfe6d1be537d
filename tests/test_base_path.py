"""Under a path: by a proxy that takes it away, and by one that passes it on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from pushsvc.app.http.base_path import root_seen_from
from pushsvc.auth.credentials import Cookie
from pushsvc.auth.keys import make_key, table_of
from pushsvc.client import Points, connect, open_publisher
from pushsvc.config import Auth, ConfigError, Server, load
from tests.serving import TRUST, serving

ROOT = Path(__file__).parents[1]
UNDER = Server(port=0, base_path="/a/push")


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/", "/"),
        ("/doctor", "/"),
        ("/docs", "/"),
        ("/d/cpu", "/"),
        ("/v1/login", "/"),
        ("/a/b/c", "/"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/push", "/a/push"])
def test_the_root_is_found_from_every_path_under_any_other(
    path: str, root: str, prefix: str
) -> None:
    assert urljoin(f"https://dash.example{prefix}{path}", root_seen_from(path)) == (
        f"https://dash.example{prefix}{root}"
    )


def pages(text: str) -> list[str]:
    """What a page refers to, itself left out."""
    below = text.partition("<base ")[2].partition(">")[2]
    return re.findall(r'(?:href|src|action)="([^"]*)"', below)


@pytest.mark.parametrize("server", [Server(port=0), UNDER], ids=["root", "under a path"])
async def test_a_page_refers_to_nothing_by_an_absolute_path(server: Server) -> None:
    async with serving(server=server) as served:
        for path in ("/", "/doctor", "/clients", "/docs", "/d/host"):
            page = (await served.http.get(path)).text
            references = pages(page)
            assert any("assets/" in one for one in references), page
            assert not any(one.startswith("/") for one in references), references
            base = re.findall(r'<base href="([^"]+)"', page)
            assert base == [root_seen_from(path)]
            for each in references:
                url = urljoin(urljoin(f"{served.url}{path}", base[0]), each)
                if "/v1/stream" not in url:
                    assert (await served.http.get(url)).status_code == 200, url


async def test_all_is_served_under_the_path_and_without_it() -> None:
    async with serving(server=UNDER) as served:
        assert served.url.endswith("/a/push")
        document = (await served.http.get("/openapi.json")).json()
        assert urljoin(f"{served.url}/openapi.json", document["servers"][0]["url"]) == (
            f"{served.url}/"
        )
        async with open_publisher(served.url) as publisher:
            await publisher.publish([{"name": "n", "value": 1}])
        async with connect(served.url, ["n"]) as stream:
            async for event in stream:
                if isinstance(event, Points):
                    break
        root = served.url.removesuffix("/a/push")
        async with httpx.AsyncClient(verify=TRUST) as http:
            for url in (served.url, root):
                described = ("/openapi.json", "/asyncapi.json")
                for path in (
                    "/livez",
                    "/v1/series",
                    "/",
                    "/doctor",
                    "/docs",
                    *described,
                    "/metrics",
                ):
                    assert (await http.get(f"{url}{path}")).status_code == 200, f"{url}{path}"
                answer = await http.post(f"{url}/v1/samples", json={"name": "n", "value": 1})
                assert answer.status_code == 200
            for path in ("/a", "/a/pushed/livez", "/a/push/a/push/livez", "/push/livez"):
                assert (await http.get(f"{root}{path}")).status_code == 404, path


async def test_without_its_slash_the_path_leads_to_the_one_with_it() -> None:
    async with serving(server=UNDER) as served, httpx.AsyncClient(verify=TRUST) as http:
        answer = await http.get(f"{served.url}?window=5m")
        assert answer.status_code == 308
        assert answer.headers["location"] == "push/?window=5m"
        assert str(answer.next_request.url if answer.next_request else "") == (
            f"{served.url}/?window=5m"
        )


@pytest.mark.parametrize("prefix", ["/a/push", ""])
async def test_streams_come_by_their_short_way_and_by_the_long_one(prefix: str) -> None:
    async with serving(server=UNDER) as served:
        await served.publish({"name": "n", "value": 1})
        async with served.websocket("select=n", path=f"{prefix}/v1/stream") as socket:
            assert '"hello"' in await socket.get_message()
        async with served.websocket(path=f"{prefix}/v1/publish") as socket:
            await socket.send_message('{"name":"n","value":2}')
            assert '"applied":1' in await socket.get_message()
        async with served.websocket(path=f"{prefix}/v1/doctor/echo") as socket:
            await socket.send_message("a")
            assert await socket.get_message() == "a"
        for accept in ("text/event-stream", "application/x-ndjson"):
            request = f"GET {prefix}/v1/stream?select=n HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n"
            # Behind another request on its connection it is Quart that answers.
            before = f"GET {prefix}/livez HTTP/1.1\r\nHost: a\r\n\r\n"
            for first in ("", before):
                stream = await served.raw(f"{first}{request}\r\n".encode())
                async with stream:
                    answer = b""
                    while b"event-stream" not in answer and b"ndjson" not in answer:
                        answer += await stream.receive_some()
                    assert b" 404 " not in answer


@pytest.mark.parametrize(
    ("server", "name", "path"),
    [(Server(port=0), "__Host-pushsvc", "/"), (UNDER, "__Secure-pushsvc", "/a/push/")],
    ids=["root", "under a path"],
)
async def test_a_session_is_for_the_path_it_was_begun_under(
    server: Server, name: str, path: str, tmp_path: Path
) -> None:
    auth, key = keys(tmp_path)
    async with serving(server=server, auth=auth) as served:
        headers = {"Origin": served.url.removesuffix("/a/push")}
        async with httpx.AsyncClient(headers=headers, verify=TRUST) as http:
            for where in ("/", "/d/cpu", "/doctor", "/clients"):
                form = (await http.get(f"{served.url}{where}")).text
                [action] = re.findall(r'action="([^"]+)"', form)
                target = urljoin(f"{served.url}{where}", action)
                assert target == f"{served.url}/v1/login"
            wrong = await http.post(target, data={"token": "no"})
            assert wrong.status_code == 401
            [action] = re.findall(r'action="([^"]+)"', wrong.text)
            assert urljoin(target, action) == target
            answer = await http.post(target, data={"token": key})
            assert answer.status_code == 303
            assert urljoin(target, answer.headers["location"]) == f"{served.url}/"
            strange = await http.post(
                target, data={"token": key}, headers={"Origin": "https://dash.example"}
            )
            assert (strange.status_code, strange.headers["content-type"]) == (403, "text/html")
            assert "Host $http_host" in strange.text
            assert f'action="{action}"' in strange.text
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"{name}=")
            assert f"Path={path};" in cookie
            held = {"Cookie": cookie.partition(";")[0]}
            assert (await http.get(f"{served.url}/v1/series", headers=held)).status_code == 200
            other = {"Cookie": held["Cookie"].replace("pushsvc=", "other=")}
            assert (await http.get(f"{served.url}/v1/series", headers=other)).status_code == 401
            gone = (await http.post(f"{served.url}/v1/logout", headers=held)).headers["set-cookie"]
            assert gone.startswith(f"{name}=; Max-Age=0; Path={path};")


def test_a_cookie_under_a_path_is_not_the_one_of_a_host() -> None:
    # A browser refuses `__Host-` with any other path than `/`.
    assert Cookie.under("") == Cookie("__Host-pushsvc", "/")
    assert Cookie.under("/a") == Cookie("__Secure-pushsvc", "/a/")


@pytest.mark.parametrize("path", ["push", "/a b", "/a/../b", "//a", "/a?b", "/ä"])
def test_a_base_path_is_checked(path: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.base_path must be a path such as /push"):
        load(None, {"PUSHSVC_SERVER_BASE_PATH": path})


@pytest.mark.parametrize(
    ("path", "prefix"), [("", ""), ("/", ""), ("/push/", "/push"), ("/a/b", "/a/b")]
)
def test_a_slash_at_its_end_changes_nothing(path: str, prefix: str) -> None:
    assert load(None, {"PUSHSVC_SERVER_BASE_PATH": path}).settings.server.prefix == prefix


def keys(folder: Path) -> tuple[Auth, str]:
    """A lock, and a key that may do all."""
    key, id_, hash_ = make_key()
    file = folder / "keys.toml"
    all_ = ['{__name__=~".+"}']
    file.write_text(table_of(id_, hash_, name="", read=all_, write=all_, operator=True))
    return Auth(mode="keys", keys_file=str(file)), key


def test_no_script_refers_to_an_absolute_path() -> None:
    """What a browser asks for later, too: what a test doesn't happen to click on. Addresses may be
    compared with the page's origin, and not made from it."""
    absolute = re.compile(
        r"""["'`]/(?:v1|d|assets|doctor|clients|openapi\.json|favicon|theme|client)\b|URL\(["'`]/["'`]"""
        r"""|(?:href|src)=["'`{]+/|assign\(["'`]/|(?<!== )location\.origin"""
    )
    sources = [*(ROOT / "web" / "src").rglob("*.ts*"), *(ROOT / "web" / "public").glob("*.js")]
    assert len(sources) > 50
    found = [
        f"{source.relative_to(ROOT)}: {line.strip()}"
        for source in sources
        for line in source.read_text().splitlines()
        if absolute.search(line) and not line.lstrip().startswith(("*", "//", "/*"))
    ]
    assert found == []
