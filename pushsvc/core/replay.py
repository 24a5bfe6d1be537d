"""Everything a view holds since some point, as frames. There is no second way to the past.

First paint, reconnecting, changing transport, a reader that fell behind, a long poll and the tick
of a view are all a `Replay`, given out in slices that end between batches, so that the cursor of
every frame tells the truth: who has it has everything before it, and nothing after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from pushsvc.core import wire
from pushsvc.core.cursor import Cursor
from pushsvc.core.merge import Point, points
from pushsvc.core.wire import Frame

if TYPE_CHECKING:
    from pushsvc.core.catalog import Series
    from pushsvc.core.view import View

Describe: TypeAlias = Literal["all", "used", "changed"]
"""Which series a replay describes. all: every one, before its first points (a new connection).
used: those that its points are of (a long poll). changed: those that are new or changed since
(a connection that has been told of the others)."""

_DESCRIBED = 2_000
"""Series described in one frame; more come in several."""


class Replay:
    """What a view's series have had since a cursor, in slices."""

    def __init__(
        self,
        view: View,
        *,
        since: int,
        describe: Describe,
        starts: Mapping[int, int] | None = None,
        only: Iterable[Series] | None = None,
        departed_after: int | None = None,
        foreign: bool = False,
        floor: int = -1,
        time: int | None = None,
    ) -> None:
        """`since` is the seq that the client has; `starts` maps refs to ordinals before which
        nothing is wanted; `only` are the series that may have news (all of the view's if not
        said); `departed_after` is the number of the last departure that the client knows of (if
        not said, it may have missed all since `since`); with `foreign` the client's cursor was of
        another epoch. Frames up to seq `floor` carry no cursor: it would take the client back.
        Points are given `time` (Unix milliseconds), if they are of now.
        """
        self.cursor = since
        """Seq up to which everything has been given out."""
        self._view = view
        self._describe: Describe = describe
        self._starts = starts or {}
        self._only = only
        self._floor = floor
        self._time = time
        self._fresh = True
        self._described: set[int] = set()  # by "used"
        self._described_through = -1  # by "all"
        self._departed_after = (
            view.departed_before(since) if departed_after is None else departed_after
        )
        self._unknown = foreign or (departed_after is None and view.forgotten > since)

    def slice(self, through: int, limit: int, short: int | None = None) -> Iterator[Frame]:
        """Give out what comes next, of batches up to `through`, in about `limit` points at most, or
        `short` where that isn't all of it.

        Afterwards `cursor` is `through` or, where that was too much at once, before it. No batch
        is split. The frames must all be taken before anything else happens to the view.
        """
        described: list[Series] = []
        opening = self._fresh and self._describe == "all"
        if opening:
            described = list(self._view.members.values())
            self._described_through = max((s.described_seq for s in described), default=-1)
            for start in range(0, len(described) - _DESCRIBED, _DESCRIBED):
                part = described[start : start + _DESCRIBED]
                yield wire.points(None, self.cursor, part, [])
            described = described[(len(described) - 1) // _DESCRIBED * _DESCRIBED :]
        self._fresh = False

        departed = [series for _, series in self._view.departed_since(self._departed_after)]
        news = self._news([*self._candidates(), *departed])
        stop = self.cursor
        if through > stop:
            stop = self._stop(news, through, limit, limit if short is None else short)
        lost, merged = self._take(news, stop)
        if not opening:
            described = self._to_describe(news, stop)

        if lost is None or lost > 0:
            self._view.count_gap(lost)
            yield wire.gap(self._cursor(self.cursor), lost)
        if opening or described or merged:
            cursor = None if stop <= self._floor else self._cursor(stop)
            yield wire.points(
                cursor,
                self.cursor,
                described if opening or described else None,
                merged,
                self._time,
            )
        if departed and stop >= through:
            self._departed_after = self._view.departures
            yield wire.gone(self._cursor(stop), self.cursor, [series.ref for series in departed])
        self.cursor = max(stop, self.cursor)

    def _cursor(self, seq: int) -> Cursor:
        return Cursor(self._view.epoch, max(seq, 0))

    def _candidates(self) -> Iterable[Series]:
        return self._view.members.values() if self._only is None else self._only

    def _news(self, candidates: Iterable[Series]) -> list[tuple[Series, int]]:
        """Series with samples that the client lacks, and the ordinal of the first of them."""
        news = []
        for series in candidates:
            history = series.history
            if history.last_seq > self.cursor:
                start = history.rank(self.cursor)
                wanted = self._starts.get(series.ref, 0)
                if start is None:
                    start = history.known
                    self._unknown = self._unknown or wanted < start
                start = max(start, wanted)
                if start < history.total:
                    news.append((series, start))
        return news

    def _stop(self, news: list[tuple[Series, int]], through: int, limit: int, short: int) -> int:
        """`through` if there are at most `limit` samples; else the latest seq up to which there are
        at most `short`, one batch at least."""

        def count(stop: int) -> int:
            total = 0
            for series, start in news:
                history = series.history
                if history.last_seq <= stop:
                    total += history.total - max(start, history.first)
                else:
                    total += max(0, (history.rank(stop) or 0) - max(start, history.first))
            return total

        if count(through) <= limit:
            return through
        low, high = self.cursor, through
        while high - low > 1:
            middle = (low + high) // 2
            if count(middle) <= short:
                low = middle
            else:
                high = middle
        return low if count(low) else high

    def _take(self, news: list[tuple[Series, int]], stop: int) -> tuple[int | None, list[Point]]:
        """The points of samples up to `stop`, and how many of those samples were evicted."""
        view = self._view
        lost = 0
        merged: list[Point] = []
        for series, start in news:
            history = series.history
            end = history.total if history.last_seq <= stop else history.rank(stop)
            if end is None:
                continue  # that part of the past is unknown: said by the gap
            lost += max(0, min(end, history.first) - start)
            begin = max(start, history.first)
            if begin < end:
                times, values = history.rows(begin, end)
                merged.extend(
                    points(series.ref, series.kind, view.merge, view.span_ms, times, values)
                )
        unknown, self._unknown = self._unknown, False
        return (None if unknown else lost), merged

    def _to_describe(self, news: list[tuple[Series, int]], stop: int) -> list[Series]:
        if self._describe == "used":
            described = [
                series
                for series, start in news
                if series.ref not in self._described and series.history.seq_at(start) <= stop
            ]
            self._described.update(series.ref for series in described)
            return described
        through = max(self.cursor, self._described_through)
        return [series for series, _ in news if through < series.described_seq <= stop]
