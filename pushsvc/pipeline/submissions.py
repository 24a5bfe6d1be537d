"""Submissions that have no answer yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.storage.entry import Draft
from pushsvc.core.storage.holdings import Applied, Refused
from pushsvc.errors import Overloaded, Problem
from pushsvc.journal import Journal

_PATIENCE = 5.0
"""Seconds that a producer waits for a journal that is away."""

Outcome: TypeAlias = Applied | Problem | None
"""The outcome of a batch; None if it never got into the channel."""


class Submission:
    """A batch that was submitted, and the answer that its producer waits for."""

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
        """Whether its submitter waits without a limit."""
        self.refused = refused
        self.since = trio.current_time()
        self.handed = False
        """Whether it was given to the journal."""
        self.appended = False
        """Whether the journal has confirmed it."""
        self.doubtful = False
        """Whether the log began anew before the journal confirmed it: it may be in the part that
        isn't read any more."""
        self.through = 0
        """If it is doubtful: the seq that it lies before or at, if it is in the log."""
        self.taken: Applied | Problem | None = None
        """Its outcome when the hub took it in, which may be before the journal confirms it."""
        self.done = trio.Event()
        self.outcome: Outcome = None
        self._tell = tell

    @property
    def advice(self) -> str:
        """What the submitter should do if it isn't known whether it was applied."""
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
        """Answer the waiting caller now, whatever becomes of it later."""
        self.outcome = problem
        self.done.set()


class Submissions:
    """The submissions without an answer, by the nonces of their drafts."""

    def __init__(self, hub: Hub, journal: Journal) -> None:
        self._hub = hub
        self._journal = journal
        self._pending: dict[bytes, Submission] = {}
        self._doubtful: list[Submission] = []
        self._settled = trio.Event()  # set when there are none
        self.get = self._pending.get
        """The submission with a nonce, or None."""

    def add(self, submission: Submission) -> None:
        """Add one that is in the channel, or waits for it."""
        self._pending[submission.draft.nonce] = submission

    def withdraw(self, submission: Submission) -> None:
        """Remove one that never got into the channel."""
        del self._pending[submission.draft.nonce]
        submission.settle(None)

    def appended(self) -> list[Submission]:
        """Those that the journal has confirmed."""
        return [one for one in self._pending.values() if one.appended]

    async def all_answered(self) -> None:
        """Wait until there are none."""
        while self._pending:
            self._settled = trio.Event()
            await self._settled.wait()

    def settle(self, submission: Submission, outcome: Applied | Problem) -> None:
        """Answer the submitter."""
        del self._pending[submission.draft.nonce]
        if isinstance(outcome, Applied) and submission.refused is not None:
            submission.refused += outcome.refused
        submission.settle(outcome)
        if not self._pending:
            self._settled.set()

    def begin_anew(self) -> None:
        """The log begins anew: what the hub has answered for them is void."""
        self._doubtful.clear()  # they count as appended: the reader looks for them as it reads anew
        for submission in self._pending.values():
            submission.taken = None  # the hub has been reset since
            submission.doubtful = submission.handed and not submission.appended

    def doubt(self, submission: Submission) -> None:
        """Note one that the journal was given before the log began anew, and has confirmed
        since."""
        submission.through = self._journal.seq
        self._doubtful.append(submission)

    def give_up_lost(self, appended: list[Submission]) -> None:
        """Answer those that the journal had and that were not found as it was read: they are lost,
        or part of a snapshot."""
        for submission in appended:
            if submission.draft.nonce in self._pending:
                lost = Overloaded(
                    "journal",
                    f"the log begins anew, and what it had of this may be lost: {submission.advice}"
                    if self._hub.horizon
                    else "the log lost this with its tail: send it again",
                    retry_after=1.0,
                )
                self.settle(submission, lost)

    def give_up_doubtful(self) -> None:
        """Answer those that the journal was given before the log began anew and that were not found
        as it was read since: they are part of a snapshot, or lost."""
        if not self._doubtful or not self._hub.warm:
            return
        read = [one for one in self._doubtful if one.through <= self._hub.seq]
        self._doubtful = [one for one in self._doubtful if one.through > self._hub.seq]
        self.give_up_lost(read)

    def answer_meanwhile(self, now: float) -> None:
        """If the journal is away, say so to producers that have waited for `_PATIENCE` seconds."""
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

    def give_up(self) -> None:
        """Answer all who still wait: no task drives the pipeline any more."""
        for submission in list(self._pending.values()):
            if not submission.done.is_set():
                submission.give_up(
                    Overloaded(
                        "stopped",
                        "the service ended before it was known whether this was applied",
                        retry_after=2.0,
                    )
                )
