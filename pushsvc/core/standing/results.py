"""An expression that is watched: worked out at each step, once for all who watch it.

The step at T, a multiple of the step's length, sees the entries of the log that are stamped before
T. It is worked out when the first entry comes that is stamped at T or later, and its results are
rows with that entry's seq. So the results depend on the log alone, and not on where or when it is
read.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from math import isfinite
from typing import ClassVar, Final, Protocol

from pushsvc.core.expression.errors import EvaluationError, TooMuch
from pushsvc.core.expression.evaluate import LOOKBACK
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live import Column, Live
from pushsvc.core.expression.stored import earliest, selector_of_matchers
from pushsvc.core.model.series import Identity, canonical
from pushsvc.core.query.scope import Scope
from pushsvc.core.resources.limits import Limits, Retention
from pushsvc.core.standing.asked import Expression
from pushsvc.core.standing.described import Described
from pushsvc.core.standing.past import Past, Step, why_nothing
from pushsvc.core.storage.catalog import Series, Watcher

MOST_STEPS: Final = 600
"""The most steps that one entry of the log may end: after a longer silence of the log only the last
ones are worked out."""

_DEPARTURES: Final = 1_000
"""Departures of results that are remembered; a client that was away for longer is told of a gap."""

_COUNTABLE: Final = 64
"""The last rows of a departed result, of which a gap can still count how many a client lacks."""

_UNKNOWN: Final = 1 << 62
"""The cost of an expression that wasn't tried yet: it is worked out after all others."""

_PREPARING: Final = 1_000_000
"""How many samples may be handled before the first step, piece by piece."""

_TOLD: Final = 2
"""How many samples a result counts as that goes into its history."""

_CREATED: Final = 20
"""How many samples a result counts as that is new."""

_PAUSE: Final = 500
"""An expression that was too much isn't tried again for twice as many milliseconds, and each time
that it is too much again for twice as long as before."""

_LONGEST_PAUSE: Final = 60_000

_ROWS: Final = 1_000_000
"""About how many rows all results of one expression hold together."""

STATES: Final = "what it selects are states, such as texts, which aren't numbers"

_REFS: Final = 1 << 40
"""Refs of results begin above those of all stored series."""


class Audience(Watcher, Protocol):
    """Something that shows the results: a view, as far as this module needs to know it."""

    def join(self, series: Series) -> None:
        """Take in a result that is new."""

    def forget_openings(self) -> None:
        """Drop what is kept for clients that begin alike, since more of the past is known now."""


class Derived(Series):
    """One series of an expression's results. Its name is the expression, and its labels are as
    PromQL gives them, the name of a metric among them."""

    derived: ClassVar[bool] = True

    __slots__ = ("alive", "ended_at", "learnt", "standing")

    def __init__(
        self, ref: int, identity: Identity, standing: Standing, *, seq: int, limit: int
    ) -> None:
        super().__init__(
            ref,
            identity,
            standing.description.kind,
            standing.description.unit,
            "",
            seq=seq,
            claims=-1,
            stateful=False,
            history_limit=limit,
        )
        self.standing = standing
        self.alive = False
        """Whether it had a value at the newest step."""
        self.ended_at = 0
        """The step (Unix ms) since which it has no value, if it has none."""
        self.learnt = False
        """Whether it has rows of its past only, and clients that watched before don't know it
        yet."""


