"""The hub: the catalog, the views, who watches them, and when each ticks.

Synchronous and without a clock: the caller says what time it is. `now` is seconds of a monotonic
clock, `time_ms` Unix milliseconds. The tasks that drive it are in `pushsvc.pipeline`.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from math import inf

import msgspec

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Carrier
from pushsvc.core.delivery.debt import Debts
from pushsvc.core.delivery.replay import Describe, Replay, Thinning
from pushsvc.core.delivery.schedule import Schedule
from pushsvc.core.delivery.subscriber import PollingSubscriber, Subscriber
from pushsvc.core.delivery.view import DEPARTURES, View, ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Batch, Rows, shorten
from pushsvc.core.query.selector import Selector
from pushsvc.core.resources.account import NOBODY, Account
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage import snapshot
from pushsvc.core.storage.catalog import Catalog, Series, Watcher, unfounded
from pushsvc.core.storage.columns import KnownColumns, KnownSeries
from pushsvc.core.storage.entry import Entry, pieces
from pushsvc.core.storage.gathering import Gathering
from pushsvc.core.storage.history import History
from pushsvc.core.storage.idempotency import IdempotencyKey, IdempotencyKeys
from pushsvc.core.storage.records import Records
from pushsvc.core.storage.sweeping import Sweeping
from pushsvc.errors import Malformed, Overloaded, Problem, Rejected, Unknown

_RETRY_MS = 3_000
"""Milliseconds, give or take a half, after which an EventSource is to come back by itself."""

_LINGER = 60.0
"""Seconds that a view nobody watches is kept: a long poll comes back to it."""

_SPOKEN_OF = 60.0
"""Seconds for which polls are told that the log is back."""

_COUNTABLE = 64
"""Rows of a series that is gone of which a gap can still say how many somebody lacks."""


class Refused(msgspec.Struct, frozen=True):
    """Rows that the hub would not take, and why."""

    rows: Rows
    problem: Problem


class Applied(msgspec.Struct, frozen=True):
    """What became of a batch: its samples, the cursor after it, how many watch them, and what was
    left out where that is allowed."""

    samples: int
    cursor: Cursor
    watchers: int
    refused: Sequence[Refused] = ()


_PAST_POINTS = 15_000
"""Points of a past that is thinned, of all series together: some hundred KB, once compressed."""
_FEWEST_POINTS = 40
"""Of each series, however many there are."""


class Start(msgspec.Struct, frozen=True):
    """Where a stream begins: after a cursor, or with a window of history, or with the newest."""

    since: Cursor | None = None
    window: float | None = None
    """Seconds of history wanted by who has no cursor, or one of another epoch."""
    points: int | None = None
    """Points of each series that are enough for all of the window."""

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


class Hub:
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
        self.epoch = epoch
        self.seq = 0
        """The newest batch."""
        self.away: int | None = None
        """For how many seconds the log can't be reached, so that nothing newer comes."""
        self._back = -inf  # when it was reached again, seconds of the monotonic clock
        self._gathering: Gathering | None = None  # while it isn't warm
        self.horizon = 0
        """The batch after which everything was taken in: what came before isn't known, but for
        what a snapshot told."""
        self.catalog = Catalog()
        self.views: dict[object, View] = {}
        self.subscribers: dict[str, Subscriber] = {}
        """By session."""
        self.accounts: Counter[Account] = Counter()
        """How many subscribers each has."""
        self.records = Records()
        """What is kept beside samples, by name."""
        self.counts: Counter[str] = Counter()
        """Events since the start, for `totals`; of clients and views, those that are gone."""
        self._limits = limits
        self._most = limits.series  # series that there may be, by the entry that is taken in
        self._pacing = pacing
        self._make_session = make_session
        self._schedule: Schedule[View] = Schedule()
        self._retention = retention
        self._sweeping = Sweeping(retention)
        self._idempotency_keys = IdempotencyKeys()
        self._known = KnownColumns()
        self._departed: deque[tuple[int, Series]] = deque(maxlen=DEPARTURES)
        self._forgotten = -1
        self._debts = Debts(first_debt)
        self._stamp = 0.0  # of the newest batch, in seconds
        self._ended: dict[int, Series] = {}
        """By ref, the series that have ended and not returned, in the order in which they did."""

    @property
    def cursor(self) -> Cursor:
        """The cursor of the newest batch."""
        return Cursor(self.epoch, self.seq)

    @property
    def warm(self) -> bool:
        """Whether all was taken in that there was to begin with; nobody is let in before."""
        return self._gathering is None

    def begin_warming(self) -> None:
        """What is taken in from now on is what there was to begin with: it comes to the same, but
        histories may lag behind until `finish_warming`."""
        self._gathering = Gathering()

    def finish_warming(self) -> None:
        """All of it was taken in."""
        self._settle()
        self._gathering = None

    def _settle(self) -> None:
        if self._gathering is not None:
            self._gathering.settle()

    @property
    def stamp(self) -> float:
        """When the newest entry came, seconds of the journal's clock."""
        return self._stamp

    # -- samples in --------------------------------------------------------------------------------

    def take(self, entry: Entry) -> Generator[None, None, Applied]:
        """Take in the entry that comes after the newest batch, piece by piece; returns what became
        of it. The caller may do other things between two pieces.

        Whether an entry is refused, and what of it, depends on it and those before it alone. Raises
        Rejected if it is; its seqs have passed all the same.
        """
        self._stamp = entry.stamp / 1000
        draft = entry.draft
        if draft.sweeps:
            self.sweep(entry.seq, self._stamp)
            return Applied(0, self.cursor, 0)
        if draft.change is not None:
            self._pass(entry)
            self.records.put(draft.change, entry.seq, entry.stamp)
            return Applied(0, self.cursor, 0)
        batch, self._most = draft.batch, draft.series or self._limits.series
        refused: list[Refused] = []
        try:
            if draft.once and (
                before := self._idempotency_keys.find(*_halves(draft.once), self._stamp)
            ):
                self._pass(entry)
                return Applied(before.samples, Cursor(self.epoch, before.seq), 0)
            known = self._known.find(batch, self.catalog)
            if known is not None:
                pass  # nothing of it can be refused
            elif draft.partial:
                batch, refused = self.sift(batch)
            else:
                self.check(batch)
        except Rejected:
            self._pass(entry)
            raise
        touched: dict[Watcher, None] = {}
        samples = watchers = 0
        gathering = self._gathering
        if gathering and known and not self.views and gathering.add(entry.seq, batch, known):
            samples = batch.series
            self.counts["samples"] += samples
            self.counts["batches"] += draft.width
            self._sweeping.hold(samples)
        elif batch.series:
            cut: Iterable[tuple[Batch, KnownSeries | None]]
            if draft.width == 1:
                cut = ((batch, known),)
            elif known is not None:
                cut = known.pieces(batch)
            else:
                cut = ((piece, None) for piece in pieces(batch))
            for seq, (piece, those) in enumerate(cut, entry.seq):
                if seq > entry.seq:
                    yield
                applied = self.apply(
                    seq, piece, self._stamp, checked=True, touched=touched, known=those
                )
                samples += applied.samples
                watchers = applied.watchers
        self._pass(entry)
        if draft.once:
            self._idempotency_keys.keep(
                IdempotencyKey(*_halves(draft.once), self._stamp, samples, self.seq)
            )
        return Applied(samples, self.cursor, watchers, tuple(refused))

    def _pass(self, entry: Entry) -> None:
        self.seq = entry.last
        self._sweeping.arrive(self._stamp, self.seq)

    def snapshot(self) -> Generator[None, None, bytes]:
        """Write down what a hub needs to go on from the newest batch, as `restore` reads it. The
        caller may do other things between two steps, but take nothing in."""
        self._settle()
        return snapshot.write(
            self.seq,
            self.catalog,
            list(self._ended),
            self._sweeping.dump(),
            self._idempotency_keys.dump(),
            self.records.dump(),
        )

    def restore(self, body: bytes) -> None:
        """Go on from where another hub was. This one must be new. Raises SnapshotError."""
        known = snapshot.read(body)
        self.seq = self.horizon = self._forgotten = known.seq
        self._ended = snapshot.restore(known, self.catalog, known.sweeping.share)
        self._sweeping.load(known.sweeping, self.catalog)
        self._idempotency_keys.load(known.once)
        self.records.load(known.records)

    def begin_anew(self, epoch: str) -> None:
        """Forget all that was taken in, to begin with another log. Subscribers are to be ended
        before; what they were given is of the old one."""
        self._close(list(self.views.values()))
        self.epoch, self.seq, self.horizon, self._forgotten = epoch, 0, 0, -1
        self.catalog = Catalog()
        self._sweeping = Sweeping(self._retention)
        self._idempotency_keys = IdempotencyKeys()
        self.records.load([])
        self._known = KnownColumns()
        self._ended.clear()
        self._departed.clear()
        self.begin_warming()  # nobody is let in before it goes on from a snapshot

    def check(self, batch: Batch) -> None:
        """Raise Rejected if any of the batch can't be applied; nothing is changed."""
        new: set[str] = set()
        for rows in batch.rows:
            series = self.catalog.get(rows.identity.text)
            if series is not None:
                if (conflict := series.conflict(rows, self._stamp)) is not None:
                    series.dispute(self._stamp)
                    self.catalog.version += 1
                    raise Rejected("kind", conflict, series=rows.identity.text)
            elif (reason := unfounded(rows)) is not None:
                raise Rejected("kind", reason, series=rows.identity.text)
            elif rows.stateful is not None:
                new.add(rows.identity.text)
        if new and len(new) > self._room(batch):
            raise Rejected(
                "series_limit",
                f"{len(new)} new series would make {len(self.catalog) + len(new)}, the limit is "
                f"{self._most} (limits.series)",
                limit="series",
            )

    def _room(self, batch: Batch) -> int:
        """How many series can be taken in: those that have ended give way to living ones, unless
        the same batch tells of them."""
        room = self._most - len(self.catalog)
        return room + len(self._ended) - len(self._returning(batch))

    def _returning(self, batch: Batch) -> set[str]:
        """Series that have ended, and that a batch has rows of."""
        if not self._ended:
            return set()
        texts = [rows.identity.text for rows in batch.rows]
        known = {text: series for text in texts if (series := self.catalog.get(text)) is not None}
        return {text for text, series in known.items() if series.ref in self._ended}

    def sift(self, batch: Batch) -> tuple[Batch, list[Refused]]:
        """The rows of a batch that can be applied, and those that can't; nothing is changed.

        Of new series beyond `limits.series` the first ones that fit are taken.
        """
        good: list[Rows] = []
        refused: list[Refused] = []
        new: set[str] = set()
        room: int | None = None
        for rows in batch.rows:
            text = rows.identity.text
            series = self.catalog.get(text)
            conflict = None
            if series is not None:
                conflict, code = series.conflict(rows, self._stamp), "kind"
                if conflict is not None:
                    series.dispute(self._stamp)
                    self.catalog.version += 1
            elif (conflict := unfounded(rows)) is not None:
                code = "kind"
            elif text not in new and rows.stateful is not None:
                room = self._room(batch) if room is None else room
                if len(new) < room:
                    new.add(text)
                else:
                    conflict, code = (
                        f"{text} would be a new series, and there are {self._most} (limits.series)",
                        "series_limit",
                    )
            if conflict is None:
                good.append(rows)
            else:
                refused.append(Refused(rows, Rejected(code, conflict, series=text)))
        return Batch(good), refused

    def apply(
        self,
        seq: int,
        batch: Batch,
        stamp: float,
        *,
        checked: bool = False,
        touched: dict[Watcher, None] | None = None,
        known: KnownSeries | None = None,
    ) -> Applied:
        """Take in batch `seq`, the one after the newest, and mark its views dirty.

        It arrived at `stamp`, seconds of the journal's clock. Rows that `check` would refuse are
        left out and counted; `checked` says that it has just let this batch pass. `touched` gathers
        the views over the pieces of one batch, so that watchers are those of the whole.
        """
        self.seq = seq
        self._stamp = stamp
        self._sweeping.arrive(stamp, seq)
        touched = {} if touched is None else touched
        samples = 0
        kept: set[str] | None = None
        rest = batch.rows if known is None else known.follow(seq, batch)
        if self._gathering is not None:
            self._gathering.part_with(rest, self.catalog)
        if known is not None:
            samples = batch.series - len(rest)
        for rows in rest:
            series = self.catalog.get(rows.identity.text)
            count = len(rows.times)
            said = rows.kind is not None or rows.unit is not None or rows.help is not None
            if series is None:
                if rows.stateful is None:
                    samples += count  # an ending of a series that isn't there
                    continue
                if len(self.catalog) >= self._most:
                    kept = self._returning(batch) if kept is None else kept
                    if not self._give_way(kept):
                        self.counts["samples_conflicting"] += count
                        continue
                series = self._create(rows, seq)
                said = False  # what else the rows say was taken in with them
            elif not checked and series.conflict(rows, self._stamp) is not None:
                self.counts["samples_conflicting"] += count
                continue
            history = series.history
            if not said:
                new = history.extend(seq, rows.times, rows.values, rows.given, rows.starts)
            else:
                new = series.append(seq, rows)
                self.catalog.version += series.described_seq == seq
            samples += count
            if new != count:
                self.counts["samples_repeated"] += count - new
            if history.endings:
                self._note_ending(series)
            fresh = new or series.described_seq == seq
            for view in series.views:
                touched[view] = None  # whose watchers the producer is told of, be it new or not
                if fresh:
                    view.dirty[series.ref] = series
        watchers = 0
        for view in touched:
            watchers += len(view.subscribers)
            view.plan_tick()
        self.counts["samples"] += samples
        self.counts["batches"] += 1
        self._sweeping.hold(samples)
        return Applied(samples, self.cursor, watchers)

    def _give_way(self, kept: set[str]) -> bool:
        """Let a series go that has ended and isn't one of `kept`; tells whether there is one."""
        for series in self._ended.values():
            if series.identity.text not in kept:
                self._dismiss(series)
                return True
        return False

    def _create(self, rows: Rows, seq: int) -> Series:
        series = self.catalog.add(rows, seq, self._sweeping.share)
        for view in self.views.values():
            view.admit(series)
        return series

    def _note_ending(self, series: Series) -> None:
        if series.history.ended is None:
            self._ended.pop(series.ref, None)
        else:
            self._ended.setdefault(series.ref, series)

    # -- dashboards come and go ------------------------------------------------------------------

    def grant(
        self,
        selectors: Iterable[Selector],
        max_hz: float | None,
        merge: str | None,
        heartbeat: float | None = None,
    ) -> ViewSpec:
        """What is granted of what was asked for. Raises Malformed and Rejected."""
        distinct = {selector.text: selector for selector in selectors}
        if len(distinct) > self._limits.selectors:
            raise Rejected(
                "selectors",
                f"{len(distinct)} selectors in one view, the limit is {self._limits.selectors} "
                "(limits.selectors)",
                limit="selectors",
            )
        if merge not in (None, "all", "last", "envelope"):
            raise Malformed("merge", f"merge must be all, last or envelope, not {shorten(merge)}")
        asked = self._pacing.default_hz if max_hz is None else max_hz
        # Two digits are enough for anyone, and let specs that hardly differ share a view.
        hz = min(float(f"{max(asked, 0.01):.2g}"), self._pacing.max_hz)
        return ViewSpec(
            tuple(distinct[text] for text in sorted(distinct)),
            hz,
            merge or "all",  # type: ignore[arg-type]
            self._pacing.grant_heartbeat(heartbeat),
        )

    def admit(self, spec: ViewSpec, start: Start, now: float, account: Account = NOBODY) -> View:
        """The view that a client would be attached to, if there is room for it.

        `account` is what it is counted under among others.

        Raises Overloaded where there is none, Malformed for a cursor that this hub can't have
        given.
        """
        since = start.since
        if since is not None and self.is_ahead(since):
            raise Malformed(
                "cursor", f"cursor {since} is ahead of this hub, which is at {self.cursor}"
            )
        self.refuse_when_full()
        limit = f"subscribers_per_{account.kind}"
        most: int = getattr(self._limits, limit)
        if self.accounts[account] >= most and account.name:
            self.counts["subscribers_refused"] += 1
            raise Overloaded(
                limit,
                f"{most} subscribers are connected, the limit (limits.{limit}), of "
                f"{account.whose}{account.advice}",
                retry_after=5.0,
                limit=limit,
                **account.members,
            )
        return self._view(spec, now)

    def is_ahead(self, cursor: Cursor) -> bool:
        """Whether a cursor is of this epoch, and of a batch that hasn't been."""
        return cursor.epoch == self.epoch and cursor.seq > self.seq

    def refuse_when_full(self) -> None:
        """Raise Overloaded when not one subscriber more may be attached."""
        if not self.warm:
            raise Overloaded("warming", "the log is being read", retry_after=1.0)
        if len(self.subscribers) >= self._limits.subscribers:
            self.counts["subscribers_refused"] += 1
            raise Overloaded(
                "subscribers",
                f"{self._limits.subscribers} subscribers are connected, the limit "
                "(limits.subscribers)",
                retry_after=5.0,
                limit="subscribers",
            )

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
        opening = view.open(
            self.seq,
            (start, describe),
            self._pacing.replay_points,
            lambda: self._replay(view, start, describe, time_ms),
        )
        session = self._make_session()
        kind = PollingSubscriber if describe == "used" else Subscriber
        subscriber = kind(
            session,
            carrier,
            view,
            opening,
            replay_points=self._pacing.replay_points,
            hello=self._hello(session, spec, start.points) if greet else None,
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
        # What is new to the client is given as of the view's last tick, or as of its own cursor.
        settled = max(seq, view.seq)
        fresh = self._starts(view, window, time_ms, settled)
        starts: dict[int, int] = {}
        unknown = owing = False
        departed = [one for _, one in view.departed_since(seq)]
        for series in [*view.members.values(), *departed]:
            ref, history = series.ref, series.history
            rank = history.rank(seq)
            if ref in old.members or (
                ref not in view.members and old.spec.matches(series.identity)
            ):
                first = subscriber.lacks(series)
                if first is None:
                    if rank is None:
                        continue  # the replay finds that out, and says it
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
        hello = self._hello(session, spec, start.points, cursor)
        self._detach(subscriber, now)
        self._attach(subscriber, view, now)
        subscriber.move(view, replay, hello)
        subscriber.carrier.wake()

    def unsubscribe(self, subscriber: Subscriber, *, now: float) -> None:
        """Let go of a client. Doing it again does nothing."""
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
        self._schedule.plan_beat(view)

    def _detach(self, subscriber: Subscriber, now: float) -> None:
        view = subscriber.view
        view.subscribers.pop(subscriber.session, None)
        if not view.subscribers:
            view.idle_since = now

    def _hello(
        self, session: str, spec: ViewSpec, points: int | None, cursor: Cursor | None = None
    ) -> Frame:
        return wire.hello(
            self.epoch,
            session,
            spec.heartbeat,
            max_hz=spec.max_hz,
            merge=spec.merge,
            select=[selector.text for selector in spec.selectors],
            points=points,
            kept=self._retention.seconds,
            cursor=cursor,
            # The `retry` of a goaway was for one reconnect only: this replaces it, with jitter by
            # the session.
            away=self.away,
            retry_ms=_RETRY_MS // 2 + zlib.crc32(session.encode()) % _RETRY_MS,
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
            view = View(
                spec,
                epoch=self.epoch,
                seq=self.seq,
                now=now,
                members=self.catalog.select(spec.selectors, spec.allowed),
                departed=[entry for entry in self._departed if spec.matches(entry[1].identity)],
                forgotten=self._forgotten,
                ring_frames=self._pacing.ring_frames,
                schedule=self._schedule,
            )
            self.views[spec.key] = view
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
                unknown=(since.debt is not None and debt is None) or since.seq < self.horizon,
            )
        # As of the last tick: so they see what those see who are there already.
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
        """Have heartbeats say from now on for how many seconds the log has been away. Gives the
        views that have one at once: all that are watched, where it has gone or is back."""
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
        """A heartbeat for a poll, which has none, while the log is away, and so long afterwards
        that all who poll will have been told that it is back."""
        if self.away is None and now - self._back > _SPOKEN_OF:
            return None
        return wire.heartbeat(cursor, cursor.seq, time_ms, self.away)

    def flush(self, view: View, now: float) -> bool:
        """Tick a view at once, whatever its rate; tells whether it has new frames."""
        fresh = view.pending and view.tick(self.seq, now, self._pacing.replay_points)
        self.counts["ticks"] += fresh
        return fresh

    def sweep(self, seq: int, stamp: float) -> bool:
        """Drop samples that are too old or too many, and let silent series go, as entry `seq`, of
        `stamp`, says. That their going has a seq lets a cursor tell whether its holder knows of it.

        Looks at some thousand series a call. One about once a second is enough; tells whether
        another had better come sooner.
        """
        self.seq = seq
        self._stamp = stamp
        self._sweeping.arrive(stamp, seq)
        self.records.expire(round(stamp * 1000))
        for series in self._sweeping.sweep(self.catalog, stamp, self._gathering):
            self._dismiss(series)
        return self._sweeping.behind

    @property
    def behind(self) -> bool:
        """Whether more samples are held than should be, so that sweeps had better come sooner."""
        return self._sweeping.behind

    def _dismiss(self, series: Series) -> None:
        """Let a series go with the batch that is being applied."""
        self.catalog.remove(series)
        self._ended.pop(series.ref, None)
        series.history.retire(_COUNTABLE)
        if len(self._departed) == self._departed.maxlen:
            self._forgotten = self._departed[0][0]
        self._departed.append((self.seq, series))
        for view in series.views:
            view.dismiss(series, self.seq)
            view.plan_tick()
        series.views.clear()
        self.counts["series_gone"] += 1

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


def _halves(once: bytes) -> tuple[bytes, bytes]:
    return once[:16], once[16:]


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
