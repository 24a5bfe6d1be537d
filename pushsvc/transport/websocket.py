"""A WebSocket conversation: frames out, messages in, each side in a task of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.errors import Problem, TooMany
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.inbound import Conversation


async def converse(
    subscriber: Subscriber,
    carrier: AsgiCarrier,
    conversation: Conversation,
    *,
    send: Callable[[str], Awaitable[None]],
    receive: Callable[[], Awaitable[str | bytes | None]],
) -> Ending:
    """Run until the server ends the stream, and return why: what to close with.

    A client that goes away isn't noticed here: the framework cancels the caller. There is always a
    task that reads, since a handler that never receives may miss that.
    """
    flooded = False

    async def read() -> None:
        nonlocal flooded
        while True:
            message = await receive()
            try:
                conversation.answer(subscriber, message)
            except Problem as problem:
                carrier.end(Ending(problem.code, problem.close_code, message=problem.detail))
                flooded = isinstance(problem, TooMany)
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        while (frame := await carrier.next_frame(subscriber)) is not None:
            await send(frame.json.decode())
        if flooded:
            await _outlast(receive)
        nursery.cancel_scope.cancel()
    assert carrier.ending is not None
    return carrier.ending


async def _outlast(receive: Callable[[], Awaitable[object]]) -> None:
    """Read on until a client that sent too much pauses, a second at most.

    Closing a socket with unread bytes resets it, and the client loses what was sent to it.
    """
    with trio.move_on_after(1.0):
        while True:
            with trio.move_on_after(0.1) as pause:
                await receive()
            if pause.cancelled_caught:
                return
