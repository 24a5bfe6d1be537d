"""From the journal into the hub: what was in it at the start, what comes, and what is to be done
where the log isn't the one that was read so far."""

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
from pushsvc.pipeline.snapshots import Snapshots
from pushsvc.pipeline.submissions import Submissions

_log = get_logger("pushsvc.pipeline")

_AT_ONCE = 2_000
"""Series that entries which come together have samples of, about, until others have their turn."""
_AGAIN = 1.0
"""Seconds until a log is read anew of which nothing could be read."""
_TOLD_OF_LOSS = (
    "each is sent away, comes back within seconds, and is told of a gap of unknown size; producers "
    "whose batch may be lost get 503"
)
_TELL = 2.0
"""Seconds between two words on how far a start has got."""
_AHEAD = 60.0
"""Seconds by which a log's clock may be ahead of this machine's without being told of."""


class Reader:
    """Has the hub take in the entries of the journal, in their order, and those be answered that
    were submitted here."""

    def __init__(
        self,
        hub: Hub,
        journal: Journal,
        pacing: Pacing,
        submissions: Submissions,
        snapshots: Snapshots,
        starting: Starting,
        wake_ticker: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._pacing = pacing
        self._submissions = submissions
        self._snapshots = snapshots
        self._starting = starting
        self._wake_ticker = wake_ticker
        self._moved = trio.Event()  # set when the hub has taken something in
        self._taken: tuple[float, int] | None = None  # when entries came last, by both clocks
        self.swept_at = -inf
        """When the log last said that time has passed, by Trio's clock."""
        self.clock_ahead_ms = clock.now_ms() - trio.current_time() * 1000
        """By how much the journal's clock is ahead of Trio's, about."""

    async def moved(self) -> None:
        """Wait until the hub takes in another entry."""
        if self._moved.is_set():
            self._moved = trio.Event()
        await self._moved.wait()

    def journal_time(self) -> float:
        """What the journal's clock shows at the latest, going by the newest entry. Of the clocks
        here, the monotonic one stands while the machine sleeps, and the other can be set back."""
        if self._taken is None:
            return inf
        monotonic, unix_ms = self._taken
        passed = max(trio.current_time() - monotonic, (clock.now_ms() - unix_ms) / 1000)
        return self._hub.stamp + passed

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
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
                gone_on = self._hub.seq > self._hub.horizon
                self._begin_anew(error)
                # A log that can't be read from where it says takes its time to say something else.
                await trio.sleep(0 if gone_on else _AGAIN)

    async def _restore(self) -> None:
        """Go on from where reading begins."""
        if self._journal.keeps and (known := await self._journal.snapshot()) is not None:
            try:
                self._hub.restore(known.body)
            except SnapshotError as error:
                raise JournalError(f"the log can't be read: {error}") from None

    async def _warm(self) -> AsyncGenerator[None]:
        """Read for ever, and give a sign when all was taken in that there was at the beginning."""
        hub, first, warm = self._hub, self._hub.seq, self._journal.seq
        hub.begin_warming()
        # What is appended from now on may lie beyond, and is no more lost than what is to come.
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
        """The log isn't the one that was read, or goes on too far ahead: send all dashboards away,
        who come back with a cursor of before, and begin to read where that can be done."""
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
        """Say what is known of what is gone, and what comes of it."""
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
        """Take in entries that are there at once; what else there is to do has its turn between."""
        rows = 0
        for entry in entries:
            rows += entry.draft.batch.series
            if rows >= _AT_ONCE:
                rows = 0
                await trio.lowlevel.checkpoint()
            await self._take(entry)
        self._taken = trio.current_time(), clock.now_ms()

    async def _take(self, entry: Entry) -> None:
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
                await trio.lowlevel.checkpoint()
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
        if self._journal.keeps:
            await self._snapshots.make(entry)


def _look_at_clock(stamp: float) -> None:
    """Tell where the newest entry of a log is from a time that hasn't come yet: the clock that
    stamped it was wrong, or this one is, and a log's time never goes back."""
    ahead = stamp - clock.now_ms() / 1000
    if ahead > _AHEAD:
        _log.warning(
            "the journal's clock is ahead",
            seconds=round(ahead),
            so="nothing in it grows old until this clock is there, and samples of that time are "
            "the newest: set the clocks right, or begin another log if they are",
        )
