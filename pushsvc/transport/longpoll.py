"""Long polling: an answer at once if there is news since the cursor, else when there is some."""

from __future__ import annotations

from collections.abc import Callable

import trio

from pushsvc.core import wire
from pushsvc.core.account import NOBODY, Account
from pushsvc.core.hub import Hub, Start
from pushsvc.core.subscriber import Subscriber
from pushsvc.core.view import Wish
from pushsvc.core.wire import Frame
from pushsvc.pipeline import now_ms
from pushsvc.transport.asgi import AsgiCarrier

_FRAMES = 16
"""Frames in one answer; a client that has more to catch up with asks again."""


async def poll(
    hub: Hub,
    wish: Wish,
    start: Start,
    carrier: AsgiCarrier,
    *,
    wait: float,
    hurry: Callable[[], None],
    address: str = "",
    account: Account = NOBODY,
    attached: Callable[[Subscriber], None],
) -> bytes:
    """Answer one poll within `wait` seconds: `{"id": CURSOR, "documents": [...]}`.

    The id is the cursor to ask with next, also when there was no news. While the service drains,
    the answer comes at once and its last document is the `goaway`.
    """
    subscriber = hub.subscribe(
        wish,
        start,
        carrier,
        now=trio.current_time(),
        time_ms=now_ms(),
        describe="used",
        greet=False,
        transport="longpoll",
        address=address,
        account=account,
    )
    attached(subscriber)
    hurry()
    frames: list[Frame] = []
    try:
        frame = await carrier.wait_frame(subscriber, wait)
        while frame is not None:
            frames.append(frame)
            if len(frames) == _FRAMES:
                break
            frame = subscriber.pull() if carrier.ending is None else None
    finally:
        hub.unsubscribe(subscriber, now=trio.current_time())
    if carrier.ending is not None and carrier.ending.retry_ms is not None:
        goaway = wire.goaway(carrier.ending.retry_ms)
        if not frames or frames[-1].json != goaway.json:
            frames.append(goaway)
    return b'{"id":"%b","documents":[%b]}' % (
        str(subscriber.id).encode(),
        b",".join(frame.json for frame in frames if not frame.quiet),
    )
