"""The carrier for connections that an ASGI server keeps: one task pulls, and awaits each send.

It works with any ASGI server. If the server can cut the connection (`abort`), a client that doesn't
read can be disconnected too: an ASGI `send` may be shielded from cancellation, and then no timeout
around it ever fires.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import Frame


class AsgiCarrier:
    """Hands out a subscriber's frames one at a time, in the task that sends them."""

    def __init__(self, cut: Callable[[], None] | None = None) -> None:
        """`cut` ends the connection at once, if the server offers that."""
        self.ending: Ending | None = None
        """Why the server ended the stream, once it has."""
        self._cut = cut
        self._news = trio.Event()
        self._sending_since: float | None = None
        self._farewell: list[Frame] | None = None

    # -- the hub's side ----------------------------------------------------------------------------

    def wake(self) -> None:
        self._news.set()

    def end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self._news.set()

    def stalled_since(self) -> float | None:
        return self._sending_since

    def abort(self) -> None:
        if self._cut is not None:
            self._cut()

    # -- the sending task's side -------------------------------------------------------------------

    async def next_frame(self, subscriber: Subscriber) -> Frame | None:
        """The next frame to send, waiting for one; None when the stream was ended.

        Always checkpoints: an ASGI send to a client that is gone returns without a checkpoint, and
        a loop around it would block the process. The caller counts as sending until it calls again.
        """
        self._sending_since = None
        await trio.lowlevel.checkpoint()
        while self.ending is None or self.ending.flush:
            frame = subscriber.pull()
            if frame is not None:
                self._sending_since = trio.current_time()
                return frame
            if self.ending is not None:
                break
            await self._news.wait()
            self._news = trio.Event()
        if self._farewell is None:
            self._farewell = wire.farewell(
                self.ending.reason, self.ending.message, self.ending.retry_ms
            )
        if self._farewell:
            self._sending_since = trio.current_time()
            return self._farewell.pop(0)
        return None

    def take(self, subscriber: Subscriber) -> Frame | None:
        """The next frame if there is one already; after an ending, only if that lets the rest be
        sent."""
        if self.ending is None or self.ending.flush:
            return subscriber.pull()
        return None

    async def wait_end(self, seconds: float) -> None:
        """Wait so many seconds, or until the stream is ended."""
        with trio.move_on_after(seconds):
            while self.ending is None:
                await self._news.wait()
                self._news = trio.Event()

    async def wait_frame(
        self, subscriber: Subscriber, seconds: float, until: Callable[[], bool] = lambda: False
    ) -> Frame | None:
        """A frame that is more than a heartbeat, if one comes within so many seconds.

        A frame that is there already is returned however short the time is. An ending ends the
        wait, and so does a wake when `until` is true.
        """
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(seconds):
            while True:
                while (frame := self.take(subscriber)) is not None:
                    if not frame.quiet:
                        return frame
                if self.ending is not None or until():
                    break
                await self._news.wait()
                self._news = trio.Event()
        return None
