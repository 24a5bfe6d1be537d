"""A WebSocket conversation: frames out, messages in, each side in a task of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.limits import Limits
from pushsvc.core.subscriber import Ending, Subscriber
from pushsvc.errors import Malformed, Problem, TooMany
from pushsvc.pipeline import now_ms
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.inbound import Allowance, apply_watch, decode_message


async def converse(
    hub: Hub,
    subscriber: Subscriber,
    carrier: AsgiCarrier,
    *,
    send: Callable[[str], Awaitable[None]],
    receive: Callable[[], Awaitable[str | bytes | None]],
    limits: Limits,
    hurry: Callable[[], None],
) -> Ending:
    """Run until the server ends the stream, and tell why it did: what to close with.

    The client going away is not seen here: the framework cancels the caller. There is always a
    reader, since a handler that never receives can miss just that.
    """
    flooded = False
    allowance = Allowance(limits.messages_per_second, trio.current_time())

    def answer(message: str | bytes | None) -> None:
        if not isinstance(message, str):
            raise Malformed("binary", "binary messages mean nothing here: send JSON as text")
        apply_watch(
            hub,
            subscriber.session,
            subscriber.view.wish,
            decode_message(message),
            limits,
            now=trio.current_time(),
            time_ms=now_ms(),
        )
        hurry()

    async def read() -> None:
        nonlocal flooded
        while True:
            message = await receive()
            try:
                allowance.spend(trio.current_time())
                answer(message)
            except Problem as problem:
                carrier.end(Ending(problem.code, problem.close_code, message=problem.detail))
                flooded = isinstance(problem, TooMany)
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        while (frame := await carrier.next_frame(subscriber)) is not None:
            await send(frame.text)
        if flooded:
            await _outlast(receive)
        nursery.cancel_scope.cancel()
    assert carrier.ending is not None
    return carrier.ending


async def _outlast(receive: Callable[[], Awaitable[object]]) -> None:
    """Read on until a client that sent too much pauses, a second at the most.

    A socket that is closed with unread bytes is reset, and with them goes what the client was
    told on it.
    """
    with trio.move_on_after(1.0):
        while True:
            with trio.move_on_after(0.1) as pause:
                await receive()
            if pause.cancelled_caught:
                return
