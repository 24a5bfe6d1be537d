"""What is kept of a log, and what may be dropped, computed from marks in it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_PARTS = 4
"""Snapshots divide the kept log into about this many parts. The log is longer than needed by one
part at most; each snapshot takes space."""


class Bounds(msgspec.Struct, frozen=True):
    """How much of the log is kept."""

    seconds: float
    """The log reaches back at least this long, by stamps, if the other bounds allow it."""
    bytes: int
    """The most bytes of entries."""
    samples: int | None = None
    """The most samples; None: no bound."""

    def exceeded(self, since: Mark, until: Mark) -> bool:
        """Whether there are too many bytes or samples between two marks."""
        return until.bytes - since.bytes > self.bytes or (
            self.samples is not None and until.samples - since.samples > self.samples
        )

    @property
    def part(self) -> Bounds:
        """The bounds of one part."""
        samples = None if self.samples is None else self.samples // _PARTS
        return Bounds(self.seconds / _PARTS, self.bytes // _PARTS, samples)


class Mark(msgspec.Struct, frozen=True):
    """A place in the log, after an entry, with the totals since the log began."""

    seq: int = 0
    stamp: int = 0
    """Unix milliseconds."""
    entries: int = 0
    samples: int = 0
    bytes: int = 0

    def seconds_to(self, later: Mark) -> float:
        return (later.stamp - self.stamp) / 1000


def choose_horizon(horizon: Mark, snapshots: Sequence[Mark], end: Mark, bounds: Bounds) -> Mark:
    """Where reading may begin from now on: the newest snapshot that is old enough, or the oldest
    one after which there is not too much. Snapshots are in order."""
    for mark in snapshots:
        if mark.seq > horizon.seq and (
            mark.seconds_to(end) >= bounds.seconds or bounds.exceeded(horizon, end)
        ):
            horizon = mark
    return horizon


def superfluous(horizon: Mark, snapshots: Sequence[Mark], bounds: Bounds) -> list[Mark]:
    """The snapshots that needn't be kept: those before the horizon, and those that lie close
    between two others. The newest is always kept."""
    part, gone, before = bounds.part, [], horizon
    for mark, after in zip(snapshots, [*snapshots[1:], None], strict=True):
        if mark.seq < horizon.seq or (
            mark.seq > horizon.seq
            and after is not None
            and not (before.seconds_to(after) > part.seconds or part.exceeded(before, after))
        ):
            gone.append(mark)
        else:
            before = mark
    return gone
