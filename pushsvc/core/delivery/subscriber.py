"""A subscriber: one connected client, which costs a cursor and a place in its view's ring.

There is no queue per client. The carrier *pulls* the next frame when the client can take it: the
shared one if it is next and still in the ring, else a slice of replay. A client that stalls
therefore uses no memory, and catches up by the same call as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pushsvc.core.delivery.carrier import Carrier
from pushsvc.core.delivery.debt import Debt
from pushsvc.core.delivery.replay import Describe, Replay
from pushsvc.core.delivery.view import Opening, View
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.resources.account import Account
from pushsvc.core.storage.catalog import Series


class Subscriber:
    """A cursor into a view. The hub makes it, its carrier pulls."""

    __slots__ = (
        "_limit",
        "_number",
        "_pending",
        "_reached",
        "_replay",
        "account",
        "address",
        "agent",
        "blocked",
        "carrier",
        "cursor",
        "frames",
        "given",
        "late",
        "overtaken",
        "owner",
        "parted",
        "replayed",
        "session",
        "since",
        "transport",
        "view",
    )

    describe: ClassVar[Describe] = "changed"
    """Which series have to be described to it, once the stream has begun."""

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
        account: Account,
        now: float,
    ) -> None:
        self.session = session
        self.address = address
        """The address of its client."""
        self.account = account
        """The account that it counts against."""
        self.transport = transport
        self.since = now
        """When it was attached (monotonic seconds)."""
        self.carrier = carrier
        self.agent = ""
        """What its client calls itself; for the code that attached it, like the next."""
        self.owner: object = None
        """The owner of the stream, kept for the code that attached it; it isn't used here."""
        self.view = view
        self.cursor = opening.since
        """Seq of the newest batch that the client has."""
        self.given: Cursor | None = None
        """The last cursor that was given to it alone; shared frames have that of their seq."""
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
        self._reached = opening.reached  # the seq that it has with all that is pending
        self._replay = opening.replay
        # Last first. Not a deque: an empty one is larger than all the rest of a subscriber.
        self._pending = [*opening.frames]
        self._pending.reverse()
        if hello is not None:
            self._pending.append(hello)
        if opening.replay is None and self.describe == "used":
            self._replay = self._catch_up()

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

    @property
    def id(self) -> Cursor:
        """The cursor with which its client would come back now."""
        if self.given is not None and self.given.debt is not None:
            return self.given
        return Cursor(self.view.epoch, max(self.cursor, 0))

    def pull(self) -> Frame | None:
        """The next frame for this client; None when it has everything there is."""
        pending = self._pending
        if not pending and self._replay is None:
            view, number = self.view, self._number + 1
            missing = view.next_number - number
            if missing < 0:
                return None
            if not missing:
                frame = view.newest  # the usual case: the shared frame that was just made
            elif view.merge != "all" and missing >= view.second:
                frame = None  # older than a second, it would be, and the next one too
            else:
                frame = view.frame(number - 1)
            if frame is not None:
                if missing:
                    self.late += 1
                self._number = number
                if frame.seq > self.cursor:
                    self.cursor = frame.seq
                self.frames += 1
                return frame
            # Its next frame is no longer in the ring: the histories still have those samples, and
            # it gets them merged.
            self.overtaken += 1
            self._replay = self._catch_up(coarse=view.merge != "all")
        if not pending:
            self._refill()
            pending = self._pending
            if not pending:
                return None
        frame = pending.pop()
        if frame.seq > self.cursor:
            self.cursor = frame.seq
        if frame.cursor is not None:
            self.given = frame.cursor
        self.frames += 1
        self.replayed += 1
        return frame

    def _catch_up(self, *, coarse: bool = False) -> Replay:
        """What its view has had since what was given and is pending. `coarse`, it is merged to one
        point of each series: a client that takes less than there is gets the newest of it soon."""
        since = max(self.cursor, self._reached)
        return Replay(self.view, since=since, describe=self.describe, coarse=coarse)

    def position(self) -> tuple[int, Debt | None, int, Mapping[int, int]]:
        """Where it will be with all that is pending: the seq, the debt and up to which batch that
        was paid, and ordinals by ref before which nothing is wanted."""
        replay = self._replay
        if replay is None:
            return max(self.cursor, self._reached), None, 0, {}
        return replay.cursor, replay.debt, replay.place, replay.starts

    def lacks(self, series: Series) -> int | None:
        """Ordinal of the first row of a series that it has yet to be given, with all that is
        pending; None if that can no longer be known."""
        seq, debt, place, starts = self.position()
        wanted = starts.get(series.ref)
        rank = series.history.rank(seq if debt is None or wanted is None else place)
        return None if rank is None else max(rank, wanted or 0)

    def move(self, view: View, replay: Replay, first: Frame) -> None:
        """Go over to another view, after what is pending: `replay` begins where that ends."""
        self.view = view
        self._pending.insert(0, first)
        self._number = view.next_number
        self._reached = replay.cursor
        self._replay = replay

    def _refill(self) -> None:
        """Replay until there is a frame to take, the replay is done, or it must wait."""
        while self._replay is not None and not self._pending:
            replay, view = self._replay, self.view
            before = replay.cursor, replay.place
            self._pending = list(view.share(replay, self._limit))
            self._pending.reverse()
            self._reached = replay.cursor
            if not self._pending:
                self.cursor = max(self.cursor, replay.cursor)
                if replay.debt is None:
                    self.given = None
            if self.describe == "used":
                if not self._pending and (replay.cursor, replay.place) == before:
                    break  # all is told
            elif replay.done(view.seq):
                # Replayed and attached in one step: the next shared frame starts exactly here.
                self._replay = None
                if not self._pending:
                    self._beat()
                self._number = view.next_number
            elif (replay.cursor, replay.place) == before:
                # The client is ahead of its view's last tick: the next one is replayed for it.
                self._beat()
                break

    def _beat(self) -> None:
        """Hand on a heartbeat of the view, with the client's own cursor: that of the view is of
        a batch before it."""
        view = self.view
        if self._number < view.next_number:
            self._number = view.next_number
            if view.newest is not None and view.newest.quiet:
                self._pending = [view.newest.moved(self.id)]


class PollingSubscriber(Subscriber):
    """A client that polls. It keeps nothing of the answer before, so that each answer describes its
    series; shared frames, which describe only what is new, are not for it."""

    __slots__ = ()

    describe: ClassVar[Describe] = "used"
