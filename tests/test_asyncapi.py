"""The description of the WebSockets and the WebSockets, held together."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import trio
from quart_trio import QuartTrio
from trio_websocket import WebSocketConnection, wrap_client_stream

from pushsvc.app import create_app
from pushsvc.core.delivery.documents import Document
from pushsvc.core.resources.limits import Pacing
from tests.described import SOCKETS
from tests.serving import Served, serving
from tests.test_hazards import context

PUBLIC_SCHEMA = Path(__file__).parent.parent / "web/node_modules/@asyncapi/specs/schemas/3.0.0.json"


def payload(channel: str, message: str) -> jsonschema.Draft7Validator:
    """What one message of a channel has to be."""
    schema = SOCKETS["channels"][channel]["messages"][message]["payload"]
    return jsonschema.Draft7Validator({**schema, "components": SOCKETS["components"]})


@pytest.mark.skipif(not PUBLIC_SCHEMA.is_file(), reason="run `npm ci` in web/: it has the schema")
def test_it_keeps_to_the_public_schema() -> None:
    jsonschema.Draft7Validator(json.loads(PUBLIC_SCHEMA.read_bytes())).validate(SOCKETS)


def test_its_schemas_are_those_of_draft_7() -> None:
    for schema in SOCKETS["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)
    text = json.dumps(SOCKETS["components"]["schemas"])
    assert "prefixItems" not in text
    assert '"discriminator"' not in text


async def test_every_socket_is_described_and_nothing_else() -> None:
    async with context(Pacing()) as parts:
        app: QuartTrio = create_app(parts)
    paths = {rule.rule.removeprefix("/") for rule in app.url_map.iter_rules() if rule.websocket}
    assert {one["address"] for one in SOCKETS["channels"].values()} == paths


def test_all_documents_of_a_stream_are_messages_of_it() -> None:
    tags = {one.tag for one in msgspec.inspect.type_info(Document).types}  # type: ignore[attr-defined]
    assert set(SOCKETS["channels"]["stream"]["messages"]) == tags | {"watch", "auth"}
    said = [one["action"] for one in SOCKETS["operations"].values()]
    assert said.count("send") == said.count("receive") == len(SOCKETS["channels"])


async def test_what_is_said_is_what_is_described() -> None:
    async with serving() as served:
        with trio.fail_after(30):
            async with (
                connected(served, "/v1/stream") as stream,
                connected(served, "/v1/publish") as publish,
            ):
                await said(stream, "stream", "hello")
                batch = {"tag": 1, "samples": [{"name": "a", "labels": {"b": "c"}, "value": 1}]}
                payload("publish", "batch").validate(batch)
                await publish.send_message(json.dumps(batch))
                receipt = json.loads(await publish.get_message())
                payload("publish", "receipt").validate(receipt)
                while not (await said(stream, "stream", "points")).get("series"):
                    pass
                await publish.send_message('{"name":"","value":1}')
                payload("publish", "refusal").validate(json.loads(await publish.get_message()))
                watch = {"type": "watch", "select": ["a"], "max_hz": 2}
                payload("stream", "watch").validate(watch)
                await stream.send_message(json.dumps(watch))
                await said(stream, "stream", "hello")
                await stream.send_message('{"type":"nothing"}')
                await said(stream, "stream", "error")


@contextlib.asynccontextmanager
async def connected(served: Served, path: str) -> AsyncGenerator[WebSocketConnection]:
    """A WebSocket whose connection is closed here, whichever side sent the close frame."""
    async with (
        await trio.open_tcp_stream(served.host, served.port) as stream,
        trio.open_nursery() as nursery,
    ):
        yield await wrap_client_stream(nursery, stream, "test", path)
        nursery.cancel_scope.cancel()


async def said(socket: WebSocketConnection, channel: str, wanted: str) -> dict[str, Any]:
    """The next document of a type; all that come are as described."""
    while True:
        document: dict[str, Any] = json.loads(await socket.get_message())
        payload(channel, document["type"]).validate(document)
        if document["type"] == wanted:
            return document


async def test_both_descriptions_are_known_by_their_tags() -> None:
    async with serving() as served:
        for path in ("/openapi.json", "/asyncapi.json"):
            first = await served.http.get(path)
            assert first.status_code == 200
            assert first.headers["content-type"] == "application/json"
            assert first.headers["content-encoding"] in ("gzip", "zstd", "br")
            again = await served.http.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
