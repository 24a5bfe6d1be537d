"""Long polling: an answer at once if there is news since the cursor, otherwise when there is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.resources.account import NOBODY, Account
from pushsvc.pipeline import now_ms
from pushsvc.transport.asgi import AsgiCarrier

_LONGEST_AWAY = 5.0
"""Seconds that a poll waits at most while the log is away, so that its answer says so early."""
_FAILING = b'{"type":"failing"'
_FRAMES = 16
"""Frames in one answer; a client that has more to catch up with polls again."""


async def poll(
    hub: Hub,
    spec: ViewSpec,
    start: Start,
    carrier: AsgiCarrier,
    *,
    wait: float,
    hold: float = 0.0,
    wake_ticker: Callable[[], None],
    address: str = "",
    account: Account = NOBODY,
    attached: Callable[[Subscriber], None],
    switches: int = 0,
) -> bytes:
    """Answer one poll, after at least `hold` seconds and at most `wait` more: `{"id": CURSOR,
    "documents": [...]}`, with `"expressions"` if there are any. Until then it counts, and can be
    ended, like any subscriber.

    The id is the cursor for the next poll, also when there was no news. When the server ends the
    poll, the answer comes at once, and ends with what a stream would be told: `error`, or `goaway`
    while the service drains. A client that gets nothing else in such an answer keeps the cursor
    that it came with: one of this epoch would hide a gap that it hasn't been told of. All other ids
    contain `switches`.

    Each answer names the expressions that fail; if it names none, none fails. A heartbeat at the
    end says that the log is away, and for a while that it is back. A poll that waits is answered at
    once when the log goes away or comes back.
    """
    away = hub.away is not None
    subscriber = hub.subscribe(
        spec,
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
    wake_ticker()
    frames: list[Frame] = []
    try:
        await carrier.wait_end(hold)
        frame = await carrier.wait_frame(
            subscriber,
            min(wait, _LONGEST_AWAY) if away else wait,
            until=lambda: (hub.away is not None) is not away,
        )
        while frame is not None:
            frames.append(frame)
            if len(frames) == _FRAMES:
                break
            frame = carrier.take(subscriber)
    finally:
        hub.unsubscribe(subscriber, now=trio.current_time())
    told = _text(subscriber.id, switches)
    ending = carrier.ending
    frames = [frame for frame in frames if not frame.quiet]
    if ending is not None:
        if not ending.flush and not frames and start.since is not None:
            told = str(start.since).encode()
        frames += wire.farewell(ending.reason, ending.message, ending.retry_ms)
    else:
        cursor, now = subscriber.id, trio.current_time()
        failing = hub.word_of_failing(subscriber.view, cursor)
        if failing is not None:
            frames = [one for one in frames if not one.json.startswith(_FAILING)] + [failing]
        if (word := hub.word_of_log(cursor, now, now_ms())) is not None:
            frames.append(word)
    names = b',"expressions":%b' % msgspec.json.encode(spec.written) if spec.written else b""
    return b'{"id":"%b","documents":[%b]%b}' % (
        told,
        b",".join(_json(frame, switches) for frame in frames),
        names,
    )


def _text(cursor: Cursor, switches: int) -> bytes:
    return str(msgspec.structs.replace(cursor, switches=switches)).encode()


def _json(frame: Frame, switches: int) -> bytes:
    """A document; its id also says how often the client has switched between servers."""
    if not switches or frame.cursor is None:
        return frame.json
    # The id comes before any text that a producer chose, so the first match is the id.
    own, theirs = str(frame.cursor).encode(), _text(frame.cursor, switches)
    return frame.json.replace(b'"id":"%b"' % own, b'"id":"%b"' % theirs, 1)
