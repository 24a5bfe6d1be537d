"""The hub: the catalog, the views, who watches them, and when each ticks.

Synchronous and without a clock: the caller says what time it is. `now` is seconds of a monotonic
clock, `time_ms` Unix milliseconds. The tasks that drive it are in `pushsvc.pipeline`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from math import inf

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Carrier
from pushsvc.core.delivery.debt import Debts
from pushsvc.core.delivery.directory import Directory
from pushsvc.core.delivery.replay import Describe, Replay
from pushsvc.core.delivery.schedule import Schedule
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import PollingSubscriber, Subscriber
from pushsvc.core.delivery.view import View, ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import shorten
from pushsvc.core.resources.account import NOBODY, Account
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.standing.asked import Asked, Expression
from pushsvc.core.standing.results import Standing
from pushsvc.core.standing.standings import Standings
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import History
from pushsvc.core.storage.holdings import Holdings
from pushsvc.errors import Malformed, Overloaded, Rejected, Unknown

_RETRY_MS = 3_000
"""Milliseconds, with jitter of half as many in both directions, after which an EventSource
reconnects by itself."""

_STEP = 1.0
"""Seconds between two steps of an expression, for a client that doesn't say."""

_LONGEST_STEP = 3600

_LINGER = 60.0
"""Seconds for which a view is kept that nobody watches: between two long polls nobody does."""

_SPOKEN_OF = 60.0
"""Seconds for which polls are told that the log is back."""


