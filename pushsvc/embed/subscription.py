"""Watching from within the process: a subscriber whose frames go to a task instead of a socket."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import trio

from pushsvc.app.http.context import CATCH_UP, Context
from pushsvc.client.errors import Busy
from pushsvc.client.events import Event, Reading, Series, decode
from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.merge import Merge
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Close, Frame
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.query.selector import EVERY_SERIES
from pushsvc.core.standing.asked import read_asked
from pushsvc.embed.errors import translated
from pushsvc.errors import Malformed, Overloaded
from pushsvc.pipeline import now_ms
from pushsvc.transport.inbound import Watch, apply_watch, check_points


class _Carrier:
    """Wakes the receiving task. A slow receiver uses no memory here, and is never disconnected."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.news = trio.Event()

    def wake(self) -> None:
        self.news.set()

    def end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.news.set()

    def stalled_since(self) -> float | None:
        return None

    def abort(self) -> None:
        self.news.set()


class Frames:
    """The frames of one subscription, which goes on when the hub begins another log."""

    def __init__(
        self,
        context: Context,
        spec: ViewSpec,
        start: Start,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """Attaches at once, unless the cursor may be of entries that aren't read here yet. `begun`
        is called when refs begin anew. Raises Overloaded and Malformed like `Hub.subscribe`."""
        self.cursor = None if start.since is None else str(start.since)
        """The cursor of the frame that was given last."""
        self._context = context
        self._spec = spec
        self._start = start
        self._begun = begun
        self._carrier = _Carrier()
        self._subscriber: Subscriber | None = None
        self._farewell: list[Frame] | None = None
        self._broken = False
        self._receiving = False
        self._closed = False
        behind = context.shared and start.since is not None and context.hub.is_ahead(start.since)
        if not behind and context.pipeline.is_prepared(spec, start):
            self._attach()

    def watch(self, watch: Watch) -> None:
        """Change what is watched from now on. Raises Problem."""
        if self._subscriber is None:
            raise Overloaded("warming", "the log is being read", retry_after=1.0)
        context, now = self._context, trio.current_time()
        session, limits = self._subscriber.session, context.limits
        self._spec = apply_watch(
            context.hub, session, self._spec, watch, limits, now=now, time_ms=now_ms()
        )
        context.pipeline.wake_ticker()

    def close(self) -> None:
        self._closed = True
        self._detach()
        self._carrier.abort()

    async def next(self) -> Frame:
        """The next frame. Always checkpoints; no frame is lost if it is cancelled. Raises what
        `next_nowait` does, and trio.BusyResourceError where another task waits for it."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this subscription")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while (frame := self.next_nowait()) is None:
                if self._subscriber is None:
                    await self._attach_later()
                else:
                    self._carrier.news = trio.Event()
                    await self._carrier.news.wait()
            return frame
        finally:
            self._receiving = False

    def next_nowait(self) -> Frame | None:
        """The next frame, if there is one already.

        Raises trio.EndOfChannel when the service was closed and every frame was given,
        BrokenResourceError when it ended otherwise, ClosedResourceError after `close`.
        """
        if self._closed:
            raise trio.ClosedResourceError("this subscription is closed")
        ending = self._carrier.ending
        if self._subscriber is not None and (ending is None or ending.flush):
            frame = self._subscriber.pull()
            if frame is not None:
                self.cursor = self.cursor if frame.cursor is None else str(frame.cursor)
                return frame
        if ending is None:
            return None
        self._detach()
        if ending.reason == "journal":  # the log has changed; the new one reports what is lost
            since = None if self.cursor is None else parse_cursor(self.cursor)
            self._start = Start(since, self._start.window, self._start.points)
            self._carrier = _Carrier()
            return None
        if self._farewell is None:
            self._farewell = wire.farewell(ending.reason, ending.message, ending.retry_ms)
            self._broken = ending.reason != "drain"
        if self._farewell:
            return self._farewell.pop(0)
        if self._broken:
            raise trio.BrokenResourceError("the service ended without being closed")
        raise trio.EndOfChannel("the service was closed")

    def _attach(self) -> None:
        self._begun()
        now = trio.current_time()
        self._subscriber = self._context.hub.subscribe(
            *(self._spec, self._start, self._carrier),
            now=now,
            time_ms=now_ms(),
            transport="local",
        )
        self._context.pipeline.wake_ticker()

    async def _attach_later(self) -> None:
        """Attach when the hub has read up to the cursor, and has room."""
        context, since = self._context, self._start.since
        if since is not None:
            with trio.move_on_after(CATCH_UP):
                while context.hub.is_ahead(since):
                    await context.pipeline.moved()
        while self._subscriber is None and not self._closed and self._carrier.ending is None:
            try:
                with translated():
                    await context.pipeline.prepare(self._spec, self._start)
                    if not self._closed:
                        self._attach()
            except Busy as busy:
                with trio.move_on_after(busy.retry_after):
                    await context.draining.wait()
                    self._carrier.end(Ending("drain", Close.RESTARTING))

    def _detach(self) -> None:
        if self._subscriber is not None:
            self._context.hub.unsubscribe(self._subscriber, now=trio.current_time())
            self._subscriber = None


class Subscription(trio.abc.ReceiveChannel[Event]):
    """The result of `Service.subscribe`: a channel of `pushsvc.Event`, for one task.

    Iterate over it, or `receive` one event at a time; `async with` closes it. Events are those of
    `pushsvc.client.connect`: `Points` (new samples, with their series), `Gap`, `Gone`, `Ended`,
    `Away`, `Back` and `Failing`. For a slow reader nothing is buffered: it gets what it missed from
    history, merged as `merge` says, and a `Gap` with the number of samples where history no longer
    has them.
    """

    def __init__(self, context: Context, spec: ViewSpec, start: Start) -> None:
        self._reading = Reading()
        self._events: deque[Event] = deque()
        self._frames = Frames(context, spec, start, self._reading.begin)
        self._before = self._frames.cursor

    @property
    def cursor(self) -> str | None:
        """The position up to which all events were received, to be passed as `since`, here or over
        the network; an opaque text. Before the first event it is the former `since`, or None."""
        return self._before if self._events else self._frames.cursor

    @property
    def series(self) -> Mapping[int, Series]:
        """The series that were described so far, by the service's number for each."""
        return self._reading.series

    def watch(
        self,
        select: str | Sequence[str],
        *,
        window: str | float | None = None,
        points: int | None = None,
        max_hz: float | None = None,
        merge: Merge | None = None,
        step: str | float | None = None,
    ) -> None:
        """Change what is watched. Parameters are those of `Service.subscribe`; what is None stays
        as it was.

        Series that were watched before continue without loss or duplicates; others begin with their
        newest sample, or with `window` of their history. Doesn't checkpoint. Raises Refused for
        invalid parameters, and Busy while the log is being read anew.
        """
        with translated():
            changes = Watch(_selectors(select), window, points, max_hz, merge, step=step)
            self._frames.watch(changes)

    async def receive(self) -> Event:
        """The next event; waits for one. Always checkpoints; no event is lost if it is cancelled.

        Raises trio.EndOfChannel when the service was closed, or drained, and all events before that
        were received: an `async for` ends. BrokenResourceError when the service ended in another
        way, ClosedResourceError after `aclose`, BusyResourceError where another task is receiving;
        Refused, some seconds later, for a `since` that is ahead of a log that other processes write
        as well.
        """
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            self._before = self._frames.cursor
            self._take(await self._frames.next())
        return self._events.popleft()

    def receive_nowait(self) -> Event:
        """The next event, if there is one already. Raises trio.WouldBlock if there isn't, and what
        `receive` raises."""
        while not self._events:
            self._before = self._frames.cursor
            frame = self._frames.next_nowait()
            if frame is None:
                raise trio.WouldBlock
            self._take(frame)
        return self._events.popleft()

    def _take(self, frame: Frame) -> None:
        self._events.extend(self._reading.take(decode(frame.json)))

    async def aclose(self) -> None:
        """Unsubscribe. Idempotent; always checkpoints."""
        self._frames.close()
        await trio.lowlevel.checkpoint()


class DocumentSubscription(trio.abc.ReceiveChannel[bytes]):
    """The result of `Service.subscribe_documents`: a channel of single documents as they go over
    the wire, JSON in UTF-8, for one task. All subscriptions that watch the same get the same
    objects."""

    def __init__(self, context: Context, spec: ViewSpec, start: Start) -> None:
        self._frames = Frames(context, spec, start)

    @property
    def cursor(self) -> str | None:
        """The `id` that was received last; None before the first."""
        return self._frames.cursor

    async def receive(self) -> bytes:
        """The next document, `hello` first; waits for one. When the service is closed the last is
        `goaway`. Checkpoints and raises like `Subscription.receive`."""
        return (await self._frames.next()).json

    async def aclose(self) -> None:
        """Unsubscribe. Idempotent; always checkpoints."""
        self._frames.close()
        await trio.lowlevel.checkpoint()


def read(
    context: Context,
    select: str | Sequence[str],
    since: str | None,
    window: str | float | None,
    points: int | None,
    max_hz: float | None,
    merge: Merge | None,
    step: str | float | None,
) -> tuple[ViewSpec, Start]:
    """The view that these parameters ask for, read like the query of a stream. Raises Malformed and
    Rejected."""
    if max_hz is not None and not 0 < max_hz < math.inf:
        raise Malformed("max_hz", f"max_hz must be a positive number, not {max_hz!r}")
    check_points(points, window)
    asked = [read_asked(text, context.limits) for text in _selectors(select) or (EVERY_SERIES,)]
    return (
        context.hub.grant(
            asked, max_hz, merge, step=None if step is None else parse_duration(str(step), "step")
        ),
        Start(
            None if since is None else parse_cursor(since),
            None if window is None else parse_duration(str(window), "window"),
            points,
        ),
    )


def _selectors(select: str | Sequence[str]) -> list[str]:
    return [select] if isinstance(select, str) else list(select)
