"""A subscriber: one connected client, which costs a cursor and a place in its view's ring.

There is no queue per client. Whoever carries the bytes *pulls* the next frame when the client can
take it: the shared one if it is next and still in the ring, else a slice of replay. A client that
stalls therefore holds nothing, and catches up by the same call as everyone else.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from pushsvc.core.replay import Replay
from pushsvc.core.view import Opening, View
from pushsvc.core.wire import Frame


class Ending(msgspec.Struct, frozen=True):
    """Why a subscriber is ended by the server, and what its client is told."""

    reason: str
    """A slug for logs and metrics: `drain`, `stalled`, `refused`."""
    close_code: int
    retry_ms: int | None = None
    """When to come back, for a `goaway`."""
    message: str = ""
    flush: bool = False
    """Whether the client is given first what it is owed."""


class Carrier(Protocol):
    """How bytes reach a subscriber. Both calls are synchronous and never block."""

    def wake(self) -> None:
        """There may be something to pull. Called by the hub, once per tick at most."""

    def end(self, ending: Ending) -> None:
        """Tell the client why and close, at once if it takes no bytes. Further calls do nothing."""

    def stalled_since(self) -> float | None:
        """When the client stopped taking bytes (monotonic seconds); None while it takes them."""

    def abort(self) -> None:
        """Cut the connection without another byte."""


class Subscriber:
    """A cursor into a view. The hub makes it, its carrier pulls."""

    __slots__ = (
        "_limit",
        "_number",
        "_pending",
        "_replay",
        "address",
        "blocked",
        "carrier",
        "cursor",
        "frames",
        "late",
        "overtaken",
        "parted",
        "replayed",
        "session",
        "since",
        "transport",
        "view",
    )

    def __init__(
        self,
        session: str,
        carrier: Carrier,
        view: View,
        opening: Opening,
        *,
        replay_points: int,
        hello: Frame | None,
        transport: str,
        address: str,
        now: float,
    ) -> None:
        self.session = session
        self.address = address
        """Where its client is."""
        self.transport = transport
        self.since = now
        """When it was attached (monotonic seconds)."""
        self.carrier = carrier
        self.view = view
        self.cursor = opening.since
        """Seq of the newest batch that the client has been given."""
        self.frames = 0
        """Frames pulled so far."""
        self.late = 0
        """How many of them it was given from the view's ring when there was a newer one already."""
        self.blocked = 0
        """How often its socket took less than it was offered."""
        self.overtaken = 0
        """How often it fell so far behind that the ring no longer had its next frame."""
        self.parted = False
        """Whether it was told to go, since it takes no bytes."""
        self.replayed = 0
        """How many of them were replayed for this client alone."""
        self._limit = replay_points
        self._number = view.next_number  # of the next shared frame, for when there is no replay
        self._replay = opening.replay
        # Last first. Not a deque: an empty one is larger than all the rest of a subscriber.
        self._pending = list(reversed(opening.frames))
        if hello is not None:
            self._pending.append(hello)

    @property
    def behind(self) -> int:
        """Batches between what it was given and what its view has given out."""
        return max(0, self.view.seq - self.cursor)

    @property
    def catching_up(self) -> bool:
        """Whether it is given a replay of its own rather than the shared frames."""
        return self._replay is not None

    @property
    def is_current(self) -> bool:
        """Whether it has been given every frame there is."""
        return self._number == self.view.next_number and self._replay is None and not self._pending

    def pull(self) -> Frame | None:
        """The next frame for this client; None when it has everything there is."""
        if self._replay is None and not self._pending:
            # For nearly everyone, nearly always: the shared frame that was just made.
            view = self.view
            number = self._number
            if number == view.next_number:
                return None
            newest = number + 1 == view.next_number
            frame = view.newest if newest else view.frame(number)
            if frame is not None:
                if not newest:
                    self.late += 1
                self._number = number + 1
                if frame.seq > self.cursor:
                    self.cursor = frame.seq
                self.frames += 1
                return frame
            # Fell off the ring: the histories still know.
            self.overtaken += 1
            self._replay = Replay(view, since=self.cursor, describe="changed")
        self._refill()
        if not self._pending:
            return None
        frame = self._pending.pop()
        self.cursor = max(self.cursor, frame.seq)
        self.frames += 1
        self.replayed += 1
        return frame

    def move(self, view: View, replay: Replay, first: Frame) -> None:
        """Go over to another view. What is left of the old one is covered by `replay`."""
        self.view = view
        self._pending = [first]
        self._replay = replay

    def _refill(self) -> None:
        """Replay until there is a frame to take, the replay is done, or it must wait."""
        while self._replay is not None and not self._pending:
            replay, view = self._replay, self.view
            before = replay.cursor
            self._pending = list(replay.slice(view.seq, self._limit))
            self._pending.reverse()
            if not self._pending:
                self.cursor = max(self.cursor, replay.cursor)
            if replay.cursor == view.seq:
                # Replayed and attached in one step: the next shared frame starts exactly here.
                self._replay = None
                self._number = view.next_number
            elif replay.cursor == before:
                break  # the client is ahead of the view's last tick
