"""Evaluates recorded expressions, step by step, and publishes their results.

A result is a sample like any other: it goes through the log, so that all processes have it once,
and it has a history. Each process that shares a log evaluates the expressions; the first one
records a step, and the others leave it out or get the answer of the first.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Final

import trio

from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live import Live
from pushsvc.core.expression.stored import earliest, selector_of_matchers
from pushsvc.core.hub import Hub
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import Batch, Identity, Rows, identify
from pushsvc.core.query.selector import Matcher, Selector
from pushsvc.core.resources.limits import Limits
from pushsvc.core.standing.described import Described
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Problem
from pushsvc.log import get_logger
from pushsvc.pipeline import Pipeline, now_ms
from pushsvc.recording.rules import Rule, RulesError, load_rules

_log = get_logger("pushsvc.recording")

_JITTER: Final = 0.1
"""Seconds over which the processes of one log spread a step, one after the other."""
_LONGEST: Final = 1.0
"""The longest sleep in seconds, since the machine's clock may be set meanwhile."""


class Recorder:
    """The recorded expressions of a file, over the series of a hub."""

    def __init__(
        self,
        file: Path,
        rules: Sequence[Rule],
        hub: Hub,
        pipeline: Pipeline,
        limits: Limits,
        *,
        shared: bool,
    ) -> None:
        """`shared` says whether other processes record the same into the same log."""
        self._file = file
        self._hub = hub
        self._pipeline = pipeline
        self._limits = limits
        self._jitter = _JITTER if shared else 0.0
        self.rules: Sequence[Rule] = ()
        """What is recorded, as last read."""
        self._groups: list[_Group] = []
        self._changed = trio.Event()
        self._take(rules)

    def _take(self, rules: Sequence[Rule]) -> None:
        limits = self._limits
        self.rules = tuple(rules)
        self._groups = [
            _Group([_Recorded(rule, limits) for rule in group]) for group in _grouped(rules)
        ]
        self._changed.set()

    async def reload(self) -> None:
        """Read the file again; an invalid one is logged, and the former rules stay."""
        try:
            rules = await trio.to_thread.run_sync(load_rules, self._file, self._limits)
        except RulesError as error:
            _log.error("the former recorded expressions stay", error=str(error))
            return
        self._take(rules)
        _log.info("recorded expressions read again", count=len(rules), file=str(self._file))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Record, until cancelled."""
        task_status.started()
        while True:
            self._changed = trio.Event()
            groups = self._groups
            for group in groups:
                group.plan(now_ms())
            while self._groups is groups:
                due = min((group.due for group in groups), default=None)
                await self._sleep_until(due)
                for group in groups:
                    if self._groups is groups and group.due <= now_ms():
                        await self._record(group)
                        group.plan(now_ms())

    async def _sleep_until(self, time: int | None) -> None:
        """Sleep until a moment in Unix ms, for a second at the most, or until rules change."""
        seconds = _LONGEST if time is None else min(_LONGEST, (time - now_ms()) / 1000)
        with trio.move_on_after(max(0.0, seconds)):
            await self._changed.wait()

    async def _record(self, group: _Group) -> None:
        counts, step = self._hub.counts, group.due
        if self._jitter:
            await trio.sleep(random.uniform(0, self._jitter))
        # Also where another process was first: it may be gone when one of these results disappears,
        # and then this process has to end it.
        rows = [rows for one in group.recorded for rows in one.rows(self._hub, step)]
        if self._jitter and group.is_recorded(self._hub, step):
            return
        # Processes may have received different samples when they evaluate a step. The key is that
        # of the step alone, so that the first result counts.
        once = group.key + hashlib.blake2b(b"%d" % step, digest_size=16).digest()
        once = hashlib.blake2b(once, digest_size=16).digest() * 2
        refused: list[Refused] = []
        try:
            await self._pipeline.submit(Batch(rows), once=once, refused=refused)
        except Problem as problem:
            counts["recording_failures"] += 1
            group.tell(str(problem))
            return
        counts["recorded_samples"] += len(rows) - len(refused)
        counts["recording_failures"] += bool(refused)
        group.tell(str(refused[0].problem) if refused else None)


class _Group:
    """Expressions of one interval whose results are published together, since none of them reads
    another's."""

    def __init__(self, recorded: Sequence[_Recorded]) -> None:
        self.recorded = recorded
        self._interval = round(recorded[0].rule.interval * 1000)
        self.due = 0
        """The next step, in Unix ms."""
        self._told: str | None = None
        named = repr([one.rule[:2] + one.rule[3:] for one in recorded])
        self.key = hashlib.blake2b(named.encode(), digest_size=16).digest()

    def plan(self, now: int) -> None:
        """Make the next step the first one after a time; steps that were missed are left out."""
        self.due = (now // self._interval + 1) * self._interval

    def is_recorded(self, hub: Hub, step: int) -> bool:
        """Whether another process has recorded this step, as far as is known."""
        for one in self.recorded:
            for identity in one.shown:
                series = hub.catalog.get(identity.text)
                if series is not None:
                    return series.history.newest_time >= step
        return False

    def tell(self, wrong: str | None) -> None:
        """Log what is wrong with its results, once until that changes."""
        if wrong is not None and wrong != self._told:
            _log.warning("not recorded", error=wrong, first=self.recorded[0].rule.name)
        self._told = wrong


class _Recorded:
    """One expression, and its results."""

    def __init__(self, rule: Rule, limits: Limits) -> None:
        self.rule = rule
        self._limits = limits
        self._live = Live(rule.node, most=limits.expression_samples)
        self._described = Described(rule.node)
        self.selectors: list[Selector] = [
            selector_of_matchers(each) for ways in self._live.selected for each in ways
        ]
        self._version = -1
        self._series: dict[int, Series] = {}
        self._labels: Sequence[Labels] = ()
        self._identities: list[Identity] = []
        self.shown: list[Identity] = []
        """Its results at the last step."""
        self._told: str | None = None

    def rows(self, hub: Hub, step: int) -> Iterator[Rows]:
        """The results at a step, and an ending for each former result that is no longer there."""
        try:
            self._follow(hub)
            labels, values = self._live.at(step)
            if labels is not self._labels:
                self._identities = self._name(labels)
                self._labels = labels
        except (EvaluationError, Problem) as error:
            hub.counts["recording_failures"] += 1
            self._tell(str(error))
            self._labels, values, self._identities = (), (), []
        else:
            self._tell(None)
        rule = self.rule
        # Also where there is none, which is then said: there may have been one before.
        unit = self._described.now.unit if rule.unit is None else rule.unit
        before, self.shown = self.shown, []
        for identity, value in zip(self._identities, values, strict=True):
            if value is None or not isfinite(value):
                continue
            self.shown.append(identity)
            yield Rows(identity, [step], [value], "gauge", unit, rule.help, given=True)
        there = {identity.text for identity in self.shown}
        for identity in before:
            if identity.text not in there:
                yield Rows(identity, [step], [None], given=True)

    def _follow(self, hub: Hub) -> None:
        """Look up its series."""
        catalog = hub.catalog
        if self._version == catalog.version:
            return
        self._version = catalog.version
        found = {one.ref: one for one in catalog.select(self.selectors)} if self.selectors else {}
        if len(found) > self._limits.expression_series:
            found = {}
            self._version = -1
            raise EvaluationError(
                f"it would read more than {self._limits.expression_series} series "
                "(limits.expression_series)"
            )
        for ref in self._series.keys() - found.keys():
            self._live.dismiss(self._series[ref])
        for ref in found.keys() - self._series.keys():
            self._live.admit(found[ref])
        self._series = found
        beside = catalog.select(self._described.beside)
        self._described.follow({one.ref: one for one in [*found.values(), *beside]}.values())

    def _name(self, labels: Sequence[Labels]) -> list[Identity]:
        """The names of the results as series. Raises Problem where their labels are refused, and
        EvaluationError where two would be the same series."""
        given = dict(self.rule.labels)
        found = [
            identify(
                self.rule.name,
                {name: value for name, value in one if name != METRIC_LABEL} | given,
                self._limits,
            )
            for one in labels
        ]
        if len({identity.text for identity in found}) < len(found):
            raise EvaluationError("two of its results have the same labels once they are named")
        return found

    def _tell(self, wrong: str | None) -> None:
        if wrong is not None and wrong != self._told:
            _log.warning("an expression can't be recorded", name=self.rule.name, error=wrong)
        self._told = wrong


def _grouped(rules: Sequence[Rule]) -> Iterator[Sequence[Rule]]:
    """Rules of one interval in their order; a new group begins where a rule reads what another one
    of the group records."""
    for interval in sorted({rule.interval for rule in rules}):
        group: list[Rule] = []
        for rule in rules:
            if rule.interval != interval:
                continue
            asked = [way for ways in earliest(rule.node, 0, 0, 0) for way in ways]
            if any(_may_be(other.name, way) for other in group for way in asked):
                yield group
                group = []
            group.append(rule)
        if group:
            yield group


def _may_be(name: str, way: Sequence[Matcher]) -> bool:
    """Whether a series of this name may be among those that a selector's matchers select."""
    return all(matcher.matches(name) for matcher in way if matcher.name == METRIC_LABEL)
