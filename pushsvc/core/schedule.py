"""When each view is to be looked at next."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from pushsvc.core.view import View


class Schedule:
    """A view stands here twice at most: for its next tick, and to see whether it has been quiet.

    The second isn't moved with each frame but looks again when its time has come.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, View, bool]] = []  # at, order, view, for a beat?
        self._order = 0  # tie-break

    def __len__(self) -> int:
        return len(self._entries)

    def plan_tick(self, view: View) -> None:
        """Look at a view when it may tick again."""
        if not view.tick_planned:
            view.tick_planned = True
            self._plan(view.next_tick, view, beat=False)

    def plan_beat(self, view: View) -> None:
        """Look at a view when it has been quiet for a heartbeat, if it has."""
        if not view.beat_planned:
            view.beat_planned = True
            self._plan(view.last_frame + view.wish.heartbeat, view, beat=True)

    def _plan(self, at: float, view: View, *, beat: bool) -> None:
        self._order += 1
        heapq.heappush(self._entries, (at, self._order, view, beat))

    @property
    def next_due(self) -> float:
        """When there is something to look at again; infinity if nothing is planned."""
        return self._entries[0][0] if self._entries else float("inf")

    def due(self, now: float) -> Iterator[View]:
        """Take out what is due, one view at a time; it may be planned again meanwhile."""
        while self._entries and self._entries[0][0] <= now:
            _, _, view, beat = heapq.heappop(self._entries)
            if beat:
                view.beat_planned = False
            else:
                view.tick_planned = False
            yield view
