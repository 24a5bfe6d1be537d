"""The tasks that drive the hub: batches from producers into the journal, and work due by time.

Long-lived tasks drive the hub, which is itself synchronous. `run_ingest` appends the batches in the
channel to the journal, and has the hub take in what it reads there. `run_ticks` wakes views when
they are due. `run_steps` has the steps of expressions end in time. `run_preparing` works out the
past of expressions for new streams. `run_sweeps` applies retention, and ends silent series and
stalled clients.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from math import ceil, floor, inf
from operator import attrgetter
from weakref import WeakKeyDictionary

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.view import Attached, View, ViewSpec
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch
from pushsvc.core.resources.account import Account
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.core.resources.quota import Quotas
from pushsvc.core.standing.past import Job, Past
from pushsvc.core.standing.results import Standing
from pushsvc.core.storage.entry import Draft
from pushsvc.core.storage.holdings import Applied, Refused
from pushsvc.core.storage.records import Change
from pushsvc.durations import Observed
from pushsvc.errors import Overloaded, Problem, TooMany
from pushsvc.journal import Journal, Nonces
from pushsvc.journal.starting import Starting
from pushsvc.log import get_logger
from pushsvc.pipeline import clock
from pushsvc.pipeline.background import Background
from pushsvc.pipeline.precedence import Precedence
from pushsvc.pipeline.reading import Reader
from pushsvc.pipeline.snapshots import Snapshots
from pushsvc.pipeline.submissions import Outcome, Submission, Submissions

_log = get_logger("pushsvc.pipeline")

_transport = attrgetter("transport")

_GROUP = 64
"""About how many seqs are appended to the journal together, if that many wait."""

_SHARE = 10.0
"""Seconds over which a producer's samples are averaged."""
_BLIP = 1.0
"""Seconds for which a journal may be away before dashboards are told; also the longest that
`prepare` waits for it."""
_LAST = 5.0
"""Seconds that the journal has at the end to take what is in the channel."""
_WOKEN = 256
"""Subscribers woken between two checkpoints: each may be a send."""

_SWEEPS = 20
"""The most sweeps in a second."""

_LEARNING = 2
"""How many expressions have their past worked out at the same time."""

_MOST_PREPARING = 1_000
"""The most streams that wait for the past of their expressions."""

_SPREAD = 0.1
"""Processes that share a log wait a random time, at most this many seconds, before they say that a
step is over: usually the first one says it for all."""


