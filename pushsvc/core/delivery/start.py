"""Where a stream begins."""

from __future__ import annotations

import msgspec

from pushsvc.core.delivery.replay import Thinning
from pushsvc.core.model.cursor import Cursor

_PAST_POINTS = 13_500
"""Points of a thinned history, of all series together: some hundred KB, compressed."""
_FEWEST_POINTS = 40
"""Points of each series, however many series there are."""


class Start(msgspec.Struct, frozen=True):
    """Where a stream begins: after a cursor, or with a window of history, or with the newest."""

    since: Cursor | None = None
    window: float | None = None
    """Seconds of history for a client that has no cursor, or one of another epoch."""
    points: int | None = None
    """Points of each series that are enough for the whole window."""

    def shared_by(self, series: int) -> Start:
        """The same, with as many points as each of so many series is granted."""
        if self.points is None:
            return self
        share = max(_FEWEST_POINTS, _PAST_POINTS // max(1, series))
        return msgspec.structs.replace(self, points=min(self.points, share))

    @property
    def thinning(self) -> Thinning | None:
        """How that history is thinned; None if it isn't."""
        if self.points is None or self.window is None:
            return None
        return Thinning(self.points, max(1, round(self.window * 1000 / self.points)))
