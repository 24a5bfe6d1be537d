"""The way of a sample: a bounded channel, the journal, the hub; and the ticking of the views.

Three long-lived tasks drive the hub, which is itself synchronous: `run_ingest` takes batches from
the channel in order, `run_ticks` wakes views when they are due, `run_sweeps` lets time pass over
histories, silent series and stalled clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import structlog
import trio

from pushsvc.core.account import Account
from pushsvc.core.hub import Applied, Hub, Refused
from pushsvc.core.limits import Limits, Pacing
from pushsvc.core.quota import Quotas
from pushsvc.core.series import Batch, Rows
from pushsvc.core.subscriber import Ending
from pushsvc.core.view import View
from pushsvc.core.wire import Close
from pushsvc.errors import Overloaded, Problem, TooMany
from pushsvc.journal import Journal

_log = structlog.get_logger("pushsvc.pipeline")

_PIECE = 5_000
"""Samples that get one seq. A larger batch is applied in pieces, so that it can be replayed in
frames of a sensible size and never holds up a tick for long."""

_SHARE = 10.0
"""Seconds over which a producer's samples are averaged."""
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

    __slots__ = ("_tell", "batch", "done", "outcome", "refused")

    def __init__(
        self,
        batch: Batch,
        refused: list[Refused] | None,
        tell: Callable[[Outcome], None] | None,
    ) -> None:
        self.batch = batch
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

    def __init__(self, hub: Hub, journal: Journal, limits: Limits, pacing: Pacing) -> None:
        self.hub = hub
        self._journal = journal
        self._pacing = pacing
        self.quotas = Quotas(limits.samples_per_second, _SHARE)
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
        refused: list[Refused] | None = None,
        tell: Callable[[Outcome], None] | None = None,
    ) -> Applied:
        """Apply a batch, all or nothing; returns when it is applied.

        `producer` says whose share of samples it is taken off, if anyone's. With a list for
        `refused`, rows that the hub can't take are put there and the others are
        applied. Once it is in the channel it is applied even if the caller is cancelled; `tell` is
        called with what becomes of it, once, whether or not the caller is still there. Raises
        Rejected if the hub can't take it, TooMany beyond the producer's share, Overloaded when the
        hub is behind or the service is stopping.
        """
        submission = _Submission(batch, refused, tell)
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
        """Apply submitted batches in order until `close` was called and the channel is empty."""
        task_status.started()
        async with self._receive:
            async for submission in self._receive:
                try:
                    submission.settle(await self._apply(submission))
                except Problem as problem:
                    submission.settle(problem)

    async def _apply(self, submission: _Submission) -> Applied:
        batch = submission.batch
        if batch.silent:
            pass  # the hub's own, and judged when it is applied
        elif submission.refused is None:
            self.hub.check(batch)
        else:
            batch, refused = self.hub.sift(batch)
            submission.refused += refused
            if not batch.rows:
                return Applied(0, self.hub.cursor, 0)
        samples = 0
        applied = None
        touched: dict[View, None] = {}
        for piece in _pieces(batch):
            seq = await self._journal.append(piece)
            now = trio.current_time()
            applied = self.hub.apply(seq, piece, now, checked=True, touched=touched)
            samples += applied.samples
            self.hurry()
        assert applied is not None
        return Applied(samples, applied.cursor, applied.watchers)

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

        Series that go are appended to the log like samples, so that their going has a seq.

        While more samples are held than may be, sweeps come faster.
        """
        task_status.started()
        while True:
            await trio.sleep(1.0)
            for _ in range(_SWEEPS):
                behind = self.hub.sweep(trio.current_time())
                if (batch := self.hub.departures()) is not None:
                    try:
                        await self._send.send(_Submission(batch, None, None))
                    except (trio.ClosedResourceError, trio.BrokenResourceError):
                        break  # the service is stopping
                if not behind:
                    break
                await trio.sleep(1.0 / _SWEEPS)
            self.hurry()
            self._part_from_stalled(trio.current_time())

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


def _pieces(batch: Batch) -> Iterator[Batch]:
    """Cut a batch into pieces of at most `_PIECE` samples, each series' samples in order."""
    if batch.count <= _PIECE:
        yield batch
        return
    piece: list[Rows] = []
    room = _PIECE
    for rows in batch.rows:
        start, count = 0, len(rows.times)
        while count - start >= room:
            stop = start + room
            piece.append(_part(rows, start, stop))
            yield Batch(piece)
            piece, room, start = [], _PIECE, stop
        if start < count:
            piece.append(rows if start == 0 else _part(rows, start, count))
            room -= count - start
    if piece:
        yield Batch(piece)


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(
        rows.identity,
        rows.times[start:stop],
        rows.values[start:stop],
        rows.kind,
        rows.unit,
        rows.help,
        rows.given,
        None if rows.starts is None else rows.starts[start:stop],
    )