class Pipeline:
    """Carries batches from producers to the hub, and ticks its views.

    The channel holds `limits.ingest_queue` batches. When it stays full for `pacing.ingest_wait`
    seconds, a producer is told to send again later; no batch is applied in part.
    """

    def __init__(
        self,
        hub: Hub,
        journal: Journal,
        limits: Limits,
        pacing: Pacing,
        *,
        snapshot_interval: float = 300.0,
        snapshots: bool = True,
        starting: Starting | None = None,
    ) -> None:
        """If `snapshots` is set and the journal outlives the process, a snapshot is made every
        `snapshot_interval` seconds of its clock. `starting` is told how far the start is."""
        self.hub = hub
        self._journal = journal
        self._series = limits.series
        self._pacing = pacing
        self.quotas = Quotas(limits.samples_per_second, _SHARE)
        self._nonces = Nonces()
        self._pending = Submissions(hub, journal)
        self._snapshots = Snapshots(hub, journal, snapshot_interval, here=snapshots)
        self.observed = Observed()
        """How long what happens in this service takes."""
        self.precedence = Precedence(hub)
        """Whether frames are written: what else takes long in the loop waits for it."""
        self._reader = Reader(
            *(hub, journal, pacing, self._pending, self._snapshots),
            *(starting or Starting(), self.precedence, self.wake_ticker),
        )
        self._send, self._receive = trio.open_memory_channel[Submission](limits.ingest_queue)
        self._ingesting = trio.CancelScope()  # that of `run_ingest`
        self._learning = Background(_LEARNING)
        self._wanted, self._requests = trio.open_memory_channel[
            tuple[ViewSpec, Start, Callable[[Problem | None], None]]
        ](_MOST_PREPARING)
        self._preparing = 0  # how many streams wait, or are being prepared
        self._locks: WeakKeyDictionary[Standing, trio.Lock] = WeakKeyDictionary()
        self._due = trio.Event()  # set when something may be due earlier than `run_ticks` waits for
        self._planned_tick = -inf  # what `run_ticks` waits for; -inf while it looks
        self._stepped = trio.Event()  # set when the next step of expressions is another one
        self._planned_step = inf  # the step that `run_steps` waits for, Unix ms

    def statistics(self) -> trio.MemoryChannelStatistics:
        """How full the ingest channel is, and how many tasks wait for it."""
        return self._send.statistics()

    async def submit(
        self,
        batch: Batch,
        *,
        producer: Account | None = None,
        once: bytes = b"",
        refused: list[Refused] | None = None,
        tell: Callable[[Outcome], None] | None = None,
    ) -> Applied:
        """Apply a batch, all or nothing; returns when it is applied.

        `producer` is the account whose quota of samples is charged, if any. `once` is the
        idempotency key of a draft: a batch that was applied before under it is not applied again,
        and gets the same answer. With a list for `refused`, rows that the hub can't take are put
        there and the others are applied. Once the batch is in the channel it is applied even if the
        caller is cancelled; `tell` is called once with its outcome, whether or not the caller is
        still there. Raises Rejected if the hub can't take it, TooMany beyond the producer's quota,
        Overloaded when the hub is behind or the service is stopping.
        """
        draft = Draft(self._nonces(), batch, refused is not None, once, series=self._series)
        submission = Submission(draft, refused, tell)
        if not batch.series:
            nothing = Applied(0, self.hub.cursor, 0)
            submission.settle(nothing)
            await trio.lowlevel.checkpoint()
            return nothing
        if producer is not None:
            try:
                self.quotas.charge(producer, batch.count, trio.current_time())
            except TooMany:
                submission.settle(None)
                raise
        return await self._outcome(submission)

    async def submit_patiently(self, batch: Batch, once: bytes = b"") -> Applied:
        """Like `submit`, for callers in this process that set their own deadline: waits for room in
        the channel, and for a log that is away, without a limit."""
        if not batch.series:
            await trio.lowlevel.checkpoint()
            return Applied(0, self.hub.cursor, 0)
        draft = Draft(self._nonces(), batch, once=once, series=self._series)
        return await self._outcome(Submission(draft, patient=True))

    async def record(self, change: Change, tell: Callable[[Outcome], None] | None = None) -> int:
        """Change a record; returns when that is done, with the version that it made. `tell` works
        as in `submit`.

        Raises Rejected if it is refused (`record_version`, `records`), Overloaded like `submit`.
        """
        submission = Submission(Draft(self._nonces(), Batch([]), change=change), tell=tell)
        return (await self._outcome(submission)).cursor.seq

    async def catch_up(self, seq: int, seconds: float) -> None:
        """Wait until the hub has taken in everything up to `seq`, but at most `seconds`."""
        with trio.move_on_after(seconds):
            while self.hub.seq < seq:
                await self.moved()

    def record_nowait(self, change: Change, tell: Callable[[Outcome], None] | None = None) -> bool:
        """Put a change of a record in the channel without waiting; `tell` is called with its
        outcome. False, and nothing is changed, if the channel is full or the service is
        stopping."""
        return self._post(Submission(Draft(self._nonces(), Batch([]), change=change), tell=tell))

    async def _outcome(self, submission: Submission) -> Applied:
        await self._enqueue(submission)
        await submission.done.wait()
        if isinstance(submission.outcome, Problem):
            raise submission.outcome
        assert submission.outcome is not None
        return submission.outcome

    def _post(self, submission: Submission) -> bool:
        try:
            self._send.send_nowait(submission)
        except (trio.ClosedResourceError, trio.BrokenResourceError, trio.WouldBlock):
            return False  # the service is stopping, or behind
        self._pending.add(submission)
        return True

    async def _enqueue(self, submission: Submission) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._post(submission):
            return  # the usual case, without a deadline, which would double the cost
        entered = False
        self._pending.add(submission)
        try:
            with trio.fail_after(inf if submission.patient else self._pacing.ingest_wait):
                await self._send.send(submission)
            entered = True
        except trio.TooSlowError:
            self.hub.counts["ingest_overloaded"] += 1
            raise Overloaded(
                "ingest_queue",
                "the hub is behind: its ingest channel stayed full (limits.ingest_queue)",
                retry_after=1.0,
                limit="ingest_queue",
            ) from None
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise Overloaded("stopping", "the service is stopping", retry_after=2.0) from None
        finally:
            if not entered:
                self._pending.withdraw(submission)

    def close(self) -> None:
        """Take no more batches; `run_ingest` ends when those in the channel are applied, or after
        `_LAST` seconds."""
        self._send.close()
        self._ingesting.deadline = trio.current_time() + _LAST

    def give_up(self) -> None:
        """Answer all who still wait: no task drives the pipeline any more."""
        self._send.close()
        self._receive.close()
        self._pending.give_up()

    def wake_ticker(self) -> None:
        """Have the tasks that tick look at what is due again."""
        if self.hub.next_due < self._planned_tick:
            self._due.set()
        if self.hub.standings.next_step != self._planned_step:
            self._stepped.set()

    async def moved(self) -> None:
        """Wait until the hub takes in another entry."""
        await self._reader.moved()

    async def run_ingest(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Append what is submitted and take in what the journal has, until `close` was called and
        all that was in the channel has been answered.

        It has started when everything was taken in that the journal held at the beginning. Raises
        JournalError if that can't be read.
        """
        async with trio.open_nursery() as nursery:
            self._ingesting = nursery.cancel_scope
            await nursery.start(self._reader.run)
            task_status.started()
            if self._journal.keeps:
                nursery.start_soon(self._snapshots.run)
            await self._append()
            await self._pending.all_answered()
            nursery.cancel_scope.cancel()

    async def _append(self) -> None:
        """Append the submissions in the channel to the journal, those that wait in one group."""
        async with self._receive:
            async for first in self._receive:
                group = self._gather(first)
                for one in group:
                    one.handed = True
                try:
                    entries = await self._journal.append([one.draft for one in group])
                except Problem as problem:
                    for one in group:
                        self._pending.settle(one, one.taken or problem)
                else:
                    for one in group:
                        one.appended = True
                        if one.taken is not None:
                            self._pending.settle(one, one.taken)
                        elif one.doubtful:
                            self._pending.doubt(one)
                    self._pending.give_up_doubtful()
                    await self._reader.take_all(entries)

    def _gather(self, first: Submission) -> list[Submission]:
        """The submission, and those that wait behind it, up to about `_GROUP` seqs."""
        group, width = [first], first.draft.width
        while width < _GROUP:
            try:
                group.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            width += group[-1].draft.width
        return group

    async def run_ticks(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tick views when they are due, and wake the carriers of their subscribers."""
        task_status.started()
        hub = self.hub
        while True:
            # One scope as long as ticks come before their deadline, which costs less than one each.
            with trio.CancelScope() as scope:
                while not scope.cancel_called:
                    scope.deadline = inf
                    now = trio.current_time()
                    began = trio.current_time()
                    for view in hub.tick(now, clock.now_ms()):
                        self.precedence.begin()
                        await self._wake(view)
                        self.observed.ticks.of().add(trio.current_time() - began)
                        if hub.next_due <= now:
                            await trio.lowlevel.checkpoint()
                        began = trio.current_time()
                    self.precedence.end()
                    self._due = trio.Event()
                    self._planned_tick = scope.deadline = hub.next_due
                    try:
                        await self._due.wait()
                    finally:
                        self._planned_tick = -inf

    async def _wake(self, view: View) -> None:
        since = view.told_since
        subscribers = list(view.subscribers.values())
        for start in range(0, len(subscribers), _WOKEN):
            if start:
                await trio.lowlevel.checkpoint()
            some = subscribers[start : start + _WOKEN]
            for subscriber in some:
                subscriber.carrier.wake()
            if since is not None:
                self._observe(view, some, trio.current_time() - since)

    def _observe(self, view: View, some: Sequence[Attached], seconds: float) -> None:
        """Note that these had a frame so long after what it tells arrived."""
        of = self.observed.deliveries.of
        if len(view.transports) == 1:  # the usual case, in which nobody is asked
            [transport] = view.transports
            of(transport).add(seconds, len(some))
            return
        for transport, count in Counter(map(_transport, some)).items():
            of(transport).add(seconds, count)

    async def run_steps(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """While expressions are watched, append an empty batch soon after a step is over, if no
        other entry has shown that it is."""
        task_status.started()
        hub = self.hub
        said: Submission | None = None
        while True:
            self._stepped = trio.Event()
            step = self._planned_step = hub.standings.next_step
            if step == inf:
                await self._stepped.wait()
                continue
            # Where several processes read the log, the first one says it for all.
            spread = random.random() * _SPREAD if self._journal.keeps else 0.0
            with trio.move_on_at((step - self._reader.clock_ahead_ms) / 1000 + spread):
                await self._stepped.wait()
            if hub.standings.next_step != step:
                continue
            if said is None or said.done.is_set():
                said = self._pass_time()
            with trio.move_on_after(1.0):
                await self._stepped.wait()

    def is_prepared(self, spec: ViewSpec, start: Start) -> bool:
        """Whether a subscriber with this spec and start can be attached at once."""
        if not spec.expressions:
            return True
        hub, time_ms = self.hub, clock.now_ms()
        if not hub.standings.holds(spec):
            return False
        return all(
            hub.standings.wanted(one, start.since, start.window, time_ms) >= one.reached
            for one in hub.hold(spec, trio.current_time())
        )

    @property
    def _steps_behind(self) -> bool:
        """Whether a whole second has ended for which the log has no newer entry yet."""
        stamp = round(self.hub.stamp * 1000)
        now = trio.current_time() * 1000 + self._reader.clock_ahead_ms
        return bool(stamp) and now // 1000 > stamp // 1000

    async def prepare(self, spec: ViewSpec, start: Start) -> None:
        """Work out the past steps of expressions that a subscriber with this start is given: in
        a thread, for a few expressions at a time.

        Raises Overloaded where there is no room for another view or expression.
        """
        if not spec.expressions:
            return
        hub = self.hub
        if not hub.standings.holds(spec) and self._steps_behind and (said := self._pass_time()):
            # So that the newest step that is worked out is the newest there is, and live steps
            # follow.
            with trio.move_on_after(_BLIP):
                await said.done.wait()
        for standing in await self._hold(spec):
            wanted = hub.standings.wanted(standing, start.since, start.window, clock.now_ms())
            if wanted < standing.reached:
                async with self._locks.setdefault(standing, trio.Lock()):
                    if wanted < standing.reached:
                        await self._learn(standing, wanted)
                    standing.reached = min(standing.reached, wanted)

    async def _hold(self, spec: ViewSpec) -> Sequence[Standing]:
        """The expressions of a view; those that are new are begun with piece by piece."""
        hub = self.hub
        try:
            if not hub.standings.holds(spec):
                await self._learning.make(hub.begin(spec, trio.current_time()))
            return hub.hold(spec, trio.current_time())
        finally:
            hub.standings.abandon(spec)

    async def _learn(self, standing: Standing, wanted: int) -> None:
        job: Job | None = None

        def make() -> Generator[None, None, Callable[[Callable[[], None]], Past | None] | None]:
            nonlocal job
            job = yield from self.hub.standings.past_of(standing, wanted)
            return None if job is None else job.work

        past = await self._learning.run_made(make())
        if job is not None:
            self.hub.standings.learn(standing, job, past)

    def prepare_soon(
        self, spec: ViewSpec, start: Start, tell: Callable[[Problem | None], None]
    ) -> bool:
        """Whether a subscriber with this spec and start can be attached at once. If not, `tell` is
        called later: with None when it can be, or with the Problem that `prepare` raised. Raises
        Overloaded if too many wait."""
        if self.is_prepared(spec, start):
            return True
        if self._preparing >= _MOST_PREPARING:
            raise Overloaded(
                "expressions",
                "too many streams wait for the past of expressions",
                retry_after=5.0,
            )
        self._preparing += 1
        self._wanted.send_nowait((spec, start, tell))
        return False

    async def run_preparing(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Prepare what `prepare_soon` has queued."""
        task_status.started()

        async def prepare(
            spec: ViewSpec, start: Start, tell: Callable[[Problem | None], None]
        ) -> None:
            try:
                await self.prepare(spec, start)
            except Problem as problem:
                tell(problem)
            else:
                tell(None)
            finally:
                self._preparing -= 1

        async with trio.open_nursery() as nursery:
            async for spec, start, tell in self._requests:
                nursery.start_soon(prepare, spec, start, tell)

    async def run_sweeps(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Once a second apply retention and expiry, and end clients that make no progress.

        Sweeps over samples are appended to the log, so that all processes that read it come to the
        same result. While more samples are held than allowed, they come faster.
        """
        task_status.started()
        sweep: Submission | None = None
        # Everything that is done once a second, here and elsewhere, is done when a second begins,
        # so that an idle process wakes up only once for all of it.
        second = ceil(trio.current_time())
        while True:
            pause = 1.0 / _SWEEPS if self.hub.behind else 1.0
            await trio.sleep_until(min(second + 1.0, trio.current_time() + pause))
            now = trio.current_time()
            # If several processes read the log, one sweep by any of them is enough.
            recent = now - self._reader.swept_at < pause / 2
            if not recent and (sweep is None or sweep.done.is_set()):
                sweep = self._sweep()
            if now >= second + 1.0:
                second = floor(now)
                self._pending.answer_meanwhile(now)
                await self._tell_away(now)
                self.hub.close_idle(now)
                self.wake_ticker()
                self._part_from_stalled(now)

    def _sweep(self) -> Submission | None:
        """Append a sweep to the log, if anything may be old enough to be dropped."""
        if not self.hub.is_sweep_due(self._reader.journal_time()):
            return None
        return self._pass_time()

    def _pass_time(self) -> Submission | None:
        sweep = Submission(Draft(self._nonces(), Batch([])))
        return sweep if self._post(sweep) else None

    async def _tell_away(self, now: float) -> None:
        """Tell dashboards when the journal is away, so that nothing newer can come, and when it is
        back."""
        since = self._journal.away_since
        away = None if since is None or now - since < _BLIP else round(now - since)
        for view in self.hub.tell_away(away, now, clock.now_ms()):
            await self._wake(view)
            await trio.lowlevel.checkpoint()

    def _part_from_stalled(self, now: float) -> None:
        for subscriber in list(self.hub.subscribers.values()):
            since = subscriber.carrier.stalled_since()
            if since is None or subscriber.parted:
                continue
            if now - since >= self._pacing.stall_timeout:
                subscriber.parted = True  # it leaves when its carrier does
                self.hub.counts["subscribers_stalled"] += 1
                _log.info("stalled", session=subscriber.session[:8], seconds=round(now - since, 1))
                subscriber.carrier.end(
                    Ending("stalled", Close.STALLED, message="no bytes were taken for too long")
                )
                subscriber.carrier.abort()
