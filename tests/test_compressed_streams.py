"""SSE and NDJSON in a content coding: shared bytes, at once, whole to the end, by each carrier."""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from collections.abc import Iterator

import httpx
import pytest
import trio
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.app.http.coding import STREAMS
from pushsvc.config import Server
from pushsvc.core.delivery import wire
from pushsvc.core.delivery.wire import GZIP_HEAD, Frame, GzipEnd, Text, text_wire
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.resources.limits import Pacing
from tests.authority import Authority
from tests.serving import EXPAND, carried, next_of, serving
from tests.test_coding import ask

AT = Cursor("E", 42)
FIFTY = [{"name": "a", "labels": {"n": str(n)}, "value": 1} for n in range(50)]


@pytest.fixture(params=["detached", "asgi", "tls"])
def carrier(request: pytest.FixtureRequest, certified: Authority) -> Iterator[str]:
    with carried(request.param, certified):
        yield request.param


# -- the bytes -------------------------------------------------------------------------------------


def points(count: int) -> Frame:
    return wire.points(AT, 41, None, [(n % 50, 1732320000000 + n, n / 7) for n in range(count)])


documents = st.binary(max_size=200_000).map(
    lambda data: Frame(json.dumps(data.decode("latin-1")).encode())
)
some = st.one_of(documents, st.integers(0, 5_000).map(points), st.just(wire.gap(AT, 3)))


@settings(deadline=None)
@given(st.lists(some, max_size=5), st.sampled_from(["sse", "ndjson"]))
def test_any_frames_in_any_order_are_one_gzip_stream(frames: list[Frame], text: Text) -> None:
    end, stream = GzipEnd(), GZIP_HEAD
    for frame in frames:
        end.count(frame.encoded(text))
        stream += frame.encoded(text_wire(text, "gzip"))
    expected = b"".join(frame.encoded(text) for frame in frames)
    assert gzip.decompress(stream + end.encoded()) == expected


@given(st.lists(some, min_size=1, max_size=5), st.sampled_from(["sse", "ndjson"]))
def test_frames_of_zstd_are_one_content(frames: list[Frame], text: Text) -> None:
    expand = EXPAND["zstd"]()
    for frame in frames:
        assert expand(frame.encoded(text_wire(text, "zstd"))) == frame.encoded(text)


@pytest.mark.parametrize("count", [0, 1, 70, 20_000])
def test_nothing_of_a_frame_waits_for_the_next(count: int) -> None:
    inflater = zlib.decompressobj(31)
    inflater.decompress(GZIP_HEAD)
    for _ in range(3):
        frame = points(count)
        assert inflater.decompress(frame.encoded("sse-gzip")) == frame.encoded("sse")


def test_a_document_is_deflated_once_for_events_lines_and_websockets() -> None:
    frame = points(70)
    packed = frame.deflated
    assert packed is not None
    for name in ("sse-gzip", "ndjson-gzip", "sse-gzip-chunk"):
        assert packed in frame.encoded(name)
    assert packed.removesuffix(b"\x00\x00\xff\xff") in frame.encoded("websocket-deflate")
    assert frame.deflated is packed
    assert len(frame.encoded("sse-gzip")) < 0.6 * len(frame.encoded("sse"))
    assert wire.gap(AT, 3).deflated is None


# -- over the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", STREAMS)
@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_documents_come_at_once_and_to_the_end(
    carrier: str, coding: str, accept: str
) -> None:
    async with serving(stream=Pacing(default_hz=20)) as served:
        await served.publish(
            *({"name": "a", "labels": {"n": str(n)}, "value": 1} for n in range(50))
        )
        asked = {"Accept-Encoding": f"{coding}, br;q=0.5"}
        async with served.documents(accept, headers=asked) as documents:
            assert documents.headers["content-encoding"] == coding
            assert "Accept-Encoding" in documents.headers["vary"]
            await next_of(documents, "hello")
            assert len((await next_of(documents, "points"))["points"]) == 50
            # Those who come later share the bytes that are made from now on.
            async with served.documents(accept, headers=asked) as later:
                await next_of(later, "points")
                for value in range(5):
                    await served.publish({"name": "a", "labels": {"n": "1"}, "value": value})
                    for one in (documents, later):
                        assert (await next_of(one, "points"))["points"][-1][2] == value
            served.drain.set()
            await next_of(documents, "goaway")
            with trio.fail_after(30), pytest.raises(StopAsyncIteration):
                await anext(documents)


