"""The way of a sample: a bounded channel, the journal, the hub; and the ticking of the views.

Four long-lived tasks drive the hub, which is itself synchronous: `run_ingest` appends what is in
the channel to the journal, and has the hub take in what it reads there; `run_ticks` wakes views
when they are due; `run_steps` sees to it that steps of expressions end when they are over;
`run_sweeps` lets time pass over histories, silent series and stalled clients.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from math import ceil, floor, inf
from typing import TypeAlias
from weakref import WeakKeyDictionary

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.view import View, ViewSpec
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch
from pushsvc.core.resources.account import Account
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.core.resources.quota import Quotas
from pushsvc.core.standing.results import Standing
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.core.storage.holdings import Applied, Refused
from pushsvc.core.storage.records import Change
from pushsvc.core.storage.snapshot import SnapshotError
from pushsvc.errors import Overloaded, Problem, Rejected, TooMany
from pushsvc.journal import Dropped, EpochChanged, Journal, JournalError, Nonces, Snapshot
from pushsvc.journal.starting import Starting
from pushsvc.log import get_logger

_log = get_logger("pushsvc.pipeline")

_GROUP = 64
"""Seqs that are appended to the journal together, about, if so many wait."""

_AT_ONCE = 2_000
"""Series that entries which come together have samples of, about, until others have their turn."""
_SHARE = 10.0
"""Seconds over which a producer's samples are averaged."""
_BLIP = 1.0
"""Seconds for which a journal may be away without being told of."""
_AGAIN = 1.0
"""Seconds until a log is read anew of which nothing could be read."""
_PATIENCE = 5.0
"""Seconds that a producer waits for a journal that is away."""
_TOLD_OF_LOSS = (
    "each is sent away, comes back within seconds, and is told of a gap of unknown size; producers "
    "whose batch may be lost get 503"
)
_LAST = 5.0
"""Seconds that the journal has, in the end, for what is in the channel."""
_TELL = 2.0
"""Seconds between two words on how far a start has got."""
_AHEAD = 60.0
"""Seconds by which a log's clock may be ahead of this machine's without being told of."""
_WOKEN = 256
"""Subscribers woken between two checkpoints: each may be a send."""

_SWEEPS = 20
"""Sweeps a second at the most."""

_LEARNING = 2
"""Expressions of which the past is worked out at the same time."""

_WISHES = 1_000
"""Streams that wait for the past of what they are to show, at the most."""

_SPREAD = 0.1
"""Seconds within which processes of one log say that a step is over, if nobody has before."""


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


Outcome: TypeAlias = Applied | Problem | None
"""What became of a batch; None where it was given up before it got into the channel."""