class Standing:
    """One expression, within one scope, at steps of one length."""

    def __init__(
        self,
        key: Hashable,
        expression: Expression,
        step: int,
        allowed: Scope,
        *,
        limits: Limits,
        retention: Retention,
    ) -> None:
        """`step` is in ms. It takes steps after `start`."""
        self.key = key
        self.expression = expression
        self.step = step
        self.allowed = allowed
        self.next_step = 0
        """The step that comes next, Unix ms."""
        self.first_step = 0
        """The first step whose results are known, Unix ms."""
        self.reached = 0
        """The earliest step (Unix ms) for which results of the past were looked for."""
        self.known = 0
        """The seq after which all results are known."""
        self.audience: list[Audience] = []
        self.members: dict[int, Derived] = {}
        """The results by ref."""
        self.departed: deque[tuple[int, Derived]] = deque(maxlen=_DEPARTURES)
        """(seq, series) of results that are gone, the oldest first."""
        self.forgotten = -1
        """The seq of the newest departure that is no longer known."""
        self.failure: str | None = None
        """Why there was no result at the newest step, if that has a reason: it couldn't be worked
        out, or what came of it can't be shown."""
        self.failed = False
        """Whether it couldn't be worked out."""
        self.failure_seq = -1
        """The seq of the batch with which `failure` last changed."""
        self.read: dict[int, Series] = {}
        """The stored series that it reads, by ref."""
        self._states: set[int] = set()  # refs of states that it would read if they were numbers
        reads = earliest(expression.node, 0, 0, LOOKBACK)
        self.span = -min(reads.values(), default=0)
        """How many ms before its time a step begins to read."""
        self.selectors = [selector_of_matchers(one) for each in reads for one in each]
        """Those within the expression: it reads what any of them selects."""
        self._limits = limits
        self._retention = retention
        self._described = Described(expression.node)
        self.beside = self._described.beside
        """Selectors of stored series that only say what the results are."""
        self.description = self._described.now
        """What the results are, as of the newest step."""
        self._live = Live(expression.node, most=limits.expression_samples)
        self.cost = _UNKNOWN
        """How many samples a step handles, going by the last that was worked out."""
        self.refused = False
        """Whether there was no result at the newest step because of a limit."""
        self._pause = _PAUSE
        self._resumes = 0  # the time (Unix ms) before which it isn't tried again
        self._refusal = TooMuch("expression_samples", 0, "samples")  # of the last that was tried
        self._labels: Sequence[Labels] = ()
        self._column: list[Derived | None] = []  # parallel to the labels
        self._by_labels: dict[Labels, Derived] = {}
        self._ended: dict[int, Derived] = {}  # by ref, in the order in which they ended
        self._first: tuple[int, int] | None = None  # the first step that it has, and its seq
        self._new: list[Derived] = []
        self._fresh: dict[int, Series] = {}
        self._leaving: list[Derived] = []

    # -- the beginning -----------------------------------------------------------------------------

    def prepare(self, step: int) -> Iterator[None]:
        """Do piece by piece, as for `step` (Unix ms), which is over, what would make the first one
        dear. Between two pieces anything may happen but a step."""
        if len(self.read) <= self._limits.expression_series:
            yield from self._live.prepare(step, _PREPARING)

    def start(self, next_step: int, known: int) -> None:
        """Take steps from `next_step` (Unix ms) on; `known` is the seq after which all results are
        known."""
        self.next_step = self.first_step = self.reached = next_step
        self.known = known

    # -- stored series come and go -----------------------------------------------------------------

    def admit(self, series: Series) -> None:
        """Take in a stored series if the expression reads it and the scope allows it."""
        if not self.allowed.admits(series.identity):
            return
        if self._live.admit(series):
            self.read[series.ref] = series
            self._described.admit(series, read=True)
        elif series.kind == "state" and self.covers(series):
            self._states.add(series.ref)
        elif self.beside:
            self._described.admit(series)

    def dismiss(self, series: Series) -> None:
        """Let go of a stored series."""
        if self.read.pop(series.ref, None) is not None:
            self._live.dismiss(series)
        self._states.discard(series.ref)
        self._described.dismiss(series)

    def note(self, series: Series) -> None:
        """Take note that something else is said of a stored series: what the results are is told
        with the next step."""
        self._described.note(series)

    def _describe(self, seq: int) -> None:
        """Say what the results are from batch `seq` on."""
        description = self._described.now
        if description is self.description:
            return
        changed = description != self.description
        self.description = description
        for series in self.members.values() if changed else ():
            series.kind, series.unit = description
            series.described_seq = seq
            self._fresh[series.ref] = series

    # -- steps -------------------------------------------------------------------------------------

    def skip_to(self, time: int) -> None:
        """Leave out the steps before `time` (Unix ms)."""
        if self.next_step < time:
            self.next_step = -(-time // self.step) * self.step

    def advance(self, seq: int, most: int = 1 << 62) -> int:
        """Work out the next step: it ends with the batch `seq`, of which nothing was taken in yet.
        `tell` tells those who watch.

        It may handle `most` samples; gives how many it handled. A step for which that isn't enough
        has no results, and the steps after it aren't tried for a while, which gets longer each
        time.
        """
        time = self.next_step
        self.next_step += self.step
        self._describe(seq)
        begins = self._first is None
        if begins:
            self._first = time, seq
        labels: Sequence[Labels] = ()
        values: Sequence[float | None] = ()
        tried = False
        try:
            if len(self.read) > self._limits.expression_series:
                raise TooMuch("expression_series", self._limits.expression_series, "series")
            if time < self._resumes:
                raise self._refusal
            tried = True
            labels, values = self._work_out(time, most)
            if len(labels) > self._limits.expression_results:
                raise TooMuch("expression_results", self._limits.expression_results, "results")
            failure, self.failed, self.refused = self._nothing(values), False, False
        except EvaluationError as error:
            labels = values = ()
            failure, self.failed = str(error), True
            self.refused = isinstance(error, TooMuch)
        if failure != self.failure or (begins and failure is not None):
            self.failure, self.failure_seq = failure, seq
        if labels is not self._labels:
            self._arrange(labels, time, seq)
        fresh, new = self._fresh, len(self._new)
        times = [time]
        for place, value in enumerate(values):
            series = self._column[place]
            if value is not None and isfinite(value):
                if series is None:
                    series = self._column[place] = self._create(labels[place], seq)
                if not series.alive:
                    series.alive = True
                    self._ended.pop(series.ref, None)
                if series.learnt:  # those who watched already know nothing of it
                    series.learnt = False
                    series.described_seq = seq
                series.history.extend(seq, times, [value], True)
                fresh[series.ref] = series
            elif series is not None and series.alive:
                self._end(series, time, seq)
        self._age(time)
        more = _TOLD * len(values) + _CREATED * (len(self._new) - new)
        return self._live.budget.spent + more if tried else 0

    def _nothing(self, values: Sequence[float | None]) -> str | None:
        """Why nothing can be shown of a step that was worked out, if that has a reason."""
        if not self.read and self._states:
            return STATES
        return why_nothing(values)

    def _work_out(self, time: int, most: int) -> Column:
        live = self._live
        try:
            column = live.at(time, most)
        except TooMuch:
            live.forget()
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._resumes = time + self._pause
            spent = live.budget.spent
            self.cost = spent if self.cost == _UNKNOWN else max(self.cost, spent)
            self._refusal = self._too_much(most)
            raise self._refusal from None
        self._pause = _PAUSE
        self.cost = live.budget.spent
        return column

    def _too_much(self, most: int) -> TooMuch:
        """The error of an expression that would handle more samples than it may."""
        limits = self._limits
        if limits.expression_samples <= min(most, limits.expression_samples_per_second):
            return TooMuch("expression_samples", limits.expression_samples, "samples")
        limit = limits.expression_samples_per_second
        of = "" if most == limit else ", of which others leave too few"
        return TooMuch("expression_samples_per_second", limit, f"samples a second{of}")

    def tell(self, seq: int) -> None:
        """Tell those who watch what the steps gave that were worked out since the last call.
        Departures have the seq of the batch `seq`."""
        for series in self._leaving:
            if len(self.departed) == self.departed.maxlen:
                self.forgotten = self.departed[0][0]
            self.departed.append((seq, series))
            for view in self.audience:
                view.dismiss(series, seq)
            series.views.clear()
        for view in self.audience:
            for series in self._new:
                view.join(series)
            view.dirty.update(self._fresh)
            view.plan_tick()
        self._leaving, self._new, self._fresh = [], [], {}

    @property
    def first_seq(self) -> int | None:
        """The seq of the first step whose results are known; None before there was one."""
        return None if self._first is None else self._first[1]

    @property
    def learns(self) -> bool:
        """Whether a past can be put before what it has: as long as nothing of that was dropped."""
        return (
            not self.departed
            and self.forgotten < 0
            and all(one.history.whole for one in self.members.values())
        )

    def learn(self, past: Past, steps: Sequence[Step], known: int) -> None:
        """Put the results of `steps`, which end right before the first that it has, before those
        that it has. They are all results of batches later than `known`. Only for one that
        `learns`."""
        junction = self._first
        if junction is None:
            self._describe(known)
        for labels, result in past.results.items():
            series = self._by_labels.get(labels)
            if junction is not None and result.values[-1] is not None:
                history = None if series is None else series.history
                if not history or history.sample(history.first)[0] != junction[0]:
                    result.add(junction[1], junction[0], None)
            if series is None:
                series = self._create(labels, result.seqs[0])
                self._new.remove(series)
                series.learnt = True
                series.alive = result.values[-1] is not None
                series.ended_at = result.times[-1]
                if not series.alive:
                    self._ended[series.ref] = series
                for view in self.audience:
                    view.join(series)
        for labels, series in self._by_labels.items():
            series.history.prepend(known, *past.results.get(labels, ((), (), ())))
        self._ended = dict(sorted(self._ended.items(), key=lambda item: item[1].ended_at))
        if junction is None:
            self.failure, self.failed = past.failure, past.failed
            self.failure_seq = -1 if past.failure is None else steps[-1].seen + 1
        self._first = steps[0].time, steps[0].seen + 1
        self.first_step, self.known = steps[0].time, known
        self._labels = []  # so that the next step finds out which results have ended
        for view in self.audience:
            view.forget_openings()

    def covers(self, series: Series) -> bool:
        """Whether it reads, or would have read, a stored series, which may be gone."""
        return self.allowed.admits(series.identity) and any(
            one.matches(series.identity) for one in self.selectors
        )

    def departed_since(self, seq: int) -> Iterator[tuple[int, Derived]]:
        """Departures of batches later than `seq`, the newest first."""
        for entry in reversed(self.departed):
            if entry[0] <= seq:
                break
            yield entry

    def _arrange(self, labels: Sequence[Labels], time: int, seq: int) -> None:
        """Match the results with other labels than those of the step before; results without a
        place among them end."""
        column = [self._by_labels.get(one) for one in labels]
        there = {series.ref for series in column if series is not None}
        for series in self.members.values():
            if series.alive and series.ref not in there:
                self._end(series, time, seq)
        self._labels, self._column = labels, column

    def _create(self, labels: Labels, seq: int) -> Derived:
        name = self.expression.text
        ref = self._ref(labels)
        series = Derived(
            ref, Identity(name, labels, canonical(name, labels)), self, seq=seq, limit=self._rows()
        )
        series.history.begin_after(self.known)
        self.members[ref] = self._by_labels[labels] = series
        self._new.append(series)
        return series

    def _ref(self, labels: Labels) -> int:
        """A ref that is the same in all processes."""
        salt = 0
        while True:
            text = repr((self.key, labels, salt)).encode("utf-8", "replace")
            ref = _REFS + int.from_bytes(hashlib.blake2b(text, digest_size=5).digest())
            if ref not in self.members:
                return ref
            salt += 1

    def _rows(self) -> int:
        """How many rows a result may hold."""
        wanted = int(self._retention.seconds * 1000) // self.step + 1
        share = max(_ROWS // max(1, len(self.members) + 1), 100)
        return max(1, min(wanted, share, self._retention.samples))

    def _end(self, series: Derived, time: int, seq: int) -> None:
        series.alive = False
        series.ended_at = time
        series.history.extend(seq, [time], [None], True)
        self._ended[series.ref] = series
        self._fresh[series.ref] = series

    def _age(self, time: int) -> None:
        """Drop rows that are too old, and results that have had no value for long."""
        oldest = time - int(self._retention.seconds * 1000)
        if time // self.step % 60 == 0:
            for series in self.members.values():
                series.history.drop_before(oldest)
        silent = time - int(self._retention.series_ttl * 1000)
        while self._ended:
            series = next(iter(self._ended.values()))
            crowded = len(self.members) > 2 * self._limits.expression_results
            if series.ended_at > silent and not crowded:
                break
            self._drop(series)

    def _drop(self, series: Derived) -> None:
        del self._ended[series.ref]
        del self.members[series.ref]
        del self._by_labels[series.identity.labels]
        self._column = [None if one is series else one for one in self._column]
        self._fresh.pop(series.ref, None)
        if series in self._new:
            self._new.remove(series)  # nobody was told of it
        else:
            self._leaving.append(series)
        series.history.retire(_COUNTABLE)
