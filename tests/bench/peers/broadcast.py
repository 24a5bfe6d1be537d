"""`websockets` as its documentation says it is fastest: `broadcast`, under asyncio with uvloop.

`python -m tests.bench.peers.broadcast` serves it on a free port and prints the URL. A connection to
/publish publishes its messages, any other is a subscriber.
"""

from __future__ import annotations

import contextlib

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main() -> None:
    subscribers: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path.startswith("/publish"):
            async for message in connection:
                broadcast(subscribers, message)
            return
        subscribers.add(connection)
        try:
            await connection.wait_closed()
        finally:
            subscribers.discard(connection)

    async with serve(
        handle, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=4096
    ) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())
