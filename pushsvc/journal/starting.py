"""How far a start is, for requests that come in the meantime."""

from __future__ import annotations

_SOONEST, _LATEST = 1.0, 10.0


class Starting:
    """The progress of a process that starts: it waits for a log, or reads it."""

    def __init__(self) -> None:
        self.detail = "the service starts"
        """In words, as part of a sentence."""
        self.percent: int | None = None
        """How much of the log has been read; None if that isn't known yet."""
        self.seconds_left: int | None = None
        """An estimate."""

    def wait_for(self, what: str) -> None:
        """Note that the start waits for this."""
        self.detail, self.percent, self.seconds_left = what, None, None

    def read(self, part: float, seconds: float) -> None:
        """Note that this part of the log (0 to 1) was read in `seconds`."""
        self.percent = int(100 * part)
        self.seconds_left = round(seconds * (1 - part) / part) if part > 0 else None
        self.detail = f"the log is being read: {self.percent} %"
        if self.seconds_left is not None:
            self.detail += f", about {self.seconds_left} s left"

    @property
    def retry_after(self) -> float:
        """Seconds after which a client should ask again."""
        left = _SOONEST if self.seconds_left is None else float(self.seconds_left)
        return min(max(left, _SOONEST), _LATEST)
