"""What is kept of a log, and what may go: worked out from marks in it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_PARTS = 4
"""Into so many parts, about, snapshots cut what is kept. The past is longer than it need be by one
of them at the most, and each costs room for what a hub knew then."""


class Bounds(msgspec.Struct, frozen=True):
    """How much is kept."""

    seconds: float
    """At least so far back, by stamps, as long as the others allow it."""
    bytes: int
    """Of entries, at the most."""
    samples: int | None = None
    """At the most."""

    def exceeded(self, since: Mark, until: Mark) -> bool:
        """Whether there is too much between two marks."""
        return until.bytes - since.bytes > self.bytes or (
            self.samples is not None and until.samples - since.samples > self.samples
        )

    @property
    def part(self) -> Bounds:
        """Those of one of the parts."""
        samples = None if self.samples is None else self.samples // _PARTS
        return Bounds(self.seconds / _PARTS, self.bytes // _PARTS, samples)


class Mark(msgspec.Struct, frozen=True):
    """A place in the log, after an entry: what there was until then, since the log began."""

    seq: int = 0
    stamp: int = 0
    """Unix milliseconds."""
    entries: int = 0
    samples: int = 0
    bytes: int = 0

    def seconds_to(self, later: Mark) -> float:
        return (later.stamp - self.stamp) / 1000


def choose_horizon(horizon: Mark, snapshots: Sequence[Mark], end: Mark, bounds: Bounds) -> Mark:
    """Where reading may begin from now on: the newest snapshot that lies far enough back, or the
    oldest after which there is not too much. Snapshots are in order."""
    for mark in snapshots:
        if mark.seq > horizon.seq and (
            mark.seconds_to(end) >= bounds.seconds or bounds.exceeded(horizon, end)
        ):
            horizon = mark
    return horizon


def superfluous(horizon: Mark, snapshots: Sequence[Mark], bounds: Bounds) -> list[Mark]:
    """The snapshots that needn't be kept: those before the horizon, and, but for the newest, those
    that lie close between two others."""
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
