"""The way of a sample: a bounded channel, the journal, the hub; and the ticking of the views.

Three long-lived tasks drive the hub, which is itself synchronous: `run_ingest` appends what is in
the channel to the journal, and has the hub take in what it reads there; `run_ticks` wakes views
when they are due; `run_sweeps` lets time pass over histories, silent series and stalled clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import TypeAlias

import structlog
import trio

from pushsvc.core.account import Account
from pushsvc.core.entry import Draft, Entry
from pushsvc.core.hub import Applied, Hub, Refused
from pushsvc.core.limits import Limits, Pacing
from pushsvc.core.quota import Quotas
from pushsvc.core.series import Batch
from pushsvc.core.subscriber import Ending
from pushsvc.core.wire import Close
from pushsvc.errors import Overloaded, Problem, TooMany
from pushsvc.journal import Journal, Nonces, Snapshot

_log = structlog.get_logger("pushsvc.pipeline")

_GROUP = 64
"""Seqs that are appended to the journal together, about, if so many wait."""

_AT_ONCE = 2_000
"""Series that entries which come together have samples of, about, until others have their turn."""
_SHARE = 10.0
"""Seconds over which a producer's samples are averaged."""
_TELL = 2.0
"""Seconds between two words on how far a start has got."""
_WOKEN = 256
"""Subscribers woken between two checkpoints: each may be a send."""

_SWEEPS = 20
"""Sweeps a second at the most."""


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


Outcome: TypeAlias = Applied | Problem | None
"""What became of a batch; None where it was given up before it got into the channel."""