class Hub(Holdings):
    """One ordered stream of batches, fanned out to views."""

    def __init__(
        self,
        epoch: str,
        *,
        limits: Limits,
        retention: Retention,
        pacing: Pacing,
        make_session: Callable[[], str],
        first_debt: int = 1,
    ) -> None:
        """`first_debt` is where this process begins to number its debts, far from where any other
        process of this epoch does."""
        super().__init__(epoch, limits, retention)
        self.away: int | None = None
        """For how many seconds it hasn't been possible to reach the log; None while it is."""
        self._back = -inf  # when it was reached again, seconds of the monotonic clock
        self.views: dict[object, View] = {}
        self.subscribers: dict[str, Subscriber] = {}
        """By session."""
        self.accounts: Counter[Account] = Counter()
        """How many subscribers each has."""
        self._pacing = pacing
        self._make_session = make_session
        self._directory = Directory()
        self._schedule: Schedule[View] = Schedule()
        self._debts = Debts(first_debt)
        self.standings = Standings(self, limits, retention)

    def begin_anew(self, epoch: str) -> None:
        """Forget everything that was taken in, to begin with another log. All subscribers must have
        been ended before, as what they were given is of the old log."""
        self._close(list(self.views.values()))
        self.standings.begin_anew()
        super().begin_anew(epoch)

    @property
    def _watched(self) -> bool:
        return bool(self.views)

    def _show(self, series: Series) -> None:
        for view in self._directory.asked(series.identity):
            view.admit(series)
        self.standings.admit(series)

    def _hide(self, series: Series) -> None:
        self.standings.dismiss(series)

    def _redescribe(self, series: Series) -> None:
        self.standings.note(series)

    # -- expressions -------------------------------------------------------------------------------

    def _reach(self, stamp: int, seq: int) -> Iterable[None]:
        return self.standings.reach(stamp, seq)

    @property
    def kept(self) -> float:
        """Seconds of the past that are kept."""
        return self._retention.seconds

    @property
    def series_last(self) -> float:
        """Seconds for which a series is known, at the most, of which nothing more comes."""
        return self._retention.seconds + self._retention.series_ttl

    def begin(self, spec: ViewSpec, now: float) -> Generator[None, None, None]:
        """Begin piece by piece with the expressions of a view, so that `hold` takes no long time:
        see `Standings.begin`. Raises like `hold`."""
        self._refuse_when_warming()
        yield from self.standings.begin(spec, lambda: self.close_idle(now, linger=0.0))

    def hold(self, spec: ViewSpec, now: float) -> Sequence[Standing]:
        """Have the expressions of a view worked out for a client that is about to watch it, and
        give them. Raises Overloaded, also while the log is being read, when their results so far
        aren't known yet."""
        self._refuse_when_warming()
        return self._view(spec, now).standings

    # -- dashboards come and go ------------------------------------------------------------------

    def grant(
        self,
        asked: Iterable[Asked],
        max_hz: float | None,
        merge: str | None,
        heartbeat: float | None = None,
        step: float | None = None,
    ) -> ViewSpec:
        """What is granted of what was asked for; `step` is in seconds. Raises Malformed and
        Rejected."""
        asked = list(asked)
        distinct = {one.text: one for one in asked}
        if len(distinct) > self._limits.selectors:
            raise Rejected(
                "selectors",
                f"{len(distinct)} selectors in one view, the limit is {self._limits.selectors} "
                "(limits.selectors)",
                limit="selectors",
            )
        if merge not in (None, "all", "last", "envelope"):
            raise Malformed("merge", f"merge must be all, last or envelope, not {shorten(merge)}")
        wanted = self._pacing.default_hz if max_hz is None else max_hz
        # Two digits are enough for anyone, and let specs that hardly differ share a view.
        hz = min(float(f"{max(wanted, 0.01):.2g}"), self._pacing.max_hz)
        ordered = [distinct[text] for text in sorted(distinct)]
        expressions = tuple(one for one in ordered if isinstance(one, Expression))
        return ViewSpec(
            tuple(one for one in ordered if not isinstance(one, Expression)),
            hz,
            merge or "all",  # type: ignore[arg-type]
            self._pacing.grant_heartbeat(heartbeat),
            expressions=expressions,
            written={one.written: one.text for one in asked if isinstance(one, Expression)},
            step=_step(step) if expressions else 0,
        )

    def admit(self, spec: ViewSpec, start: Start, now: float, account: Account = NOBODY) -> View:
        """The view that a client would be attached to, if there is room for it.

        `account` is the one that the client counts under.

        Raises Overloaded where there is none, Malformed for a cursor that this hub can't have
        given.
        """
        since = start.since
        if since is not None and self.is_ahead(since):
            raise Malformed(
                "cursor", f"cursor {since} is ahead of this hub, which is at {self.cursor}"
            )
        self.refuse_when_full()
        limits = self._limits
        most = limits.subscribers_per_address
        if account.identified:
            most = limits.subscribers_per_identity
        if self.accounts[account] >= most and account.name:
            self.counts["subscribers_refused"] += 1
            limit = f"subscribers_per_{account.kind}"
            raise Overloaded(
                limit,
                f"{most} subscribers are connected, the limit (limits.{limit}), of "
                f"{account.whose}{account.advice}",
                retry_after=5.0,
                limit=limit,
                **account.members,
            )
        return self._view(spec, now)

    def refuse_when_full(self) -> None:
        """Raise Overloaded if no other subscriber may be attached."""
        if not self.warm:
            self._refuse_when_warming()
        if len(self.subscribers) >= self._limits.subscribers:
            self.counts["subscribers_refused"] += 1
            raise Overloaded(
                "subscribers",
                f"{self._limits.subscribers} subscribers are connected, the limit "
                "(limits.subscribers)",
                retry_after=5.0,
                limit="subscribers",
            )

    def _refuse_when_warming(self) -> None:
        if not self.warm:
            raise Overloaded("warming", "the log is being read", retry_after=1.0)

    def subscribe(
        self,
        spec: ViewSpec,
        start: Start,
        carrier: Carrier,
        *,
        now: float,
        time_ms: int,
        describe: Describe = "all",
        greet: bool = True,
        transport: str = "",
        address: str = "",
        account: Account = NOBODY,
    ) -> Subscriber:
        """Attach a client to the view of its spec; replaying and attaching are one step.

        `describe` is as in Replay; `greet` says whether a `hello` comes first. Raises what `admit`
        raises.
        """
        view = self.admit(spec, start, now, account)
        start = start.shared_by(len(view.members))
        limit, wanted = self._pacing.replay_points, (start, describe)
        opening = view.opening(self.seq, wanted)
        if opening is None:
            opening = view.open(wanted, self._replay(view, start, describe, time_ms), limit)
        session = self._make_session()
        kind = PollingSubscriber if describe == "used" else Subscriber
        subscriber = kind(
            session,
            carrier,
            view,
            opening,
            replay_points=limit,
            hello=self._hello(session, spec, view, start.points) if greet else None,
            transport=transport,
            address=address,
            account=account,
            now=now,
        )
        self.subscribers[session] = subscriber
        self.accounts[account] += 1
        self._attach(subscriber, view, now)
        self.counts["subscribed"] += 1
        return subscriber

    def watch(
        self,
        session: str,
        spec: ViewSpec,
        window: float | None,
        points: int | None = None,
        *,
        now: float,
        time_ms: int,
    ) -> None:
        """Change what a live subscriber watches: a new `hello`, then the new view.

        Series that it watched already go on from its cursor, none lost or doubled; the others
        start with their newest sample, or with `window` seconds of history in about so many
        `points` each. Raises Unknown.
        """
        subscriber = self.subscribers.get(session)
        if subscriber is None:
            raise Unknown("session", "no stream has this session (any more)")
        old, view = subscriber.view, self._view(spec, now)
        seq = subscriber.position()[0]
        # What is new to the client is given as of the view's last tick or its own cursor, whichever
        # is later.
        settled = max(seq, view.seq)
        fresh = self._starts(view, window, time_ms, settled)
        starts: dict[int, int] = {}
        unknown = owing = False
        departed = [one for _, one in view.departed_since(seq)]
        for series in [*view.members.values(), *departed]:
            ref, history = series.ref, series.history
            rank = history.rank(seq)
            if ref in old.members or (ref not in view.members and old.covers(series)):
                first = subscriber.lacks(series)
                if first is None:
                    if rank is None:
                        continue  # the replay finds out that this past is lost, and says it
                    unknown, first = True, history.known
            elif ref in view.members:
                first = fresh[ref]
            else:
                first = _later(history, settled)
            if first != rank:
                starts[ref] = first
                owing = owing or (rank is not None and first < rank)
        debt = self._debts.incur(starts, unknown=unknown) if owing else None
        new = sum(ref not in old.members for ref in view.members)
        start = Start(None, window, points).shared_by(new)
        replay = Replay(
            view,
            since=seq,
            describe="all",
            starts=starts,
            debt=debt,
            thinning=start.thinning,
            continued=frozenset(old.members),
        )
        cursor = None if debt is None else Cursor(self.epoch, max(seq, 0), debt.number)
        hello = self._hello(session, spec, view, start.points, cursor)
        self._detach(subscriber, now)
        self._attach(subscriber, view, now)
        subscriber.move(view, replay, hello)
        subscriber.carrier.wake()

    def unsubscribe(self, subscriber: Subscriber, *, now: float) -> None:
        """Detach a client from its view and forget it. Doing it again does nothing."""
        if self.subscribers.pop(subscriber.session, None) is not None:
            self.accounts[subscriber.account] -= 1
            if not self.accounts[subscriber.account]:
                del self.accounts[subscriber.account]
            self._detach(subscriber, now)
            _count_client(self.counts, subscriber)

    def totals(self) -> Counter[str]:
        """All counts since the start, with what clients and views that are there have come to."""
        totals = self.counts.copy()
        for subscriber in self.subscribers.values():
            _count_client(totals, subscriber)
        for view in self.views.values():
            _count_view(totals, view)
        return totals

    def _attach(self, subscriber: Subscriber, view: View, now: float) -> None:
        if view.idle_since is not None:
            view.idle_since = None
            view.last_frame = now  # nobody was there to miss a heartbeat
        view.subscribers[subscriber.session] = subscriber
        view.transports[subscriber.transport] += 1
        self._schedule.plan_beat(view)

    def _detach(self, subscriber: Subscriber, now: float) -> None:
        view = subscriber.view
        if view.subscribers.pop(subscriber.session, None) is not None:
            view.transports[subscriber.transport] -= 1
            view.transports += Counter()  # without those that nobody has
        if not view.subscribers:
            view.idle_since = now

    def _hello(
        self,
        session: str,
        spec: ViewSpec,
        view: View,
        points: int | None,
        cursor: Cursor | None = None,
    ) -> Frame:
        # The `retry` of a goaway was for one reconnect only: this replaces it, with jitter by the
        # session.
        retry_ms = _RETRY_MS // 2 + zlib.crc32(session.encode()) % _RETRY_MS
        if cursor is not None or view.standings:
            return self._plain_hello(session, spec, view, points, cursor, retry_ms)
        greeting = view.greetings.get((points, self.away))
        if greeting is None:
            view.greetings.clear()
            greeting = wire.Greeting(self._plain_hello("", spec, view, points))
            view.greetings[points, self.away] = greeting
        return greeting.to(session, retry_ms)

    def _plain_hello(
        self,
        session: str,
        spec: ViewSpec,
        view: View,
        points: int | None,
        cursor: Cursor | None = None,
        retry_ms: int | None = None,
    ) -> Frame:
        return wire.hello(
            self.epoch,
            session,
            spec.heartbeat,
            max_hz=spec.max_hz,
            merge=spec.merge,
            select=spec.select,
            expressions=spec.written,
            points=points,
            kept=self._retention.seconds,
            cursor=cursor,
            away=self.away,
            failing=view.failing,
            retry_ms=retry_ms,
        )

    def _view(self, spec: ViewSpec, now: float) -> View:
        view = self.views.get(spec.key)
        if view is None:
            if len(self.views) >= self._limits.views:
                self.close_idle(now, linger=0.0)
            if len(self.views) >= self._limits.views:
                raise Overloaded(
                    "views",
                    f"{self._limits.views} different views are watched, the limit (limits.views); "
                    "ask for one that is, or come back",
                    retry_after=5.0,
                    limit="views",
                )
            standings = self.standings.of(spec, make_room=lambda: self.close_idle(now, linger=0.0))
            departed = [entry for entry in self.departed if spec.matches(entry[1].identity)]
            if standings:
                departed += [entry for one in standings for entry in one.departed]
                departed.sort(key=lambda entry: entry[0])
            view = View(
                spec,
                epoch=self.epoch,
                seq=self.seq,
                now=now,
                members=self.catalog.select(spec.selectors, spec.allowed),
                departed=departed,
                forgotten=max(
                    self.forgotten if spec.selectors else -1,
                    *[one.forgotten for one in standings],
                    -1,
                ),
                ring_frames=self._pacing.ring_frames,
                schedule=self._schedule,
                standings=standings,
            )
            self.views[spec.key] = view
            self._directory.add(view)
            self._known.forget_views()
        elif not view.pending:
            view.seq = self.seq
        return view

    def _replay(self, view: View, start: Start, describe: Describe, time_ms: int) -> Replay:
        since = start.since
        if since is not None and since.epoch == self.epoch:
            debt = None if since.debt is None else self._debts.get(since.debt)
            return Replay(
                view,
                since=since.seq,
                describe=describe,
                debt=debt,
                place=since.place,
                unknown=(since.debt is not None and debt is None)
                or since.seq < self.horizon
                or any(since.seq < standing.known for standing in view.standings),
            )
        # As of the last tick, so that a new client sees what the others see.
        starts = self._starts(view, start.window, time_ms, view.seq)
        lowest = min(
            (
                history.seq_at(ordinal)
                for ref, ordinal in starts.items()
                if ordinal < (history := view.members[ref].history).total
            ),
            default=view.seq + 1,
        )
        for _, series in view.departed_since(view.seq):
            starts[series.ref] = _later(series.history, view.seq)
        return Replay(
            view,
            since=min(lowest - 1, view.seq),
            describe=describe,
            starts=starts,
            told=view.seq,
            unknown=since is not None,
            thinning=start.thinning,
        )

    @staticmethod
    def _starts(view: View, window: float | None, time_ms: int, through: int) -> dict[int, int]:
        """For each series the ordinal of its newest sample as of batch `through`, or of the first
        one in the window."""
        starts = {}
        for ref, series in view.members.items():
            history = series.history
            end = history.total if history.last_seq <= through else history.after(through)
            start = history.newest(end)
            if start is None:
                # An ending, or nothing yet: then whatever comes later.
                start = end - 1 if end > history.first else _later(history, through)
            if window is not None:
                start = min(start, series.window_start(time_ms - round(window * 1000)))
            starts[ref] = start
        return starts

    # -- time passes -----------------------------------------------------------------------------

    def arrive(self, at: float | None) -> None:
        """Say when what is taken in next arrived (seconds of the monotonic clock)."""
        self._schedule.arrived = at

    @property
    def next_due(self) -> float:
        """When `tick` has something to do again; infinity if nothing is planned."""
        return self._schedule.next_due

    def tick(self, now: float, time_ms: int) -> Iterator[View]:
        """Tick the views that are due and give those that have new frames, one at a time.

        The caller may do other things between two of them.
        """
        for view in self._schedule.due(now):
            if self.views.get(view.key) is not view:
                continue  # closed meanwhile
            fresh = False
            if view.pending and now >= view.next_tick:
                fresh = view.tick(self.seq, now, self._pacing.replay_points, time_ms)
            elif view.subscribers and now >= view.last_frame + view.spec.heartbeat:
                # A slow view has heartbeats while it gathers, and those move no cursor.
                self._beat(view, now, time_ms)
                fresh = True
            if view.pending:
                self._schedule.plan_tick(view)
            if view.subscribers:
                self._schedule.plan_beat(view)
            if fresh:
                self.counts["ticks"] += 1
                yield view

    def _beat(self, view: View, now: float, time_ms: int) -> None:
        view.beat(view.seq if view.pending else self.seq, now, time_ms, self.away)

    def tell_away(self, away: int | None, now: float, time_ms: int) -> list[View]:
        """Have heartbeats say from now on for how many seconds the log has been away, or nothing of
        it (None). When it has just gone or come back, all views that are watched have a heartbeat
        at once; these are given."""
        told, self.away = self.away, away
        if (told is None) is (away is None):
            return []
        if away is None:
            self._back = now
        watched = [view for view in self.views.values() if view.subscribers]
        for view in watched:
            self._beat(view, now, time_ms)
        return watched

    def word_of_log(self, cursor: Cursor, now: float, time_ms: int) -> Frame | None:
        """A heartbeat for a long poll, which has none otherwise: while the log is away, and then
        until all clients that poll will have been told that it is back. None at other times."""
        if self.away is None and now - self._back > _SPOKEN_OF:
            return None
        return wire.heartbeat(cursor, cursor.seq, time_ms, self.away)

    def word_of_failing(self, view: View, cursor: Cursor) -> Frame | None:
        """Which expressions fail, for a long poll, which has no `hello`; None if none does."""
        failing = view.failing
        return wire.failing(cursor, cursor.seq, failing) if failing else None

    def flush(self, view: View, now: float) -> bool:
        """Tick a view at once, whatever its rate; tells whether it has new frames."""
        fresh = view.pending and view.tick(self.seq, now, self._pacing.replay_points)
        self.counts["ticks"] += fresh
        return fresh

    def close_idle(self, now: float, *, linger: float = _LINGER) -> None:
        """Close views that nobody has watched for so many seconds."""
        self._close(
            [
                view
                for view in self.views.values()
                if view.idle_since is not None and now - view.idle_since >= linger
            ]
        )

    def _close(self, views: list[View]) -> None:
        for view in views:
            _count_view(self.counts, view)
            view.close()
            del self.views[view.key]
            self._directory.remove(view)
        if views:
            self._known.forget_views()
        if any(view.standings for view in views):
            self.standings.drop_unwatched()


def _step(seconds: float | None) -> int:
    """Milliseconds from one step to the next. Raises Malformed."""
    step = _STEP if seconds is None else seconds
    if step != int(step) or not 1 <= step <= _LONGEST_STEP:
        raise Malformed("step", f"step must be whole seconds, from 1s to {_LONGEST_STEP}s")
    return int(step) * 1000


def _later(history: History, seq: int) -> int:
    """Ordinal of the first row after a batch, of those that are still known."""
    rank = history.rank(seq)
    return history.known if rank is None else rank


def _count_client(counts: Counter[str], subscriber: Subscriber) -> None:
    """Add up how often a client was given each kind of frame (the ladder in ARCHITECTURE.md)."""
    counts["frames"] += subscriber.frames
    counts["frames_late"] += subscriber.late
    counts["frames_replayed"] += subscriber.replayed
    counts["writes_blocked"] += subscriber.blocked
    counts["subscribers_overtaken"] += subscriber.overtaken


def _count_view(counts: Counter[str], view: View) -> None:
    counts["gaps"] += view.gaps
    counts["samples_lost"] += view.lost
