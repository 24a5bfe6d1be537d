"""The service everyone writes first: a handler, a channel and a send per client and sample.

It is written as well as its design allows: a sample is encoded once, not once per client, nobody
filters, and nothing is kept. `python -m tests.bench.peers.naive` serves it on a free port and
prints the URL.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request, websocket
from quart_trio import QuartTrio

_BUFFER = 1_000
"""Samples that wait for one client; what comes when that is full is lost to it."""


def create_app() -> QuartTrio:
    app = QuartTrio(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024
    channels: set[trio.MemorySendChannel[str]] = set()

    @contextlib.contextmanager
    def subscribed() -> Iterator[trio.MemoryReceiveChannel[str]]:
        send, receive = trio.open_memory_channel[str](_BUFFER)
        channels.add(send)
        try:
            yield receive
        finally:
            channels.discard(send)

    @app.post("/v1/samples")
    async def samples() -> dict[str, int]:
        body = await request.get_json()
        now = round(time.time() * 1000)
        for sample in body["samples"]:
            sample.setdefault("time", now)
            message = json.dumps(sample)
            for channel in channels:
                with contextlib.suppress(trio.WouldBlock):
                    channel.send_nowait(message)
        return {"applied": len(body["samples"]), "watchers": len(channels)}

    @app.get("/v1/stream")
    async def stream() -> Response:
        sse = "text/event-stream" in request.headers.get("Accept", "")
        subscription = subscribed()
        receive = subscription.__enter__()

        async def body() -> AsyncIterator[bytes]:
            with contextlib.closing(receive):
                try:
                    async for message in receive:
                        yield f"data: {message}\n\n".encode() if sse else f"{message}\n".encode()
                finally:
                    subscription.__exit__(None, None, None)

        content_type = "text/event-stream" if sse else "application/x-ndjson"
        response = Response(body(), content_type=content_type)
        response.timeout = None
        return response

    @app.websocket("/v1/stream")
    async def stream_websocket() -> None:
        with subscribed() as receive:
            await websocket.accept()
            async for message in receive:
                await websocket.send(message)

    return app


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.accesslog = None
        config.errorlog = None
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await serve(create_app(), config, mode="asgi")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main)