class _Submission:
    """A batch on its way, and the place where its producer finds the answer."""

    __slots__ = ("_tell", "done", "draft", "outcome", "refused")

    def __init__(
        self,
        draft: Draft,
        refused: list[Refused] | None = None,
        tell: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.draft = draft
        self.refused = refused
        self.done = trio.Event()
        self.outcome: Outcome = None
        self._tell = tell

    def settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if self._tell is not None:
            self._tell(outcome)
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
    ) -> None:
        """Of a journal that outlives the process a snapshot is made every `snapshot_interval`
        seconds of its clock."""
        self.hub = hub
        self._snapshot_interval = snapshot_interval
        self._snapshot_due: float | None = None  # seconds of the journal's clock
        self._journal = journal
        self._pacing = pacing
        self.quotas = Quotas(limits.samples_per_second, _SHARE)
        self._nonces = Nonces()
        self._pending: dict[bytes, _Submission] = {}  # by nonce, those that are being appended
        self._settled = trio.Event()  # set when there are none
        self._snapshot_made, self._snapshots = trio.open_memory_channel[Snapshot](1)
        self._send, self._receive = trio.open_memory_channel[_Submission](limits.ingest_queue)
        self._due = trio.Event()  # set when the schedule may begin earlier than was waited for

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
        draft = Draft(self._nonces(), batch, refused is not None, once)
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
        await self._enqueue(submission)
        await submission.done.wait()
        if isinstance(submission.outcome, Problem):
            raise submission.outcome
        assert submission.outcome is not None
        return submission.outcome

    async def _enqueue(self, submission: _Submission) -> None:
        entered = False
        try:
            with trio.fail_after(self._pacing.ingest_wait):
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
                submission.settle(None)

    def close(self) -> None:
        """Take no more batches; `run_ingest` ends when those in the channel are applied."""
        self._send.close()

    def hurry(self) -> None:
        """Have the ticking task look at the schedule again."""
        self._due.set()

    async def run_ingest(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Append what is submitted and take in what the journal has, until `close` was called and
        all that was in the channel has been answered.

        It has started when everything was taken in that the journal held at the beginning.
        """
        if self._journal.keeps and (known := await self._journal.snapshot()) is not None:
            self.hub.restore(known.body)
        async with trio.open_nursery() as nursery:
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
                    self._pending[one.draft.nonce] = one
                try:
                    entries = await self._journal.append([one.draft for one in group])
                except Problem as problem:
                    for one in group:
                        self._settle(one.draft, problem)
                else:
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
        """Have the hub take in what was in the journal, and what others bring into it."""
        hub, first, warm = self.hub, self.hub.seq, self._journal.seq
        if hub.seq >= warm:
            task_status.started()
        else:
            _log.info("warming", seqs=warm - first)
        told = trio.current_time()
        async with aclosing(self._journal.read(hub.seq)) as slices:
            async for entries in slices:
                before = hub.seq
                await self._take_all(entries)
                if hub.seq >= warm > before:
                    task_status.started()
                    _log.info("warm", seqs=warm - first, series=len(hub.catalog))
                if hub.seq < warm and trio.current_time() - told >= _TELL:
                    told = trio.current_time()
                    percent = 100 * (hub.seq - first) // (warm - first)
                    _log.info("warming", percent=percent, samples=hub.counts["samples"])

    async def _keep_snapshots(self) -> None:
        """Keep snapshots in the journal, as they come."""
        async with self._snapshots:
            async for known in self._snapshots:
                try:
                    await self._journal.keep(known)
                except Overloaded as problem:
                    _log.warning("snapshot not kept", reason=str(problem))

    async def _snapshot(self, entry: Entry) -> None:
        """Make a snapshot after an entry, if it is time for one."""
        stamp = entry.stamp / 1000
        if self._snapshot_due is None:
            self._snapshot_due = stamp + self._snapshot_interval
        if stamp < self._snapshot_due:
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
        with suppress(trio.WouldBlock):  # the one before is still being written
            self._snapshot_made.send_nowait(Snapshot(entry.last, entry.stamp, body))

    async def _take_all(self, entries: Sequence[Entry]) -> None:
        """Take in entries that are there at once; what else there is to do has its turn between."""
        rows = 0
        for entry in entries:
            rows += len(entry.draft.batch.rows)
            if rows >= _AT_ONCE:
                rows = 0
                await trio.lowlevel.checkpoint()
            await self._take(entry)

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
                self.hurry()
                await trio.lowlevel.checkpoint()
                continue
            break
        self.hurry()
        self._settle(entry.draft, outcome)
        if self._journal.keeps:
            await self._snapshot(entry)

    def _settle(self, draft: Draft, outcome: Applied | Problem) -> None:
        """Answer who submitted a draft, if it was one of this process."""
        submission = self._pending.pop(draft.nonce, None)
        if submission is not None:
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
                for index, subscriber in enumerate(list(view.subscribers.values())):
                    if index % _WOKEN == _WOKEN - 1:
                        await trio.lowlevel.checkpoint()
                    subscriber.carrier.wake()
                await trio.lowlevel.checkpoint()
            self._due = trio.Event()
            with trio.move_on_at(hub.next_due):
                await self._due.wait()

    async def run_sweeps(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let time pass, once a second: retention, expiry, and clients that make no progress.

        What concerns samples is appended to the log, so that it comes to the same for everyone who
        reads it. While more samples are held than may be, such sweeps come faster.
        """
        task_status.started()
        sweep: _Submission | None = None
        second = trio.current_time()
        while True:
            pause = 1.0 / _SWEEPS if self.hub.behind else 1.0
            await trio.sleep_until(min(second + 1.0, trio.current_time() + pause))
            if sweep is None or sweep.done.is_set():
                sweep = self._sweep()
            now = trio.current_time()
            if now >= second + 1.0:
                second = now
                self.hub.close_idle(now)
                self.hurry()
                self._part_from_stalled(now)

    def _sweep(self) -> _Submission | None:
        """Have the log say that time has passed, if there is anything that grows old."""
        if not len(self.hub.catalog):
            return None
        sweep = _Submission(Draft(self._nonces(), Batch([])))
        try:
            self._send.send_nowait(sweep)
        except (trio.ClosedResourceError, trio.BrokenResourceError, trio.WouldBlock):
            return None  # the service is stopping, or behind
        return sweep

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
