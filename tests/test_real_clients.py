"""Clients that no one here wrote: curl, the websockets library, trio-websocket."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import websockets

from tests.cli.test_commands import publish, started
from tests.serving import TRUST

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with started("serve", "--port", "0") as (_, url):
        publish(url, {"name": "a", "labels": {"h": "x"}, "value": 1})
        yield url


def curl(*args: str, seconds: float = 5) -> bytes:
    """What curl prints, until it ends or has been running for so long."""
    done = subprocess.run(
        ["curl", "-sS", "-N", "-m", str(seconds), *args], capture_output=True, check=False
    )
    return done.stdout


@needs_curl
def test_curl_reads_sse_and_ndjson(url: str) -> None:
    # -m ends an endless stream; what came before then came at once.
    events = curl(f"{url}/v1/stream", seconds=0.5).decode().split("\n\n")
    retry, hello = events[0].split("\n")
    assert retry.startswith("retry: ")
    assert hello.startswith('data: {"type":"hello"')
    identity, data = events[1].split("\n")
    document = json.loads(data.removeprefix("data: "))
    assert identity == f"id: {document['id']}"
    assert document["points"][0][2] == 1.0
    lines = curl("-H", "Accept: application/x-ndjson", f"{url}/v1/stream", seconds=0.5)
    assert [json.loads(line)["type"] for line in lines.splitlines()] == ["hello", "points"]


@needs_curl
def test_curl_polls_and_resumes(url: str) -> None:
    accept = ("-H", "Accept: application/json")
    first = json.loads(curl(*accept, f"{url}/v1/stream"))
    publish(url, {"name": "a", "labels": {"h": "x"}, "value": 2})
    second = json.loads(curl(*accept, f"{url}/v1/stream?since={first['id']}"))
    assert [point[2] for d in second["documents"] for point in d["points"]] == [2.0]
    quiet = json.loads(curl(*accept, f"{url}/v1/stream?since={second['id']}&wait=0.1"))
    assert quiet == {"id": second["id"], "documents": []}


@needs_curl
def test_curl_publishes(url: str) -> None:
    one = json.loads(curl("-d", '{"name":"c","value":1}', f"{url}/v1/samples"))
    assert one["applied"] == 1
    address = f"{url}/v1/samples"
    lines = subprocess.run(
        ["curl", "-sS", "-T", "-", "-XPOST", "-HContent-Type: application/x-ndjson", address],
        input=b'{"name":"c","value":1}\n{"name":"c","value":2}\n',
        capture_output=True,
        check=True,
    )
    assert json.loads(lines.stdout)["applied"] == 2


def test_the_websockets_library(url: str) -> None:
    async def run() -> list[dict[str, object]]:
        address = f"{url.replace('http', 'ws')}/v1/stream?select=w"
        async with websockets.connect(address, subprotocols=["pushsvc.v1"]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "pushsvc.v1"
            documents = [json.loads(await socket.recv()) for _ in range(2)]
            async with httpx.AsyncClient(verify=TRUST) as http:
                await http.post(f"{url}/v1/samples", json={"name": "w", "value": 3})
            documents.append(json.loads(await socket.recv()))
            await socket.send('{"type":"watch","select":["a"],"max_hz":1}')
            documents.append(json.loads(await socket.recv()))
            pong = await socket.ping()
            await asyncio.wait_for(pong, 5)
            return documents

    hello, empty, points, again = asyncio.run(run())
    assert (hello["type"], again["type"]) == ("hello", "hello")
    assert (empty["series"], empty["points"]) == ([], [])
    assert points["series"][0]["name"] == "w"  # type: ignore[index]
    assert points["points"][0][2] == 3.0  # type: ignore[index]
    assert again["granted"]["select"] == ["a"]  # type: ignore[index]