class _Submission:
    """A batch on its way, and the place where its producer finds the answer."""

    __slots__ = (
        "_tell",
        "appended",
        "done",
        "doubtful",
        "draft",
        "handed",
        "outcome",
        "patient",
        "refused",
        "since",
        "taken",
        "through",
    )

    def __init__(
        self,
        draft: Draft,
        refused: list[Refused] | None = None,
        tell: Callable[[Outcome], None] | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.draft = draft
        self.patient = patient
        """Whether who submits it waits as long as that takes."""
        self.refused = refused
        self.since = trio.current_time()
        self.handed = False
        """Whether the journal was given it."""
        self.appended = False
        """Whether the journal has said that it has it."""
        self.doubtful = False
        """Whether the log began anew in between, so that it may be where nobody reads any more."""
        self.through = 0
        """The seq up to which it is, where that is doubtful."""
        self.taken: Applied | Problem | None = None
        """What became of it when it was taken in, which may be before that."""
        self.done = trio.Event()
        self.outcome: Outcome = None
        self._tell = tell

    @property
    def advice(self) -> str:
        """What to do where it isn't known whether it was applied."""
        if self.draft.change is not None:
            return "look what is there before it is sent again"
        return "send it again, with an Idempotency-Key if it must not count twice"

    def settle(self, outcome: Outcome) -> None:
        if not self.done.is_set():
            self.outcome = outcome
        if self._tell is not None:
            self._tell(outcome)
        self.done.set()

    def give_up(self, problem: Problem) -> None:
        """Have who waits be told now, whatever becomes of it later."""
        self.outcome = problem
        self.done.set()


class Pipeline:
    """Carries batches from producers to the hub, and ticks its views.

    The channel holds `limits.ingest_queue` batches. When it stays full for `pacing.ingest_wait`
    seconds, a producer is told to come back: it keeps what it has, nothing is half applied.
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
        """Of a journal that outlives the process a snapshot is made every `snapshot_interval`
        seconds of its clock, if `snapshots` are made here. `starting` is told how far it is."""
        self.hub = hub
        self._snapshot_interval = snapshot_interval
        self._snapshots_here = snapshots
        self._snapshot_due: float | None = None  # seconds of the journal's clock
        self._swept_at = float("-inf")  # when the log last said that time has passed
        self._taken: tuple[float, int] | None = None  # when entries came last, by both clocks
        self._starting = starting or Starting()
        self._keeping = False  # whether a snapshot is being kept
        self._journal = journal
        self._series = limits.series
        self._pacing = pacing
        self.quotas = Quotas(limits.samples_per_second, _SHARE)
        self._nonces = Nonces()
        self._pending: dict[bytes, _Submission] = {}  # by nonce, those that have no answer
        self._settled = trio.Event()  # set when there are none
        self._doubtful: list[_Submission] = []
        self._snapshot_made, self._snapshots = trio.open_memory_channel[Snapshot](1)
        self._send, self._receive = trio.open_memory_channel[_Submission](limits.ingest_queue)
        self._ingesting = trio.CancelScope()  # of `run_ingest`
        self._moved = trio.Event()  # set when the hub has taken something in
        self._learning = trio.CapacityLimiter(_LEARNING)
        self._wanted, self._wishes = trio.open_memory_channel[
            tuple[ViewSpec, Start, Callable[[Problem | None], None]]
        ](_WISHES)
        self._preparing = 0  # how many of them there are
        self._locks: WeakKeyDictionary[Standing, trio.Lock] = WeakKeyDictionary()
        self._due = trio.Event()  # set when the schedule may begin earlier than was waited for
        self._stepped = trio.Event()  # set when another step of expressions is the next
        self._planned_step = inf  # which that is, Unix ms
        # Milliseconds that the journal's clock is ahead of Trio's, about.
        self._clock = now_ms() - trio.current_time() * 1000

    def statistics(self) -> trio.MemoryChannelStatistics:
        """How full the ingest channel is, and who waits."""
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

        `producer` says whose share of samples it is taken off, if anyone's. With `once`, as in a
        draft, what came before is not applied again, and answered as it was. With a list for
        `refused`, rows that the hub can't take are put there and the others are
        applied. Once it is in the channel it is applied even if the caller is cancelled; `tell` is
        called with what becomes of it, once, whether or not the caller is still there. Raises
        Rejected if the hub can't take it, TooMany beyond the producer's share, Overloaded when the
        hub is behind or the service is stopping.
        """
        draft = Draft(self._nonces(), batch, refused is not None, once, series=self._series)
        submission = _Submission(draft, refused, tell)
        if not batch.rows:
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
        """As `submit`, for who is in the same process and gives up by itself: waits for room in the
        channel, and for a log that is away, as long as that takes."""
        if not batch.rows:
            await trio.lowlevel.checkpoint()
            return Applied(0, self.hub.cursor, 0)
        draft = Draft(self._nonces(), batch, once=once, series=self._series)
        return await self._outcome(_Submission(draft, patient=True))

    async def record(self, change: Change, tell: Callable[[Outcome], None] | None = None) -> int:
        """Change a record; returns when that is done, with the version that it made. `tell` is as
        with `submit`.

        Raises Rejected where it is refused (`record_version`, `records`), Overloaded as `submit`.
        """
        submission = _Submission(Draft(self._nonces(), Batch([]), change=change), tell=tell)
        return (await self._outcome(submission)).cursor.seq

    async def catch_up(self, seq: int, seconds: float) -> None:
        """Wait until the hub has taken in so much, though no longer than that."""
        with trio.move_on_after(seconds):
            while self.hub.seq < seq:
                await self.moved()

    def record_nowait(self, change: Change, tell: Callable[[Outcome], None] | None = None) -> bool:
        """Have a record changed when that can be, and `tell` called with what comes of it; False
        where the hub is behind, and it won't be."""
        return self._post(_Submission(Draft(self._nonces(), Batch([]), change=change), tell=tell))

    async def _outcome(self, submission: _Submission) -> Applied:
        await self._enqueue(submission)
        await submission.done.wait()
        if isinstance(submission.outcome, Problem):
            raise submission.outcome
        assert submission.outcome is not None
        return submission.outcome

    def _post(self, submission: _Submission) -> bool:
        try:
            self._send.send_nowait(submission)
        except (trio.ClosedResourceError, trio.BrokenResourceError, trio.WouldBlock):
            return False  # the service is stopping, or behind
        self._pending[submission.draft.nonce] = submission
        return True

    async def _enqueue(self, submission: _Submission) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._post(submission):
            return  # as a rule: a deadline costs as much as all of this
        entered = False
        self._pending[submission.draft.nonce] = submission
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
                del self._pending[submission.draft.nonce]
                submission.settle(None)

    def close(self) -> None:
        """Take no more batches; `run_ingest` ends when those in the channel are applied, or the
        journal hasn't taken them in good time."""
        self._send.close()
        self._ingesting.deadline = trio.current_time() + _LAST

    def give_up(self) -> None:
        """Answer all who wait still: nobody drives this any more."""
        self._send.close()
        self._receive.close()
        for submission in list(self._pending.values()):
            if not submission.done.is_set():
                submission.give_up(
                    Overloaded(
                        "stopped",
                        "the service ended before it was known whether this was applied",
                        retry_after=2.0,
                    )
                )

    def wake_ticker(self) -> None:
        """Have the tasks that tick look at what is due again."""
        self._due.set()
        if self.hub.next_step != self._planned_step:
            self._stepped.set()

    async def moved(self) -> None:
        """Wait until the hub takes in another entry."""
        if self._moved.is_set():
            self._moved = trio.Event()
        await self._moved.wait()

    async def run_ingest(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Append what is submitted and take in what the journal has, until `close` was called and
        all that was in the channel has been answered.

        It has started when everything was taken in that the journal held at the beginning. Raises
        JournalError where that can't be read.
        """
        async with trio.open_nursery() as nursery:
            self._ingesting = nursery.cancel_scope
            await nursery.start(self._read)
            task_status.started()
            if self._journal.keeps:
                nursery.start_soon(self._keep_snapshots)
            await self._append()
            while self._pending:
                self._settled = trio.Event()
                await self._settled.wait()
            nursery.cancel_scope.cancel()

    async def _append(self) -> None:
        """Bring what waits in the channel into the journal, all that waits together."""
        async with self._receive:
            async for first in self._receive:
                group = self._gather(first)
                for one in group:
                    one.handed = True
                try:
                    entries = await self._journal.append([one.draft for one in group])
                except Problem as problem:
                    for one in group:
                        self._settle(one, one.taken or problem)
                else:
                    for one in group:
                        one.appended = True
                        if one.taken is not None:
                            self._settle(one, one.taken)
                        elif one.doubtful:
                            one.through = self._journal.seq
                            self._doubtful.append(one)
                    self._give_up_doubtful()
                    await self._take_all(entries)

    def _gather(self, first: _Submission) -> list[_Submission]:
        """The submission with those that wait behind it."""
        group, width = [first], first.draft.width
        while width < _GROUP:
            try:
                group.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            width += group[-1].draft.width
        return group

    async def _read(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have the hub take in what was in the journal, and what others bring into it. It has
        started when the hub is warm."""
        started = False
        while True:
            try:
                await self._restore()
                async with aclosing(self._warm()) as steps:
                    async for _ in steps:
                        if not started:
                            started = True
                            task_status.started()
                return
            except (Dropped, EpochChanged) as error:
                gone_on = self.hub.seq > self.hub.horizon
                self._begin_anew(error)
                # A log that can't be read from where it says takes its time to say something else.
                await trio.sleep(0 if gone_on else _AGAIN)

    async def _restore(self) -> None:
        """Go on from where reading begins."""
        if self._journal.keeps and (known := await self._journal.snapshot()) is not None:
            try:
                self.hub.restore(known.body)
            except SnapshotError as error:
                raise JournalError(f"the log can't be read: {error}") from None

    async def _warm(self) -> AsyncGenerator[None]:
        """Read for ever, and give a sign when all was taken in that there was at the beginning."""
        hub, first, warm = self.hub, self.hub.seq, self._journal.seq
        hub.begin_warming()
        # What is appended from now on may lie beyond, and is no more lost than what is to come.
        appended = [one for one in self._pending.values() if one.appended]
        begun = told = trio.current_time()
        if hub.seq >= warm:
            hub.finish_warming()
            self._give_up_lost(appended)
            self._give_up_doubtful()
            yield
        else:
            self._starting.read(0.0, 0.0)
            _log.info("warming", percent=0, seqs=warm - first)
        async with aclosing(self._journal.read(hub.seq)) as slices:
            async for entries in slices:
                await self._take_all(entries)
                if not hub.warm and hub.seq >= warm:
                    hub.finish_warming()
                    _log.info("warm", seqs=warm - first, series=len(hub.catalog))
                    _look_at_clock(hub.stamp)
                    self._give_up_lost(appended)
                    self._give_up_doubtful()
                    yield
                elif not hub.warm:
                    now, starting = trio.current_time(), self._starting
                    starting.read((hub.seq - first) / (warm - first), now - begun)
                    if now - told >= _TELL:
                        told = now
                        _log.info(
                            "warming",
                            percent=starting.percent,
                            samples=hub.counts["samples"],
                            seconds_left=starting.seconds_left,
                        )

    def _begin_anew(self, error: Dropped | EpochChanged) -> None:
        """The log isn't the one that was read, or goes on too far ahead: send all dashboards away,
        who come back with a cursor of before, and begin to read where that can be done."""
        self._tell_of_loss(error)
        self.hub.counts["journal_begun_anew"] += 1
        pace = self._pacing.reconnects_per_second
        for place, subscriber in enumerate(list(self.hub.subscribers.values())):
            retry_ms = 1000 + round(1000 * place / pace)
            subscriber.carrier.end(Ending("journal", Close.RESTARTING, retry_ms=retry_ms))
        self.hub.begin_anew(self._journal.epoch)
        self._taken = None
        self._doubtful.clear()  # which the journal has, or had: `_warm` looks for those
        for submission in self._pending.values():
            submission.taken = None  # by a hub that forgot it
            submission.doubtful = submission.handed and not submission.appended

    def _tell_of_loss(self, error: Dropped | EpochChanged) -> None:
        """Say what is known of what is gone, and what comes of it."""
        hub, journal = self.hub, self._journal
        gone = {} if not hub.seq else {"dashboards": len(hub.subscribers), "told": _TOLD_OF_LOSS}
        if isinstance(error, Dropped):
            _log.warning(
                "the journal begins anew",
                reason="entries were dropped before they were read here",
                read=str(hub.cursor),
                epoch=journal.epoch,
                seqs_unread=max(0, journal.horizon - hub.seq),
                **gone,
            )
        else:
            _log.error(
                "the journal begins anew",
                reason="it has lost entries that were read here",
                read=str(hub.cursor),
                epoch=journal.epoch,
                seq=journal.seq,
                seqs_lost_at_least=max(0, hub.seq - journal.seq),
                **gone,
            )

    def _give_up_lost(self, appended: list[_Submission]) -> None:
        """Answer those that the journal had, and that were not found in it: it has them no more, or
        a snapshot stands for them."""
        for submission in appended:
            if submission.draft.nonce in self._pending:
                lost = Overloaded(
                    "journal",
                    f"the log begins anew, and what it had of this may be lost: {submission.advice}"
                    if self.hub.horizon
                    else "the log lost this with its tail: send it again",
                    retry_after=1.0,
                )
                self._settle(submission, lost)

    def _give_up_doubtful(self) -> None:
        """Answer those that the journal was given before the log began anew, and that were not in
        what was read of it since: a snapshot stands for them, or they are lost."""
        if not self._doubtful or not self.hub.warm:
            return
        read = [one for one in self._doubtful if one.through <= self.hub.seq]
        self._doubtful = [one for one in self._doubtful if one.through > self.hub.seq]
        self._give_up_lost(read)

    async def _keep_snapshots(self) -> None:
        """Keep snapshots in the journal, as they come."""
        async with self._snapshots:
            async for known in self._snapshots:
                try:
                    await self._journal.keep(known)
                except Overloaded as problem:
                    _log.warning("snapshot not kept", reason=str(problem))
                finally:
                    self._keeping = False

    async def _snapshot(self, entry: Entry) -> None:
        """Make a snapshot after an entry, if it is time for one."""
        stamp = entry.stamp / 1000
        if self._snapshot_due is None:
            self._snapshot_due = stamp + self._snapshot_interval
        if self._keeping or not self._snapshots_here:
            return
        if not (stamp >= self._snapshot_due or self._journal.snapshot_wanted):
            return
        self._snapshot_due = stamp + self._snapshot_interval
        steps = self.hub.snapshot()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                body = end.value
                break
            await trio.lowlevel.checkpoint()
        self._keeping = True
        self._snapshot_made.send_nowait(Snapshot(entry.last, entry.stamp, body, self.hub.epoch))

    async def _take_all(self, entries: Sequence[Entry]) -> None:
        """Take in entries that are there at once; what else there is to do has its turn between."""
        rows = 0
        for entry in entries:
            rows += entry.draft.batch.series
            if rows >= _AT_ONCE:
                rows = 0
                await trio.lowlevel.checkpoint()
            await self._take(entry)
        self._taken = trio.current_time(), now_ms()

    async def _take(self, entry: Entry) -> None:
        taking = self.hub.take(entry)
        outcome: Applied | Problem
        while True:
            try:
                next(taking)
            except StopIteration as end:
                outcome = end.value
            except Problem as problem:
                outcome = problem
            else:
                self.wake_ticker()
                await trio.lowlevel.checkpoint()
                continue
            break
        now = trio.current_time()
        if self.hub.warm:
            self._clock = entry.stamp - now * 1000
        self.wake_ticker()
        self._moved.set()
        if entry.draft.sweeps:
            self._swept_at = now
        submission = self._pending.get(entry.draft.nonce)
        if submission is not None:
            submission.taken = outcome
            if submission.appended:
                self._settle(submission, outcome)
        self._give_up_doubtful()
        if self._journal.keeps:
            await self._snapshot(entry)

    def _settle(self, submission: _Submission, outcome: Applied | Problem) -> None:
        """Answer who submitted."""
        del self._pending[submission.draft.nonce]
        if isinstance(outcome, Applied) and submission.refused is not None:
            submission.refused += outcome.refused
        submission.settle(outcome)
        if not self._pending:
            self._settled.set()

    async def run_ticks(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tick views when they are due, and wake those who carry their frames."""
        task_status.started()
        hub = self.hub
        while True:
            for view in hub.tick(trio.current_time(), now_ms()):
                await self._wake(view)
            self._due = trio.Event()
            with trio.move_on_at(hub.next_due):
                await self._due.wait()

    async def _wake(self, view: View) -> None:
        for index, subscriber in enumerate(list(view.subscribers.values())):
            if index % _WOKEN == _WOKEN - 1:
                await trio.lowlevel.checkpoint()
            subscriber.carrier.wake()
        await trio.lowlevel.checkpoint()

    async def run_steps(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """While expressions are watched, have the log say that a step is over, soon after it is,
        where no entry says so by itself."""
        task_status.started()
        hub = self.hub
        said: _Submission | None = None
        while True:
            self._stepped = trio.Event()
            step = self._planned_step = hub.next_step
            if step == inf:
                await self._stepped.wait()
                continue
            # Where several processes read the log, whoever is the first says it for all.
            spread = random.random() * _SPREAD if self._journal.keeps else 0.0
            with trio.move_on_at((step - self._clock) / 1000 + spread):
                await self._stepped.wait()
            if hub.next_step != step:
                continue
            if said is None or said.done.is_set():
                said = self._pass_time()
            with trio.move_on_after(1.0):
                await self._stepped.wait()

    def is_prepared(self, spec: ViewSpec, start: Start) -> bool:
        """Whether who begins so can be attached at once."""
        if not spec.expressions:
            return True
        hub, time_ms = self.hub, now_ms()
        if not hub.holds(spec) and self._steps_behind:
            return False
        return all(
            hub.wanted(one, start, time_ms) >= one.reached
            for one in hub.hold(spec, trio.current_time())
        )

    @property
    def _steps_behind(self) -> bool:
        """Whether a whole second is over that the log doesn't know of yet."""
        stamp = round(self.hub.stamp * 1000)
        now = trio.current_time() * 1000 + self._clock
        return bool(stamp) and now // 1000 > stamp // 1000

    async def prepare(self, spec: ViewSpec, start: Start) -> None:
        """Work out what steps of the past somebody is to be given who begins so: in a thread, a few
        at a time.

        Raises Overloaded where there is no room for another view or expression, and Rejected where
        an expression that is new to who asks has no results now.
        """
        if not spec.expressions:
            return
        hub = self.hub
        if not hub.holds(spec) and self._steps_behind and (said := self._pass_time()):
            # So that its newest step is the newest of all, and what follows begins there.
            with trio.move_on_after(_BLIP):
                await said.done.wait()
        for standing in hub.hold(spec, trio.current_time()):
            wanted = hub.wanted(standing, start, now_ms())
            if wanted < standing.reached:
                async with self._locks.setdefault(standing, trio.Lock()), self._learning:
                    if wanted < standing.reached and (job := hub.past_of(standing, wanted)):
                        hub.learn(standing, job, await trio.to_thread.run_sync(job.work))
                    standing.reached = min(standing.reached, wanted)
            if standing.failure is not None and start.since is None and len(spec.select) == 1:
                raise Rejected(
                    "expression", f"{standing.expression.text} has no results: {standing.failure}"
                )

    def prepare_soon(
        self, spec: ViewSpec, start: Start, tell: Callable[[Problem | None], None]
    ) -> bool:
        """Whether who begins so can be attached at once; else `tell` is called when that is so, or
        with what `prepare` raises. Raises Overloaded where too many wait."""
        if self.is_prepared(spec, start):
            return True
        if self._preparing >= _WISHES:
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
        """Do what `prepare_soon` was asked for."""
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
            async for spec, start, tell in self._wishes:
                nursery.start_soon(prepare, spec, start, tell)

    async def run_sweeps(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let time pass, once a second: retention, expiry, and clients that make no progress.

        What concerns samples is appended to the log, so that it comes to the same for everyone who
        reads it. While more samples are held than may be, such sweeps come faster.
        """
        task_status.started()
        sweep: _Submission | None = None
        # What is done each second, here and elsewhere, is done when one begins: an idle process
        # wakes once for all of it.
        second = ceil(trio.current_time())
        while True:
            pause = 1.0 / _SWEEPS if self.hub.behind else 1.0
            await trio.sleep_until(min(second + 1.0, trio.current_time() + pause))
            now = trio.current_time()
            # Where several processes read the log one sweep is enough, whoever makes it.
            recent = now - self._swept_at < pause / 2
            if not recent and (sweep is None or sweep.done.is_set()):
                sweep = self._sweep()
            if now >= second + 1.0:
                second = floor(now)
                self._answer_meanwhile(now)
                await self._tell_away(now)
                self.hub.close_idle(now)
                self.wake_ticker()
                self._part_from_stalled(now)

    def _sweep(self) -> _Submission | None:
        """Have the log say that time has passed, if there may be anything that has grown old."""
        if not self.hub.is_sweep_due(self._journal_time()):
            return None
        return self._pass_time()

    def _pass_time(self) -> _Submission | None:
        sweep = _Submission(Draft(self._nonces(), Batch([])))
        return sweep if self._post(sweep) else None

    def _journal_time(self) -> float:
        """What the journal's clock shows at the latest, going by the newest entry. Of the clocks
        here, the monotonic one stands while the machine sleeps, and the other can be set back."""
        if self._taken is None:
            return inf
        monotonic, unix_ms = self._taken
        passed = max(trio.current_time() - monotonic, (now_ms() - unix_ms) / 1000)
        return self.hub.stamp + passed

    async def _tell_away(self, now: float) -> None:
        """Tell dashboards that nothing newer can come, and when it can again."""
        since = self._journal.away_since
        away = None if since is None or now - since < _BLIP else round(now - since)
        for view in self.hub.tell_away(away, now, now_ms()):
            await self._wake(view)

    def _answer_meanwhile(self, now: float) -> None:
        """Tell producers who have waited for long that the journal is away."""
        if self._journal.away_since is None:
            return
        for submission in self._pending.values():
            waits = submission.patient or submission.done.is_set()
            if now - submission.since >= _PATIENCE and not waits:
                submission.give_up(
                    Overloaded(
                        "journal",
                        "the log can't be reached; what was sent may be applied yet, when it can: "
                        + submission.advice,
                        retry_after=_PATIENCE,
                    )
                )

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


def _look_at_clock(stamp: float) -> None:
    """Tell where the newest entry of a log is from a time that hasn't come yet: the clock that
    stamped it was wrong, or this one is, and a log's time never goes back."""
    ahead = stamp - now_ms() / 1000
    if ahead > _AHEAD:
        _log.warning(
            "the journal's clock is ahead",
            seconds=round(ahead),
            so="nothing in it grows old until this clock is there, and samples of that time are "
            "the newest: set the clocks right, or begin another log if they are",
        )