async def test_the_stream_has_a_good_end(carrier: str) -> None:
    """What a strict reader checks: length and checksum of all that was in it."""
    async with serving() as served:
        await served.publish(
            *({"name": "a", "labels": {"n": str(n)}, "value": 1} for n in range(50))
        )

        async def read(into: list[bytes]) -> None:
            async with served.http.stream(
                "GET",
                "/v1/stream",
                headers={"Accept": "application/x-ndjson", "Accept-Encoding": "gzip"},
            ) as answer:
                into.extend([part async for part in answer.aiter_raw()])

        parts: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, parts)
            await served.wait_metric("pushsvc_subscribers", 1)
            await served.publish({"name": "a", "labels": {"n": "1"}, "value": 2})
            served.drain.set()
        lines = gzip.decompress(b"".join(parts)).splitlines()
        assert [json.loads(line)["type"] for line in (lines[0], lines[-1])] == ["hello", "goaway"]


async def test_who_does_not_ask_gets_plain_text_and_who_takes_nothing_is_told(carrier: str) -> None:
    async with serving() as served:
        for accepted in ("br", "identity", "gzip;q=0", "gzip;q=0.1, identity;q=0.9"):
            async with served.documents(
                "text/event-stream", headers={"Accept-Encoding": accepted}
            ) as documents:
                assert "content-encoding" not in documents.headers
                await next_of(documents, "hello")
        refused = await ask(served, "/v1/stream", "br, identity;q=0", Accept="text/event-stream")
        assert refused.status == 406
        assert b"gzip, zstd, identity" in refused.body


async def test_streams_can_be_left_as_they_are(carrier: str) -> None:
    async with serving(stream=Pacing(compress_http=False)) as served:
        async with served.documents(
            "text/event-stream", headers={"Accept-Encoding": "gzip, zstd"}
        ) as documents:
            assert "content-encoding" not in documents.headers
            await next_of(documents, "hello")


async def test_over_http_2_as_well(tmp_path: object) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        where = Server(port=0, certfile=path, keyfile=path)
        async with serving(server=where, verify=context) as served:
            async with (
                httpx.AsyncClient(base_url=served.url, verify=context, http2=True) as client,
                client.stream(
                    "GET",
                    "/v1/stream",
                    headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip"},
                ) as answer,
            ):
                assert (answer.http_version, answer.headers["Content-Encoding"]) == (
                    "HTTP/2",
                    "gzip",
                )
                inflater, text = zlib.decompressobj(31), b""
                with trio.fail_after(30), trio.CancelScope() as scope:
                    async for part in answer.aiter_raw():
                        text += inflater.decompress(part)
                        if b'"points"' in text:
                            scope.cancel()
                assert b'"hello"' in text


async def test_a_slow_reader_of_a_compressed_stream_misses_nothing(carrier: str) -> None:
    async with serving() as served:
        async with served.documents(
            "text/event-stream", headers={"Accept-Encoding": "gzip"}, merge="all"
        ) as documents:
            await next_of(documents, "hello")
            sent = 0
            for _ in range(40):  # more than the kernel's buffers hold
                batch = [
                    {
                        "name": "a",
                        "labels": {"n": f"{n}"},
                        "value": f"{sent + n:08}{'é' * 200}",
                        "kind": "state",
                    }
                    for n in range(500)
                ]
                await served.publish(*batch)
                sent += len(batch)
            seen = 0
            with trio.fail_after(30):
                async for document in documents:
                    assert document["type"] != "gap"
                    seen += len(document.get("points", []))
                    if seen == sent:
                        break


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
async def test_http_1_0_has_no_chunks(carrier: str, coding: str) -> None:
    request = (
        "GET /v1/stream HTTP/1.0\r\nHost: test\r\nAccept: application/x-ndjson\r\n"
        f"Accept-Encoding: {coding}\r\n\r\n"
    )
    async with serving() as served, await served.raw(request.encode()) as stream:
        await served.wait_metric("pushsvc_subscribers", 1)
        served.drain.set()
        answer = b""
        with trio.fail_after(30):
            while part := await stream.receive_some():
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    text = {"gzip": gzip.decompress, "zstd": EXPAND["zstd"](), "identity": bytes}[coding](body)
    types = [json.loads(line)["type"] for line in text.splitlines()]
    assert (types[0], types[-1]) == ("hello", "goaway")
