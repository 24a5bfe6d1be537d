"""Everything a view holds since some point, as frames. There is no second way to the past.

First paint, reconnecting, changing transport, a reader that fell behind, a long poll and the tick
of a view are all a `Replay`, given out in slices that end between batches, so that the cursor of
every frame is exact: a client that has it has everything up to it, and nothing after.

If there is a debt, which is rows from before its cursor, a replay pays it first. Meanwhile the
cursor stays where it is, and says how much of the debt was paid.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.debt import Debt
from pushsvc.core.delivery.merge import NOTHING_GIVEN, Given, Merge, Point, points, rounded
from pushsvc.core.delivery.wire import Ended, Frame
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Value
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import is_ending

Describe: TypeAlias = Literal["all", "used", "changed"]
"""Which series a replay describes. all: every one, before its first points (a new connection).
used: those that its points are of (a long poll). changed: those that are new or changed since
(a connection that has been told of the others)."""

_DESCRIBED = 2_000
"""Series described in one frame; more come in several."""

_THINNED = 10
"""A slice takes so many times as many samples where they are merged into few points: each slice
ends a point of each series, and most of the cost is in the points."""


class Thinning(NamedTuple):
    """How a past is given in fewer points: those of series that have more than `points`."""

    points: int
    span_ms: int
    """Milliseconds that are merged into one point."""


class Source(Protocol):
    """What is replayed: a view, as far as this module needs to know it."""

    @property
    def epoch(self) -> str:
        """That of its cursors."""

    @property
    def merge(self) -> Merge:
        """How samples of one interval become points."""

    @property
    def span_ms(self) -> int:
        """Milliseconds of such an interval."""

    @property
    def seq(self) -> int:
        """The batch up to which ticks have given everything out."""

    @property
    def members(self) -> Mapping[int, Series]:
        """Its series, by ref."""

    @property
    def forgotten(self) -> int:
        """The seq of the newest departure that is no longer known."""

    @property
    def failing(self) -> Mapping[str, str]:
        """Why expressions have no results by now, by name."""

    @property
    def failing_seq(self) -> int:
        """The seq of the batch with which `failing` last changed."""

    def departed_since(self, seq: int) -> Iterator[tuple[int, Series]]:
        """Departures of batches later than `seq`, the newest first."""

    def count_gap(self, lost: int | None) -> None:
        """Count a gap that clients are told of."""


_News: TypeAlias = list[tuple[Series, int]]
"""Series with rows that the client lacks, and the ordinal of the first of them."""


class Replay:
    """What a view's series have had since a cursor, in slices."""

    def __init__(
        self,
        view: Source,
        *,
        since: int,
        describe: Describe,
        starts: Mapping[int, int] | None = None,
        debt: Debt | None = None,
        place: int = 0,
        only: Collection[Series] | None = None,
        told: int | None = None,
        unknown: bool = False,
        coarse: bool = False,
        thinning: Thinning | None = None,
        continued: Container[int] = (),
        time: int | None = None,
    ) -> None:
        """`since` is the seq up to which the client has everything. `starts` maps refs to ordinals
        before which nothing is wanted; a `debt`, which was paid up to the batch `place`, has such
        starts of its own, and says which rows from before the cursor are still to be given. `only`
        are the series that may have news (by default all of the view's). `told` is the seq up to
        which the client needn't be told of departures (by default `since`). `unknown` says that the
        client lacks more than can be counted, for instance as its cursor is of another epoch. If
        the replay is `coarse`, samples are merged however far apart they are. `thinning` is how
        that is merged which the view has given out already, whatever the view's own way of merging,
        except for series that are `continued` (by ref). `time` (Unix milliseconds) is written to
        the points; it is given if the samples have just come in.
        """
        self.cursor = since
        """Seq up to which everything has been given out, but for the debt."""
        self.debt = debt
        """What has yet to be paid."""
        self.place = place
        """Seq up to which the debt was paid."""
        self.starts: Mapping[int, int] = debt.starts if debt is not None else starts or {}
        """Ordinals before which nothing is wanted, by ref."""
        self.describe: Describe = describe
        self._view = view
        self._only = only
        self.time = time
        """What is written to the points, Unix milliseconds, if their samples have just come in."""
        self._span_ms = 1 << 62 if coarse else view.span_ms
        self._thinning = thinning
        self._past_end = view.seq
        self._continued = continued
        self._fresh = True
        self._known = since  # the client knows descriptions of up to this batch
        self._described: dict[int, int] = {}  # and by ref the batch of those given since
        self._settled = since if told is None else max(told, since)
        self._told = self._settled
        # The client is told what fails if that changed later; a new one knows it from the hello.
        self._failing_told = view.failing_seq if describe == "all" else self._settled
        self._unknown = unknown or (debt is not None and debt.unknown)
        if view.forgotten > self._settled:
            self._unknown = True

    @property
    def shared(self) -> bool:
        """Whether others with the same cursor would be given the very same next."""
        plain = self.debt is None and not self.starts and not self._unknown
        plain = plain and self._span_ms == self._view.span_ms and not self._thins
        return plain and self.describe != "all" and not self._described

    @property
    def _thins(self) -> bool:
        """Whether what comes next is of the past that is to be thinned."""
        owing = self.debt is not None or self.cursor < self._past_end
        return self._thinning is not None and owing

    def _thins_series(self, series: Series) -> bool:
        """Whether a series has more to be given of that past than points are wanted."""
        if not self._thins or self._thinning is None or series.ref in self._continued:
            return False
        history = series.history
        start = max(self.starts.get(series.ref, 0), history.first)
        return history.total - start > self._thinning.points

    def done(self, through: int) -> bool:
        """Whether all of the batches up to `through` was given out, and nothing beyond."""
        return self.debt is None and self.cursor == through

    def skip(self, through: int) -> None:
        """Count everything up to `through` as given: it was in a slice that is shared."""
        self._fresh = False
        self.cursor = self._told = self._failing_told = through

    def slice(self, through: int, limit: int, short: int | None = None) -> Iterator[Frame]:
        """Give out what comes next, of batches up to `through`, in about `limit` points at most, or
        `short` where that isn't all of it.

        Afterwards the replay is `done`, or there was too much for one slice, or the cursor is ahead
        of `through`. No batch is split. The frames must all be taken before anything else happens
        to the view.
        """
        if (frame := self._plain(through, limit)) is not None:
            yield frame
            return
        described: list[Series] | None = None
        if self._fresh and self.describe == "all":
            described = yield from self._describe_all()
        self._fresh = False
        departed = list(self._view.departed_since(max(self.cursor, self._settled)))
        departed.reverse()  # the oldest first
        unknown = self._unknown
        news = self._news(departed)
        low = self.cursor if self.debt is None else self.place
        high = through if self.debt is None else self.cursor
        stop = low
        if high > low:
            most = _THINNED if self._thins else 1
            if self._thins and self.debt is None:
                high = min(high, self._past_end)  # what is new isn't thinned
            stop = self._stop(news, low, high, limit * most, (short or limit) * most)
        else:
            # Nothing is given out now, so that a loss that was found isn't told yet either.
            self._unknown = unknown
        lost, merged, ended = self._take(news, stop)
        if described is None:
            described = self._to_describe(news, stop) or None

        if lost is None or lost > 0:
            self._view.count_gap(lost)
            yield wire.gap(self._at(low), lost)
        # A client that is cut off before its cursor moves is told again, of departures as of gaps.
        leaving = [
            series
            for seq, series in departed
            if self._told < seq <= through and self.starts.get(series.ref, 0) < series.history.total
        ]
        telling = described is not None or bool(merged) or bool(ended)
        # A loss within a debt is told once: a frame whose cursor is behind it has to follow.
        telling = telling or (self.debt is not None and lost != 0)
        if leaving:
            at = self._at(low if telling else stop)
            yield wire.gone(at, self.cursor, [series.ref for series in leaving])
        if telling:
            yield wire.points(self._at(stop), self.cursor, described, merged, self.time, ended)
        if self._failing_told < (changed := self._view.failing_seq) <= through:
            self._failing_told = changed
            yield wire.failing(self._at(stop), self.cursor, self._view.failing)
        self._told = max(self._told, through)
        if self.debt is None:
            self.cursor = max(stop, self.cursor)
        else:
            self.place = stop
            if stop >= self.cursor:
                self.debt = None

    def _plain(self, through: int, limit: int) -> Frame | None:
        """Everything up to `through` as one frame, if each series that may have news has just one
        new row and there is nothing else to tell: the usual case of a tick. None if it isn't so, or
        would take a search to tell; then nothing has changed."""
        only, cursor = self._only, self.cursor
        if only is None or self.debt is not None or self.starts or self._unknown or self._thinning:
            return None
        if self.describe != "changed" or self._described or len(only) > limit or through <= cursor:
            return None
        if next(iter(self._view.departed_since(max(cursor, self._settled))), None) is not None:
            return None
        if self._view.failing_seq > self._failing_told:
            return None
        members = self._view.members
        merged: list[Point] = []
        for series in only:
            row = series.history.only_row(cursor, through)
            if row is None or series.described_seq > self._known or series.ref not in members:
                return None
            merged.append((series.ref, *row))
        if not merged:
            return None
        self._fresh = False
        self.cursor = through
        self._told = max(self._told, through)
        return wire.points(self._at(through), cursor, None, merged, self.time)

    def _at(self, place: int) -> Cursor:
        """The cursor of a client that has been given everything up to `place`: of the debt if there
        is one, else of all there is."""
        epoch = self._view.epoch
        if self.debt is None:
            return Cursor(epoch, max(place, self.cursor, 0))
        if place >= self.cursor:
            return Cursor(epoch, max(self.cursor, 0))
        return Cursor(epoch, max(self.cursor, 0), self.debt.number, max(place, 0))

    def _news(self, departed: Iterable[tuple[int, Series]]) -> _News:
        members = self._view.members
        if self.debt is not None:
            owed = [members[ref] for ref in self.starts if ref in members]
            owed += [series for _, series in departed if series.ref in self.starts]
            return [
                (series, start)
                for series in owed
                if (start := self._start(series, self.place)) < series.history.total
            ]
        candidates = list(members.values() if self._only is None else self._only)
        candidates += [series for _, series in departed]
        return [
            (series, start)
            for series in candidates
            if series.history.last_seq > self.cursor
            and (start := self._start(series, self.cursor)) < series.history.total
        ]

    def _start(self, series: Series, seq: int) -> int:
        """Ordinal of the first row that the client lacks, having been given all up to `seq`."""
        start = series.history.rank(seq)
        wanted = self.starts.get(series.ref, 0)
        if start is None:
            start = series.history.known
            self._unknown = self._unknown or wanted < start
        return max(start, wanted)

    def _stop(self, news: _News, low: int, through: int, limit: int, short: int) -> int:
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
        high = through
        while high - low > 1:
            middle = (low + high) // 2
            if count(middle) <= short:
                low = middle
            else:
                high = middle
        return low if count(low) else high

    def _take(self, news: _News, stop: int) -> tuple[int | None, list[Point], list[Ended]]:
        """The points and endings of rows up to `stop`, and how many of those rows were evicted."""
        lost = 0
        merged: list[Point] = []
        ended: list[Ended] = []
        for series, start in news:
            history = series.history
            end = history.total if history.last_seq <= stop else history.rank(stop)
            if end is None:
                continue  # that part of the past is unknown, which the gap says
            lost += max(0, min(end, history.first) - start)
            begin = max(start, history.first)
            if begin < end:
                before = len(merged)
                if history.endings:
                    merged.extend(self._between_endings(series, begin, end, ended))
                else:
                    merged.extend(self._points(series, *history.rows(begin, end), begin))
                if series.kind == "gauge" and self._thins_series(series):
                    # The newest point is the present value: it isn't rounded.
                    until = len(merged) - (end == history.total)
                    merged[before:until] = rounded(merged[before:until])
        unknown, self._unknown = self._unknown, False
        return (None if unknown else lost), merged, ended

    def _points(
        self, series: Series, times: Sequence[int], values: Sequence[Value], begin: int
    ) -> Iterable[Point]:
        view = self._view
        merge: Merge = view.merge
        span_ms = self._span_ms
        if self._thins_series(series) and self._thinning is not None:
            merge, span_ms = "envelope", max(span_ms, self._thinning.span_ms)
        given: Given | None = NOTHING_GIVEN
        if series.kind == "counter" and merge != "all":
            given = series.history.among(begin, min(times))
        return points(series.ref, series.kind, merge, span_ms, times, values, given)

    def _between_endings(
        self, series: Series, begin: int, end: int, ended: list[Ended]
    ) -> Iterator[Point]:
        """The points of these rows, never merged across an ending; the endings are added to
        `ended`."""
        times, values = series.history.rows(begin, end)
        start = 0
        for index in range(len(times) + 1):
            if index == len(times) or is_ending(values[index]):
                if start < index:
                    part = times[start:index], values[start:index]
                    yield from self._points(series, *part, begin + start)
                if index < len(times):
                    ended.append((series.ref, times[index]))
                start = index + 1

    def _describe_all(self) -> Generator[Frame, None, list[Series]]:
        """Describe all members, the last of them in the frame that comes next."""
        described = list(self._view.members.values())
        self._described = {series.ref: series.described_seq for series in described}
        for start in range(0, len(described) - _DESCRIBED, _DESCRIBED):
            part = described[start : start + _DESCRIBED]
            yield wire.points(None, self.cursor, part, [])
        return described[(len(described) - 1) // _DESCRIBED * _DESCRIBED :]

    def _to_describe(self, news: _News, stop: int) -> list[Series]:
        """Those series with news up to `stop` that the client doesn't know, or knows with another
        description. They are described as they are now, whenever that was said."""
        described = []
        members = self._view.members
        for series, start in news:
            history = series.history
            rank = history.total if history.last_seq <= stop else history.rank(stop)
            if series.ref not in members or rank is None or rank <= start:
                continue  # it has left, or comes later
            if self.describe == "used":
                new = series.ref not in self._described
            else:
                new = series.described_seq > self._described.get(series.ref, self._known)
            if new:
                described.append(series)
                self._described[series.ref] = series.described_seq
        if self.describe != "used":
            described += self._redescribed(stop)
        return described

    def _redescribed(self, stop: int) -> Iterator[Series]:
        """Series whose description has changed, even if they have no new rows."""
        members = self._view.members.values() if self._only is None else self._only
        for series in members:
            if self._described.get(series.ref, self._known) < series.described_seq <= stop:
                self._described[series.ref] = series.described_seq
                yield series
