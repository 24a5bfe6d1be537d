"""Removes what is too old or too much. All series are looked at in turn, some thousand in one
sweep, so that no sweep delays a tick. How far a round has got is part of a snapshot, since sweeps
are entries of the log like samples, and must give the same for everyone who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from pushsvc.core.resources.budget import Budget
from pushsvc.core.resources.limits import Retention
from pushsvc.core.storage.arrivals import Arrivals
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.gathering import Gathering
from pushsvc.core.storage.history import prune

_SWEEP = 5_000
"""Series looked at in one sweep."""
_Old: TypeAlias = tuple[int, int]
"""Seqs: of the newest entry whose rows are too old to be kept, and of the newest that no longer
keeps a series from counting as silent."""


class Round(msgspec.Struct, frozen=True):
    """How far the sweeping has got, for a snapshot."""

    marks: list[tuple[int, int]]
    left: list[int]
    """Refs of the series that are still to be looked at; those that have gone meanwhile keep their
    place."""
    share: int
    held: int
    arrived: int
    lengths: dict[int, int]


class Sweeping:
    """Drops samples that are too old or too many, and finds series that are silent."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._arrivals = Arrivals()
        self._budget = Budget(retention.total_samples, retention.samples)
        self._left: list[Series | None] = []  # None for one that had gone when a snapshot was made
        self._newest = -1  # seq of the newest entry that may have rows
        # Of the newest round, as it began: what was too old, and newest seq, share and number of
        # series.
        self._begun: tuple[_Old, tuple[int, int, int]] | None = None
        # What was too old when the last full round began, if nothing has changed since but by age.
        self._settled: _Old | None = None

    @property
    def share(self) -> int:
        """Samples that one series may hold, for now."""
        return self._budget.share

    @property
    def behind(self) -> bool:
        """Whether the next sweep should come soon."""
        return self._budget.overdrawn

    @property
    def begun(self) -> bool:
        """Whether a round has begun yet. After that a sweep may have the share to change, even if
        all series have gone."""
        return self._begun is not None

    def arrive(self, stamp: float, seq: int) -> None:
        """A batch came at `stamp`, seconds of the journal's clock."""
        self._arrivals.mark(stamp, seq)
        self._newest = seq
        self._settled = None

    def pass_time(self, stamp: float, seq: int) -> None:
        """An entry came that says that time has passed."""
        self._arrivals.mark(stamp, seq)

    def is_due(self, stamp: float) -> bool:
        """Whether a sweep at `stamp` may find something to do. While nothing comes, that is only so
        if something has become too old since all series were looked at."""
        return bool(self._left) or self._settled != self._old(stamp)

    def _old(self, stamp: float) -> _Old:
        before, newest = self._arrivals.before, self._newest
        return (
            min(newest, before(stamp - self._retention.seconds)),
            min(newest, before(stamp - self._retention.series_ttl)),
        )

    @property
    def arrivals(self) -> Arrivals:
        """When batches came."""
        return self._arrivals

    def hold(self, samples: int) -> None:
        """Note that so many more samples are held."""
        self._budget.arrive(samples)

    def sweep(
        self, catalog: Catalog, stamp: float, gathering: Gathering | None = None
    ) -> Iterator[Series]:
        """Look at the next series, some thousand, as of `stamp`. Gives those that are silent; the
        caller may remove each as it comes. `gathering` sweeps many at once while a log is read at a
        start."""
        ttl, seconds = self._retention.series_ttl, self._retention.seconds
        horizon = self._arrivals.before(stamp - seconds)
        silent = self._arrivals.before(stamp - ttl)
        old = self._old(stamp)
        self._arrivals.forget(stamp - max(seconds, ttl))
        if not self._left:
            self._budget.close()
            self._left = list(catalog)
            there = self._newest, self._budget.share, len(self._left)
            if self._begun is not None and self._begun[1] == there:
                self._settled = self._begun[0]
            self._begun = old, there
        due = self._left[-_SWEEP:]
        del self._left[-_SWEEP:]
        if gathering is not None:
            due = gathering.pass_over(len(self._left), due, horizon, silent, self._budget)
        here = [series for series in due if series is not None and series.listed]
        histories = [series.history for series in here]
        self._budget.note(prune(histories, horizon, self._budget.share))
        if silent >= 0:
            yield from [series for series in here if series.history.heard_seq <= silent]

    def dump(self) -> Round:
        return Round(
            self._arrivals.dump(),
            [0 if series is None else series.ref for series in self._left],
            *self._budget.dump(),
        )

    def load(self, standing: Round, catalog: Catalog) -> None:
        """Go on where another was."""
        self._arrivals.load(standing.marks)
        self._newest = standing.marks[-1][1] if standing.marks else -1
        self._begun = self._settled = None
        self._budget.load(standing.share, standing.held, standing.arrived, standing.lengths)
        by_ref = {series.ref: series for series in catalog}
        self._left = [by_ref.get(ref) for ref in standing.left]
