"""A way to a server that can be made to lose answers, or to break."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

import trio


class Link:
    """Forwards connections to a port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._scopes: set[trio.CancelScope] = set()
        self.port = 0
        self.mute = False
        """Whether answers are thrown away."""
        self.passes = trio.Event()
        """Set unless answers are held back."""
        self.passes.set()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections."""
        for scope in self._scopes:
            scope.cancel()

    async def carry(self, client: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                async with client, await trio.open_tcp_stream("127.0.0.1", self._target) as server:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._forward, client, server, scope, False)
                        nursery.start_soon(self._forward, server, client, scope, True)
            except OSError:
                pass
            finally:
                self._scopes.discard(scope)

    async def _forward(
        self,
        source: trio.abc.Stream,
        sink: trio.abc.Stream,
        scope: trio.CancelScope,
        answers: bool,
    ) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some():
                if answers:
                    await self.passes.wait()
                if not (answers and self.mute):
                    await sink.send_all(data)
        scope.cancel()


@contextlib.asynccontextmanager
async def open_link(target: int) -> AsyncIterator[Link]:
    link = Link(target)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, link.carry, 0, host="127.0.0.1"))
        link.port = listener.socket.getsockname()[1]
        yield link
        nursery.cancel_scope.cancel()
