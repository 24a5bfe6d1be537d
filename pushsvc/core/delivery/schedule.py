"""When each view is to be looked at next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Planned(Protocol):
    """What stands in a schedule. All times are seconds of the monotonic clock."""

    tick_planned: bool
    beat_planned: bool
    """Whether it stands there for this already."""

    @property
    def next_tick(self) -> float:
        """Not before this time may it tick again."""

    @property
    def next_beat(self) -> float:
        """When it will have been quiet for a heartbeat."""


_Entry = TypeVar("_Entry", bound=Planned)


class Schedule(Generic[_Entry]):
    """A view stands here twice at most: for its next tick, and to see whether it has been quiet.

    The second isn't moved with each frame but looks again when its time has come.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, _Entry, bool]] = []  # at, order, view, for a beat?
        self._order = 0  # tie-break

    def __len__(self) -> int:
        return len(self._entries)

    def plan_tick(self, view: _Entry) -> None:
        """Look at a view when it may tick again."""
        if not view.tick_planned:
            view.tick_planned = True
            self._plan(view.next_tick, view, beat=False)

    def plan_beat(self, view: _Entry) -> None:
        """Look at a view when it has been quiet for a heartbeat, if it has."""
        if not view.beat_planned:
            view.beat_planned = True
            self._plan(view.next_beat, view, beat=True)

    def _plan(self, at: float, view: _Entry, *, beat: bool) -> None:
        self._order += 1
        heapq.heappush(self._entries, (at, self._order, view, beat))

    @property
    def next_due(self) -> float:
        """When there is something to look at again; infinity if nothing is planned."""
        return self._entries[0][0] if self._entries else float("inf")

    def due(self, now: float) -> Iterator[_Entry]:
        """Take out what is due, one view at a time; it may be planned again meanwhile."""
        while self._entries and self._entries[0][0] <= now:
            _, _, view, beat = heapq.heappop(self._entries)
            if beat:
                view.beat_planned = False
            else:
                view.tick_planned = False
            yield view
