"""Reading the journal into the hub: what is in it at the start, what is appended later, and what to
do when the log is no longer the one that was read so far."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from math import inf

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.core.resources.limits import Pacing
from pushsvc.core.storage.entry import Entry
from pushsvc.core.storage.holdings import Applied
from pushsvc.core.storage.snapshot import SnapshotError
from pushsvc.errors import Problem
from pushsvc.journal import Dropped, EpochChanged, Journal, JournalError
from pushsvc.journal.starting import Starting
from pushsvc.log import get_logger
from pushsvc.pipeline import clock
from pushsvc.pipeline.precedence import Precedence
from pushsvc.pipeline.snapshots import Snapshots
from pushsvc.pipeline.submissions import Submissions

_log = get_logger("pushsvc.pipeline")

_AT_ONCE = 2_000
"""About how many series are taken in before other tasks get their turn."""
_AGAIN = 1.0
"""Seconds before the log is tried again after nothing could be read of it."""
_TOLD_OF_LOSS = (
    "each is sent away, comes back within seconds, and is told of a gap of unknown size; producers "
    "whose batch may be lost get 503"
)
_TELL = 2.0
"""Seconds between two log messages on how far a start is."""
_AHEAD = 60.0
"""Seconds by which the journal's clock may be ahead of this machine's without a warning."""


class Reader:
    """Has the hub take in the entries of the journal in order, and answers those that were
    submitted here."""

    def __init__(
        self,
        hub: Hub,
        journal: Journal,
        pacing: Pacing,
        submissions: Submissions,
        snapshots: Snapshots,
        starting: Starting,
        precedence: Precedence,
        wake_ticker: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._pacing = pacing
        self._submissions = submissions
        self._snapshots = snapshots
        self._starting = starting
        self._precedence = precedence
        self._wake_ticker = wake_ticker
        self._taking = trio.Lock()
        self._moved = trio.Event()  # set when the hub has taken something in
        self._taken: tuple[float, int] | None = None  # when entries were last taken, by both clocks
        self.swept_at = -inf
        """When a sweep was last read from the log, by Trio's clock."""
        self.clock_ahead_ms = clock.now_ms() - trio.current_time() * 1000
        """About how far the journal's clock is ahead of Trio's."""

    async def moved(self) -> None:
        """Wait until the hub takes in another entry."""
        if self._moved.is_set():
            self._moved = trio.Event()
        await self._moved.wait()

    def journal_time(self) -> float:
        """The latest time that the journal's clock may show, estimated from the newest entry. It
        uses both clocks of this machine: the monotonic one stops while the machine sleeps, and the
        other can be set back."""
        if self._taken is None:
            return inf
        monotonic, unix_ms = self._taken
        passed = max(trio.current_time() - monotonic, (clock.now_ms() - unix_ms) / 1000)
        return self._hub.stamp + passed

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have the hub take in what the journal holds, and what other processes append to it.
        `started` is called when the hub is warm."""
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
                gone_on = self._hub.seq > self._hub.horizon
                self._begin_anew(error)
                # If nothing was read after the horizon, the log needs time to name a readable one.
                await trio.sleep(0 if gone_on else _AGAIN)

    async def _restore(self) -> None:
        """Restore the hub from the snapshot at which reading begins, if there is one."""
        if self._journal.keeps and (known := await self._journal.snapshot()) is not None:
            try:
                self._hub.restore(known.body)
            except SnapshotError as error:
                raise JournalError(f"the log can't be read: {error}") from None

    async def _warm(self) -> AsyncGenerator[None]:
        """Read for ever; yields once, when everything that was there at the beginning is taken
        in."""
        hub, first, warm = self._hub, self._hub.seq, self._journal.seq
        hub.begin_warming()
        # Only those appended so far: later ones may lie beyond `warm`, and are still to be read.
        appended = self._submissions.appended()
        begun = told = trio.current_time()
        if hub.seq >= warm:
            hub.finish_warming()
            self._submissions.give_up_lost(appended)
            self._submissions.give_up_doubtful()
            yield
        else:
            self._starting.read(0.0, 0.0)
            _log.info("warming", percent=0, seqs=warm - first)
        async with aclosing(self._journal.read(hub.seq)) as slices:
            async for entries in slices:
                await self.take_all(entries)
                if not hub.warm and hub.seq >= warm:
                    hub.finish_warming()
                    _log.info("warm", seqs=warm - first, series=len(hub.catalog))
                    _look_at_clock(hub.stamp)
                    self._submissions.give_up_lost(appended)
                    self._submissions.give_up_doubtful()
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
        """The log is another one, or has dropped entries before they were read here. Send all
        dashboards away, so that they come back with their old cursors, and reset the hub to read
        the log anew."""
        self._tell_of_loss(error)
        self._hub.counts["journal_begun_anew"] += 1
        pace = self._pacing.reconnects_per_second
        for place, subscriber in enumerate(list(self._hub.subscribers.values())):
            retry_ms = 1000 + round(1000 * place / pace)
            subscriber.carrier.end(Ending("journal", Close.RESTARTING, retry_ms=retry_ms))
        self._hub.begin_anew(self._journal.epoch)
        self._taken = None
        self._submissions.begin_anew()

    def _tell_of_loss(self, error: Dropped | EpochChanged) -> None:
        """Log what is known to be lost, and what follows from it."""
        hub, journal = self._hub, self._journal
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

    async def take_all(self, entries: Sequence[Entry]) -> None:
        """Take in entries that were read together, and let other tasks run in between. Those that
        another task brings meanwhile come after them."""
        try:
            self._taking.acquire_nowait()  # the usual case, without a checkpoint
        except trio.WouldBlock:
            await self._taking.acquire()
        try:
            await self._take_all(entries)
        finally:
            self._taking.release()

    async def _take_all(self, entries: Sequence[Entry]) -> None:
        rows = 0
        for entry in entries:
            rows += entry.draft.batch.series
            if rows >= _AT_ONCE:
                rows = 0
                await self._precedence.wait()
            await self._take(entry)
        self._taken = trio.current_time(), clock.now_ms()

    async def _take(self, entry: Entry) -> None:
        waiting = self._submissions.get(entry.draft.nonce)
        self._hub.arrive(trio.current_time() if waiting is None else waiting.since)
        taking = self._hub.take(entry)
        outcome: Applied | Problem
        while True:
            try:
                next(taking)
            except StopIteration as end:
                outcome = end.value
            except Problem as problem:
                outcome = problem
            else:
                self._wake_ticker()
                await self._precedence.wait()
                continue
            break
        now = trio.current_time()
        if self._hub.warm:
            self.clock_ahead_ms = entry.stamp - now * 1000
        self._wake_ticker()
        self._moved.set()
        if entry.draft.sweeps:
            self.swept_at = now
        submission = self._submissions.get(entry.draft.nonce)
        if submission is not None:
            submission.taken = outcome
            if submission.appended:
                self._submissions.settle(submission, outcome)
        self._submissions.give_up_doubtful()
        if self._snapshots.is_due(entry):
            await self._snapshots.make(entry)


def _look_at_clock(stamp: float) -> None:
    """Log a warning if the newest entry is from the future: the clock that stamped it was wrong, or
    this machine's is, and the time of a log never goes back."""
    ahead = stamp - clock.now_ms() / 1000
    if ahead > _AHEAD:
        _log.warning(
            "the journal's clock is ahead",
            seconds=round(ahead),
            so="nothing in it grows old until this clock is there, and samples of that time are "
            "the newest: set the clocks right, or begin another log if they are",
        )
