"""The expressions that are watched, and when each takes its steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from math import inf
from typing import Protocol

from pushsvc.core.model.cursor import Cursor
from pushsvc.core.query.scope import Scope
from pushsvc.core.resources.limits import Limits, Retention
from pushsvc.core.standing.allowance import Allowance
from pushsvc.core.standing.asked import Expression
from pushsvc.core.standing.past import Job, Past, Step
from pushsvc.core.standing.results import MOST_STEPS, Standing
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.holdings import Holdings
from pushsvc.errors import Overloaded

_MOST_PAST = 11_000
"""The most steps of the past that one job works out."""

_AROUND = 30
"""Steps before a cursor that are worked out with those after it."""

_ADMITTED = 10
"""How many samples a series counts as when an expression begins to read it, all at once."""

_AT_ONCE = 250
"""Series that are looked at between two pieces of a beginning."""


class Shown(Protocol):
    """What a view shows, as far as this module needs to know it."""

    @property
    def expressions(self) -> Sequence[Expression]: ...
    @property
    def step(self) -> int:
        """Milliseconds."""

    @property
    def allowed(self) -> Scope: ...


class Standings:
    """Each expression, within one scope and at steps of one length, is here once for all who watch
    it. The steps are taken between the entries of the log, within what all may handle together."""

    def __init__(self, holdings: Holdings, limits: Limits, retention: Retention) -> None:
        self.next_step = inf
        """The earliest next step of all expressions that are watched (Unix ms by the journal's
        clock); infinity if there are none."""
        self._holdings = holdings
        self._limits = limits
        self._retention = retention
        self._all: dict[Hashable, Standing] = {}
        self._beginning: dict[Hashable, Standing] = {}
        """Those that `begin` is at, which take no steps yet."""
        self._begun: dict[Hashable, Standing] = {}
        """Those that it has done, and that no view shows yet."""
        self._allowance = Allowance(limits.expression_samples_per_second)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._all.values())

    def admit(self, series: Series) -> None:
        """Take in a series that is new."""
        for standing in self._every():
            standing.admit(series)

    def dismiss(self, series: Series) -> None:
        """Let go of a series that is gone."""
        for standing in self._every():
            standing.dismiss(series)

    def note(self, series: Series) -> None:
        """Take note that something else is said of a series."""
        for standing in self._every():
            standing.note(series)

    def _every(self) -> Iterator[Standing]:
        yield from self._all.values()
        yield from self._beginning.values()
        yield from self._begun.values()

    # -- steps -------------------------------------------------------------------------------------

    def reach(self, stamp: int, seq: int) -> Generator[None, None, None]:
        """Work out, step by step, those that end before entry `seq`, which was stamped at `stamp`
        (Unix ms)."""
        if stamp < self.next_step:
            return
        stepped: dict[object, Standing] = {}
        while True:
            due = [one for one in self._all.values() if one.next_step <= stamp]
            if not due:
                break
            # The most expensive comes last: it is the one to fail if all together are too much.
            standing = min(due, key=lambda one: (one.next_step, one.cost))
            if not standing.next_step:  # made before the first entry of the log, which this is
                standing.next_step = (stamp // standing.step + 1) * standing.step
                continue
            standing.skip_to(stamp // 1000 * 1000 - (MOST_STEPS - 1) * standing.step)
            spent = standing.advance(seq, self._allowance.left(standing.next_step))
            self._allowance.spend(spent)
            stepped[standing.key] = standing
            self._holdings.counts["expression_steps"] += 1
            self._holdings.counts["expression_samples"] += spent
            self._holdings.counts["expression_steps_refused"] += standing.refused
            if len(due) > 1 or standing.next_step <= stamp:
                yield
        for standing in stepped.values():
            standing.tell(seq)
        self._plan_steps()

    def _plan_steps(self) -> None:
        self.next_step = min((one.next_step for one in self._all.values()), default=inf)

    # -- who watches what --------------------------------------------------------------------------

    def holds(self, shown: Shown) -> bool:
        """Whether all expressions of a view are already being worked out."""
        return all(_key(one, shown.step, shown.allowed) in self._all for one in shown.expressions)

    def of(self, shown: Shown, make_room: Callable[[], None]) -> list[Standing]:
        """The expressions that a view shows, each worked out from now on if it wasn't yet.
        `make_room` closes the views that nobody watches. Raises Overloaded if there is no room for
        one."""
        self._look_for_room(shown, make_room)
        try:
            return [self._standing(one, shown.step, shown.allowed) for one in shown.expressions]
        except Overloaded:
            self._holdings.counts["expressions_refused"] += 1
            self.drop_unwatched()
            raise

    def drop_unwatched(self) -> None:
        """Drop the expressions that no view shows; those that are beginning stay."""
        for key in [key for key, one in self._all.items() if not one.audience]:
            del self._all[key]
        self._plan_steps()

    def _look_for_room(self, shown: Shown, make_room: Callable[[], None]) -> None:
        new = sum(
            _key(one, shown.step, shown.allowed) not in self._all for one in shown.expressions
        )
        if new and (
            len(self._all) + new > self._limits.expressions
            or self._steps_per_second + new * _per_second(shown.step)
            > self._limits.expression_steps_per_second
        ):
            make_room()

    def begin(self, shown: Shown, make_room: Callable[[], None]) -> Generator[None, None, None]:
        """Begin with the expressions of a view that aren't worked out yet, piece by piece, so that
        neither `of` nor their first step takes long. Between two pieces entries may be taken in,
        but nothing else be begun. `abandon` must follow, after `of`. Takes and raises what `of`
        does."""
        self._look_for_room(shown, make_room)
        for expression in shown.expressions:
            key = _key(expression, shown.step, shown.allowed)
            if key in self._all or key in self._begun:
                continue
            try:
                self._refuse(shown.step)
            except Overloaded:
                self._holdings.counts["expressions_refused"] += 1
                raise
            standing = self._make(key, expression, shown.step, shown.allowed)
            self._beginning[key] = standing
            for _ in self._prepare(standing):
                yield
                if self._beginning.get(key) is not standing:
                    return  # the log was begun anew
            self._begun[key] = self._beginning.pop(key)

    def _prepare(self, standing: Standing) -> Iterator[None]:
        for place, series in enumerate(self._select(standing)):
            if series.listed:  # it may have gone meanwhile
                standing.admit(series)
            if place % _AT_ONCE == _AT_ONCE - 1:
                yield
        if (stamp := round(self._holdings.stamp * 1000)) > 0:
            yield from standing.prepare(stamp // standing.step * standing.step)

    def abandon(self, shown: Shown) -> None:
        """Drop what `begin` has left of a view."""
        for one in shown.expressions:
            key = _key(one, shown.step, shown.allowed)
            self._beginning.pop(key, None)
            self._begun.pop(key, None)

    def begin_anew(self) -> None:
        """Drop all that is beginning, since the log begins anew."""
        self._beginning.clear()
        self._begun.clear()

    def _make(self, key: Hashable, expression: Expression, step: int, allowed: Scope) -> Standing:
        return Standing(
            key, expression, step, allowed, limits=self._limits, retention=self._retention
        )

    def _select(self, standing: Standing) -> list[Series]:
        return self._holdings.catalog.select(
            [*standing.selectors, *standing.beside], standing.allowed
        )

    def _standing(self, expression: Expression, step: int, allowed: Scope) -> Standing:
        """The `Standing` of an expression, made if there is none. Raises Overloaded."""
        key = _key(expression, step, allowed)
        standing = self._all.get(key)
        if standing is not None:
            return standing
        self._refuse(step, begun=key in self._begun)
        stamp = round(self._holdings.stamp * 1000)
        standing = self._begun.pop(key, None)
        if standing is None:
            standing = self._make(key, expression, step, allowed)
            for series in self._select(standing):
                standing.admit(series)
            self._allowance.spend(_ADMITTED * len(standing.read))
        last = stamp // step * step
        standing.start(last + step if stamp else 0, self._ended_by(last))
        self._all[key] = standing
        self._plan_steps()
        return standing

    def _refuse(self, step: int, *, begun: bool = False) -> None:
        """Raise Overloaded if there is no room for another expression with steps of this length.
        One that has `begun` was refused before if others had handled too much."""
        if len(self._all) >= self._limits.expressions:
            raise Overloaded(
                "expressions",
                f"{self._limits.expressions} different expressions are watched, the limit "
                "(limits.expressions); ask for one that is, or come back",
                retry_after=5.0,
                limit="expressions",
            )
        most = self._limits.expression_steps_per_second
        if self._steps_per_second + _per_second(step) > most:
            raise Overloaded(
                "expressions",
                f"the expressions that are watched have {most:g} steps a second, the limit "
                "(limits.expression_steps_per_second); ask for a longer step, or come back",
                retry_after=5.0,
                limit="expression_steps_per_second",
            )
        if not begun and not self._allowance.left(round(self._holdings.stamp * 1000)):
            raise Overloaded(
                "expressions",
                "the expressions that are watched have handled "
                f"{self._limits.expression_samples_per_second:,} samples this second, the limit "
                "(limits.expression_samples_per_second); come back, or ask for one that is watched",
                retry_after=1.0,
                limit="expression_samples_per_second",
            )

    @property
    def _steps_per_second(self) -> float:
        return sum(_per_second(one.step) for one in self._all.values())

    def _ended_by(self, step: int) -> int:
        """The seq of the entry that ended a step (Unix ms) which is over, or a later one where that
        isn't known."""
        before = self._holdings.arrivals.before(step / 1000)
        return self._holdings.seq if before < 0 else min(before + 1, self._holdings.seq)

    # -- steps of the past -------------------------------------------------------------------------

    def wanted(
        self, standing: Standing, since: Cursor | None, window: float | None, time_ms: int
    ) -> int:
        """The first step (Unix ms) whose results must be known for a client that comes with the
        cursor `since`, or else wants `window` seconds of the past (None: none). If it isn't before
        `standing.reached`, they were looked for already."""
        step = standing.step
        if since is not None and since.epoch == self._holdings.epoch:
            if since.seq >= standing.known:
                # A result that had a value for the client may have none at the first step. It takes
                # the step before to see that it has ended.
                begun = standing.first_seq is not None and standing.first_seq <= since.seq
                return standing.first_step - (0 if begun else step)
            second = self._holdings.arrivals.second_of(since.seq)
            if second is None:
                return 0
            # Other clients will come with cursors that are a little older.
            return -(-(second + 1) * 1000 // step) * step - _AROUND * step
        last = round(self._holdings.stamp * 1000) // step * step
        if window is None:
            return last
        return min(last, time_ms - round(window * 1000))

    def past_of(self, standing: Standing, wanted: int) -> Generator[None, None, Job | None]:
        """Make, piece by piece, the job that works out the results of an expression from step
        `wanted` (Unix ms) on, or from the first step for which all that it reads is still held.
        Returns None if there is nothing to work out, or too much. `learn` takes the result. Between
        two pieces entries may be taken in: the job is of those before."""
        step, end = standing.step, standing.first_step
        if not standing.learns or not standing.next_step:
            return None
        most = self._limits.expression_samples // max(1, len(standing.read))
        begin = max(
            wanted,
            self._whole_from(standing),
            end - min(most, _MOST_PAST) * step,
        )
        begin = -(-begin // step) * step
        if begin >= end:
            return None
        times = range(begin - step, end, step)
        arrivals = self._holdings.arrivals
        none = 0 if arrivals.whole else -1
        steps = [
            Step(time, max(seen, none))
            for time, (seen, ended) in zip(
                times, arrivals.cuts([time // 1000 for time in times]), strict=True
            )
            if max(seen, none) >= 0 and time >= ended * 1000 - (MOST_STEPS - 1) * step
        ]
        since = steps[0].time - standing.span if steps else 0
        rows = sum(one.history.total - one.history.since(since) for one in standing.read.values())
        if len(steps) < 2 or rows > self._limits.expression_samples:
            return None
        series = list(standing.read.values())
        job = Job(standing.expression.node, steps, standing.span, limits=self._limits)
        for place in range(0, len(series), _AT_ONCE):
            job.copy(series[place : place + _AT_ONCE])
            yield
        # What went meanwhile is missing in the copies that were made after that.
        whole = self._whole_from(standing)
        return job if job.leave_out(whole) else None

    def learn(self, standing: Standing, job: Job, past: Past | None) -> None:
        """Take in the result of a job, which is None if the job was too much. No other job of this
        expression may have been under way."""
        if past is not None and standing.learns and standing.first_step > job.steps[0].time:
            standing.learn(past, job.steps, job.known)

    def _whole_from(self, standing: Standing) -> int:
        """The earliest time (Unix ms) of a step for which all that it reads is still held."""
        arrivals = self._holdings.arrivals
        low = max((one.history.evicted_time for one in standing.read.values()), default=0)
        for _, series in self._holdings.departed:
            if standing.covers(series):
                low = max(low, series.history.newest_time)
        known = max(self._holdings.horizon, self._holdings.forgotten)
        if known > 0:
            second = arrivals.second_of(known)
            low = max(low, ((arrivals.first or 0) if second is None else second + 1) * 1000)
        return max(low + standing.span, ((arrivals.first or 0) + 1) * 1000)


def _key(expression: Expression, step: int, allowed: Scope) -> Hashable:
    """Equal for expressions that have the same results."""
    return expression.text, step, allowed.key


def _per_second(step: int) -> float:
    return 1000 / step
