"""When each view is to be looked at next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Planned(Protocol):
    """An item of a schedule. All times are seconds of the monotonic clock."""

    tick_planned: bool
    waiting_since: float | None
    """When what it has to deliver arrived, the earliest; None if it has nothing."""
    beat_planned: bool
    """Whether it is in the schedule for a heartbeat already."""

    @property
    def next_tick(self) -> float:
        """The earliest time of its next tick."""

    @property
    def next_beat(self) -> float:
        """When it will have been silent for a heartbeat."""


_Entry = TypeVar("_Entry", bound=Planned)


class Schedule(Generic[_Entry]):
    """A view has up to two entries: for its next tick, and for its next heartbeat.

    The second isn't moved with each frame: the view is looked at when its time comes, and planned
    anew.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, _Entry, bool]] = []  # at, order, view, for a beat?
        self._order = 0  # tie-break
        self.arrived: float | None = None
        """When what ticks are planned for now arrived, for those who measure; None if that isn't
        known."""

    def __len__(self) -> int:
        return len(self._entries)

    def plan_tick(self, view: _Entry) -> None:
        """Plan a tick at the earliest time that the view allows."""
        if view.waiting_since is None:
            view.waiting_since = self.arrived
        if not view.tick_planned:
            view.tick_planned = True
            self._plan(view.next_tick, view, beat=False)

    def plan_beat(self, view: _Entry) -> None:
        """Plan to look at whether a view has been silent for a heartbeat."""
        if not view.beat_planned:
            view.beat_planned = True
            self._plan(view.next_beat, view, beat=True)

    def _plan(self, at: float, view: _Entry, *, beat: bool) -> None:
        self._order += 1
        heapq.heappush(self._entries, (at, self._order, view, beat))

    @property
    def next_due(self) -> float:
        """The time of the next entry; infinity if there is none."""
        return self._entries[0][0] if self._entries else float("inf")

    def due(self, now: float) -> Iterator[_Entry]:
        """Take out the views that are due, one at a time; they may be planned again meanwhile."""
        while self._entries and self._entries[0][0] <= now:
            _, _, view, beat = heapq.heappop(self._entries)
            if beat:
                view.beat_planned = False
            else:
                view.tick_planned = False
            yield view
