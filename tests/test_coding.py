"""Content codings: who gets which, that it is what was meant, and what is never compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import cramjam
import h11
import httpx
import pytest
import trio

from pushsvc import zstd
from pushsvc.app.http import coding as coding_module
from pushsvc.app.http.coding import FILES, WHOLE, Coding, choose, compress
from pushsvc.config import Auth, Web
from pushsvc.errors import NotAcceptable
from tests.serving import Served, serving
from tests.tokens import SECRET, token

WEB = Path(coding_module.__file__).parents[2] / "web"


def expand(content: bytes, coding: str | None) -> bytes:
    if coding == "gzip":
        return gzip.decompress(content)
    if coding == "zstd":
        return zstd.decompress(content)
    if coding == "br":
        return bytes(cramjam.brotli.decompress(content))
    assert coding is None
    return content


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, response: h11.Response, body: bytes) -> None:
        self.status = response.status_code
        self.headers = httpx.Headers(
            [(name.decode(), value.decode()) for name, value in response.headers]
        )
        self.raw = body
        self.coding = self.headers.get("Content-Encoding")

    @property
    def body(self) -> bytes:
        return expand(self.raw, self.coding)


async def ask(
    served: Served, path: str, accepted: str | None, *, method: str = "GET", **headers: str
) -> Answer:
    """One request on a connection of its own, with just this Accept-Encoding."""
    fields = [
        ("Host", "test"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    ]
    if accepted is not None:
        fields.append(("Accept-Encoding", accepted))
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method=method, target=path, headers=fields)
    sent = connection.send(request) + connection.send(h11.EndOfMessage())
    assert sent is not None
    async with await served.raw(sent) as stream:
        response, body = None, b""
        with trio.fail_after(30):
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(bytes(await stream.receive_some()))
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
    assert response is not None
    return Answer(response, body)


@pytest.mark.parametrize(
    ("accepted", "offered", "chosen"),
    [
        (None, WHOLE, "identity"),
        ("", WHOLE, "identity"),
        ("gzip", WHOLE, "gzip"),
        ("x-gzip", WHOLE, "gzip"),
        ("GZip", WHOLE, "gzip"),
        ("gzip, deflate, br, zstd", WHOLE, "zstd"),
        ("gzip, deflate, br, zstd", FILES, "br"),
        ("gzip, deflate, br, zstd", (), "identity"),
        ("gzip;q=1.0, zstd;q=0.5", WHOLE, "gzip"),
        ("gzip;q=0, zstd;q=0", WHOLE, "identity"),
        ("gzip;q=0", FILES, "identity"),
        ("gzip;q=0.2, identity;q=0.8", WHOLE, "identity"),
        ("gzip;q=0.8, identity;q=0.2", WHOLE, "gzip"),
        ("identity", WHOLE, "identity"),
        ("deflate", WHOLE, "identity"),
        ("identity;q=0, gzip;q=0.001", WHOLE, "gzip"),
        ("identity;q=0, br", FILES, "br"),
        ("*", WHOLE, "gzip"),
        ("*;q=0, br", WHOLE, "br"),
        ("*;q=0.5, gzip;q=0", WHOLE, "identity"),
        ("*;q=0, identity", WHOLE, "identity"),
        ("gzip;q=nonsense", WHOLE, "identity"),
        (", ;q=1,,", WHOLE, "identity"),
    ],
)
def test_which_coding_a_client_gets(
    accepted: str | None, offered: Sequence[Coding], chosen: Coding
) -> None:
    assert choose(accepted, tuple(offered)) == chosen


@pytest.mark.parametrize(
    "accepted", ["identity;q=0", "*;q=0", "deflate, identity;q=0", "*;q=0, gzip;q=0"]
)
def test_who_takes_nothing_is_told_what_there_is(accepted: str) -> None:
    with pytest.raises(NotAcceptable, match="zstd, gzip, br, identity"):
        choose(accepted, WHOLE)


@pytest.mark.parametrize("coding", WHOLE)
def test_a_body_in_each_coding(coding: Coding) -> None:
    content = b'{"points":[[1732320000000,0.5]]}' * 1_000
    packed = compress(content, coding)
    assert expand(packed, coding) == content
    assert len(packed) < len(content) / 10


JSON_PATHS = ("/v1/series", "/v1/history", "/openapi.json", "/metrics", "/v1/subscribers")


async def fill(served: Served, series: int = 60) -> None:
    await served.publish(
        *({"name": "a", "labels": {"n": str(n)}, "value": n} for n in range(series))
    )


@pytest.mark.parametrize("accepted", ["gzip", "zstd", "br"])
async def test_answers_are_compressed_for_who_takes_it(accepted: str) -> None:
    async with serving() as served:
        await fill(served)
        for path in ("/v1/series", "/v1/history", "/openapi.json", "/metrics"):
            plain = await ask(served, path, None)
            packed = await ask(served, path, accepted)
            assert (plain.coding, packed.coding) == (None, accepted), path
            assert int(packed.headers["Content-Length"]) == len(packed.raw)
            assert len(packed.raw) < len(plain.raw) / 3
            if path != "/metrics":
                assert packed.body == plain.body
            for answer in (plain, packed):
                assert "accept-encoding" in answer.headers["Vary"].lower()
                assert answer.headers["Content-Type"] == plain.headers["Content-Type"]
            head = await ask(served, path, accepted, method="HEAD")
            assert (head.raw, head.coding) == (b"", accepted)


async def test_a_long_poll_and_its_catching_up_are_compressed() -> None:
    async with serving() as served:
        await fill(served)
        polled = await ask(served, "/v1/stream?wait=1", "gzip", Accept="application/json")
        assert polled.coding == "gzip"
        assert polled.body.startswith(b'{"id":"')
        assert polled.headers["Cache-Control"] == "no-store, no-transform"


async def test_short_answers_go_as_they_are_unless_that_is_ruled_out() -> None:
    async with serving() as served:
        short = await ask(served, "/v1/series", "gzip, zstd")
        assert (short.coding, "Accept-Encoding" in short.headers["Vary"]) == (None, True)
        for accepted in ("gzip, identity;q=0", "*;q=0, gzip"):
            forced = await ask(served, "/v1/series", accepted)
            assert (forced.coding, forced.body) == ("gzip", short.raw)
        refused = await ask(served, "/v1/series", "identity;q=0, compress")
        assert (refused.status, refused.coding) == (406, None)
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert b"zstd, gzip, br, identity" in refused.raw
        assert "nosniff" in refused.headers["X-Content-Type-Options"]


async def test_what_was_done_is_answered_whatever_coding_is_wanted() -> None:
    async with serving() as served:
        answer = await served.http.post(
            "/v1/samples",
            content=b'{"name":"a","value":1}\n',
            headers={
                "Content-Type": "application/x-ndjson",
                "Accept-Encoding": "identity;q=0, compress",
            },
        )
        assert (answer.status_code, answer.json()["applied"]) == (200, 1)


async def test_what_has_secrets_in_it_is_never_compressed() -> None:
    auth = Auth(mode="jwt", secret=SECRET)
    bearer = {"Authorization": f"Bearer {token('HS256')}"}
    async with serving(auth=auth) as served:
        ticket = await ask(served, "/v1/tickets", "gzip, identity;q=0", method="POST", **bearer)
        assert (ticket.status, ticket.coding) == (200, None)
        echo = await ask(
            served, "/v1/doctor/echo", "gzip, identity;q=0", X_Long="a" * 500, **bearer
        )
        assert (echo.status, echo.coding) == (200, None)


async def test_what_has_a_tag_of_its_own_keeps_its_bytes() -> None:
    async with serving() as served:
        listed = (await served.http.get("/v1/dashboards")).json()["dashboards"]
        one = await ask(served, f"/v1/dashboards/{listed[0]['name']}", "gzip")
        assert (one.status, one.coding, len(one.raw) > 1024) == (200, None, True)
        assert one.headers["ETag"] == listed[0]["etag"]


async def test_compression_can_be_turned_off() -> None:
    async with serving(web=Web(compress=False)) as served:
        await fill(served)
        for path in ("/v1/series", "/client.js"):
            assert (await ask(served, path, "gzip, br, zstd")).coding is None


async def test_a_large_answer_is_compressed_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = []

    def watched(content: bytes, coding: Coding) -> bytes:
        threads.append(trio.lowlevel.in_trio_run())
        return compress(content, coding)

    monkeypatch.setattr(coding_module, "compress", watched)
    async with serving() as served:
        await fill(served, 1_000)
        answer = await ask(served, "/v1/history", "gzip")
        assert (answer.coding, threads) == ("gzip", [False])


# -- the page's files ------------------------------------------------------------------------------


def files() -> list[str]:
    """The names of the files that were compressed when the page was built."""
    return sorted(path.relative_to(WEB).as_posix()[:-3] for path in WEB.rglob("*.br"))


def test_each_file_of_the_page_was_compressed_with_it() -> None:
    names = [
        path.relative_to(WEB).as_posix()
        for path in WEB.rglob("*")
        if path.suffix in (".js", ".css", ".ts") and path.stat().st_size >= 512
    ]
    assert files() == sorted(names)
    for name in names:
        content = (WEB / name).read_bytes()
        assert expand((WEB / f"{name}.br").read_bytes(), "br") == content
        assert expand((WEB / f"{name}.gz").read_bytes(), "gzip") == content


async def test_files_are_served_in_the_coding_that_suits() -> None:
    async with serving() as served:
        for name in ("client.js", next(name for name in files() if name.endswith(".css"))):
            content = (WEB / name).read_bytes()
            tags = set()
            for accepted, coding in (
                (None, None),
                ("gzip, deflate, br, zstd", "br"),
                ("gzip, zstd", "gzip"),
                ("zstd", None),
                ("br;q=0.1, gzip;q=0.9", "gzip"),
                ("br, identity;q=0", "br"),
            ):
                answer = await ask(served, f"/{name}", accepted)
                assert (answer.status, answer.coding, answer.body) == (200, coding, content)
                assert int(answer.headers["Content-Length"]) == len(answer.raw)
                assert answer.headers["Vary"] == "Accept-Encoding"
                assert answer.headers["Content-Type"].startswith("text/")
                tags.add(answer.headers["ETag"])
            assert len(tags) == 3, "each coding is a representation of its own"
            refused = await ask(served, f"/{name}", "identity;q=0, zstd")
            assert (refused.status, b"br, gzip, identity" in refused.body) == (406, True)
            assert "ETag" not in refused.headers


async def test_a_file_that_is_known_is_not_sent_again() -> None:
    async with serving() as served:
        first = await ask(served, "/client.js", "br")
        tag = first.headers["ETag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await ask(served, "/client.js", "br", If_None_Match=known)
            assert (again.status, again.raw, again.coding) == (304, b"", None)
            assert (again.headers["ETag"], again.headers["Vary"]) == (tag, "Accept-Encoding")
        # Of its bytes in another coding it says nothing.
        other = await ask(served, "/client.js", "gzip", If_None_Match=tag)
        assert (other.status, other.coding) == (200, "gzip")


async def test_a_part_of_a_file_is_the_whole() -> None:
    async with serving() as served:
        for accepted in (None, "br"):
            whole = await ask(served, "/client.js", accepted)
            part = await ask(served, "/client.js", accepted, Range="bytes=0-9")
            assert (part.status, part.raw) == (200, whole.raw)
            assert part.headers["Accept-Ranges"] == "none"


async def test_compressed_files_have_no_address_of_their_own() -> None:
    async with serving() as served:
        for suffix in (".br", ".gz"):
            assert (await ask(served, f"/client.js{suffix}", None)).status == 404


async def test_the_page_itself_is_compressed_as_it_is_served() -> None:
    async with serving() as served:
        for path in ("/", "/d/host", "/doctor"):
            plain, packed = await ask(served, path, None), await ask(served, path, "gzip")
            assert (packed.coding, packed.body) == ("gzip", plain.raw)
            assert packed.headers["Content-Security-Policy"]


def test_gzip_has_the_name_that_all_know() -> None:
    assert zlib.decompress(compress(b"a", "gzip"), 31) == b"a"
