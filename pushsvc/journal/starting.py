"""How far a start has got, for who asks meanwhile."""

from __future__ import annotations

_SOONEST, _LATEST = 1.0, 10.0


class Starting:
    """What a process that starts is at: it waits for a log, or reads it."""

    def __init__(self) -> None:
        self.detail = "the service starts"
        """In words, as a part of a sentence."""
        self.percent: int | None = None
        """Of the log that was read; None where it isn't known yet."""
        self.seconds_left: int | None = None
        """About."""

    def wait_for(self, what: str) -> None:
        """It can't go on before this is there."""
        self.detail, self.percent, self.seconds_left = what, None, None

    def read(self, part: float, seconds: float) -> None:
        """So much of the log was read in so many seconds."""
        self.percent = int(100 * part)
        self.seconds_left = round(seconds * (1 - part) / part) if part > 0 else None
        self.detail = f"the log is being read: {self.percent} %"
        if self.seconds_left is not None:
            self.detail += f", about {self.seconds_left} s left"

    @property
    def retry_after(self) -> float:
        """Seconds after which to ask again."""
        left = _SOONEST if self.seconds_left is None else float(self.seconds_left)
        return min(max(left, _SOONEST), _LATEST)
