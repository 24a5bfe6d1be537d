"""Somebody's Quart app with the service mounted in it, on a free port, as a program that prints
its URL and ends by SIGTERM."""

from __future__ import annotations

import signal
import sys
from functools import partial

import hypercorn
import hypercorn.trio
import trio
from quart_trio import QuartTrio

from pushsvc import mount, open_service


async def main() -> None:
    app = QuartTrio("stranger")

    @app.get("/")
    async def index() -> str:
        return "a page of its own"

    config = hypercorn.Config()
    config.bind = ["127.0.0.1:0"]
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_service() as service, trio.open_nursery() as nursery:
            mount(app, "/tools/push", service)

            async def stop() -> None:
                await anext(signals)
                await service.drain()

            [url] = await nursery.start(
                partial(hypercorn.trio.serve, app, config, shutdown_trigger=stop)
            )
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()


trio.run(main)
