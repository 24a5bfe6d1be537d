"""A WebSocket echo endpoint made of the engine's own code, for test suites that want one.

`python -m tests.echo` serves it on a free loopback port, prints that, and runs until it is ended.
The handshake, the frames, the compression and what comes in are those of a stream; only what is
said is the client's own.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import trio

from pushsvc.app.dashboards.answer import accept_websocket, key_of
from pushsvc.app.http.plain import read_request
from pushsvc.core.delivery.wire import Frame, Wire
from pushsvc.listen.acceptor import Acceptor
from pushsvc.listen.address import group
from pushsvc.listen.listeners import Listener
from pushsvc.transport.engine import Engine
from pushsvc.transport.websocket_carrier import WebSocketCarrier

_MOST = 32 * 1024 * 1024
"""Bytes of a message: the largest that Autobahn sends has half as many."""


class _Binary(Frame):
    """A frame like any other, but for its opcode."""

    def encoded(self, wire: Wire) -> bytes:
        encoded = super().encoded(wire)
        return bytes((encoded[0] & 0xF0 | 0x2,)) + encoded[1:]


class _Echo:
    """Subscriber and conversation in one: what is said is what is pulled."""

    message_bytes = _MOST

    def __init__(self) -> None:
        self.carrier: Any = None
        self.blocked = 0
        self.since = trio.current_time()
        self.is_current = False
        self.view = SimpleNamespace(spec=SimpleNamespace(heartbeat=30.0), merge="all", newest=None)
        self._frames: deque[Frame] = deque()

    def pull(self) -> Frame | None:
        return self._frames.popleft() if self._frames else None

    def answer(self, _subscriber: object, message: str | bytes) -> None:
        text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else message
        self._frames.append(Frame(data) if text else _Binary(data))
        self.carrier.wake()


def _enter(engine: Engine, leave: Callable[[], None], sock: socket.socket, first: bytes) -> None:
    request = read_request(first)
    answer = None if request is None else accept_websocket(request.headers, compress=True)
    if request is None or answer is None:
        sock.close()
        leave()
        return
    echo = _Echo()
    hub = SimpleNamespace(unsubscribe=lambda *_, **__: leave(), counts=Counter())
    WebSocketCarrier(
        engine, cast("Any", hub), sock, cast("Any", echo), answer.wire, lambda: cast("Any", echo)
    ).begin(answer.head(key_of(request.headers)))


async def main() -> None:
    engine = Engine()
    acceptor = Acceptor(
        lambda sock, first, peer: _enter(engine, lambda: acceptor.leave(group(peer)), sock, first),
        Counter(),
        most=100,
        most_of=lambda _: 100,
        patience=30.0,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201
        async with trio.open_nursery() as nursery:
            for run in (
                engine.run,
                engine.run_tending,
                acceptor.waiting.run,
                acceptor.waiting.run_tending,
            ):
                await nursery.start(run)
            await nursery.start(acceptor.run_accept, Listener(listener))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main)
