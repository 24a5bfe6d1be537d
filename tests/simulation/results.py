"""Whether what was told of expressions is what the log says, by the plain way at each step."""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose, isfinite

import msgspec

from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator
from pushsvc.core.expression.stored import gather
from pushsvc.core.expression.vector import Element
from pushsvc.core.hub import Hub
from pushsvc.core.query.scope import EVERYTHING
from pushsvc.core.standing.asked import Expression, read_asked
from pushsvc.core.storage.entry import Entry
from pushsvc.errors import Rejected
from tests.shared_log import SharedLog
from tests.simulation.process import LIMITS, LONGER, PACING
from tests.simulation.story import Broken
from tests.simulation.watcher import Labels, Told, Watcher


class Step(msgspec.Struct, frozen=True):
    """A step as the log has it."""

    time: int
    seq: int
    """The batch that ended it."""
    values: dict[Labels, float]
    failure: str


def check(log: SharedLog, watchers: Sequence[Watcher]) -> None:
    """Raises Broken."""
    for watcher in watchers:
        for told in watcher.told:
            if told.cursor is not None:
                _check(watcher.name, told, log.past[told.epoch])


def _check(who: str, told: Told, entries: Sequence[Entry]) -> None:
    assert told.cursor is not None
    ways = [list(_steps(told, entries, horizon)) for horizon in sorted(told.horizons)]
    there = {step.time for step in ways[0]}
    if strange := (told.values.keys() | told.ended.keys()) - there:
        raise Broken(who, f"was told of {sorted(strange)}, at which there is no step")
    last = 0
    for steps in zip(*ways, strict=True):
        time, seq = steps[0].time, steps[0].seq
        given, ended = told.values.get(time, {}), told.ended.get(time, set())
        owed = told.sure < seq <= told.cursor.seq
        before = told.values.get(time - told.step, {})
        if any(last <= cursor < seq for cursor in told.restored):
            before = {}
        last = seq
        wrong: list[str] = []
        for step in steps:
            if (reason := _wrong(step, before, given, ended, owed=owed)) is None:
                break
            wrong.append(reason)
        else:
            raise Broken(who, f"{told.expression} at {time / 1000:.0f} ({seq}): {wrong}")
    over = [steps for steps in zip(*ways, strict=True) if steps[0].seq <= told.cursor.seq]
    newest = over[-1][0].seq if over else 0
    known = newest > told.sure and not any(newest <= cursor for cursor in told.restored)
    if known and told.failing not in (reasons := [step.failure for step in over[-1]]):
        raise Broken(who, f"was told that it fails with {told.failing!r}, and it is {reasons}")


def _wrong(
    step: Step,
    before: dict[Labels, float],
    given: dict[Labels, float],
    ended: set[Labels],
    *,
    owed: bool,
) -> str | None:
    """What is wrong with what was told of a step: values that aren't those of the log, or, of one
    of which all is `owed`, that some are missing."""
    for labels, value in given.items():
        if labels not in step.values or not isclose(value, step.values[labels], rel_tol=1e-9):
            return f"was given {given} for {step.values}"
    if spare := ended & step.values.keys():
        return f"was told that {spare} has ended, and there is {step.values}"
    if owed and (missing := step.values.keys() - given.keys()):
        return f"wasn't told of {missing}"
    if owed and (missing := before.keys() - step.values.keys() - ended):
        return f"wasn't told that {missing} has ended"
    return None


def _hub(epoch: str) -> Hub:
    return Hub(epoch, limits=LIMITS, retention=LONGER, pacing=PACING, make_session=lambda: "")


def _steps(told: Told, entries: Sequence[Entry], horizon: int) -> Sequence[Step]:
    """What the plain way finds at each step, for a process that knows the log from some batch
    on."""
    asked = read_asked(told.expression, LIMITS)
    assert isinstance(asked, Expression)
    hub, steps = _hub(told.epoch), []
    due = 0
    for entry in entries:
        if not due:
            due = (entry.stamp // told.step + 1) * told.step
        while due <= entry.stamp:
            steps.append(_plainly(hub, asked, due, entry.seq))
            due += told.step
        try:
            for _ in hub.take(entry):
                pass
        except Rejected:
            pass
        if entry.last == horizon:
            hub = _restored(hub)
    return steps


def _restored(hub: Hub) -> Hub:
    """One that goes on from a snapshot of another."""
    making = hub.snapshot()
    while True:
        try:
            next(making)
        except StopIteration as end:
            again = _hub(hub.epoch)
            again.restore(end.value)
            return again


def _plainly(hub: Hub, asked: Expression, time: int, seq: int) -> Step:
    try:
        source = gather(hub.catalog, asked.node, time, time, LOOKBACK, EVERYTHING, LIMITS)
        found = Evaluator(source, time, time).at(asked.node, time)
    except EvaluationError as error:
        return Step(time, seq, {}, str(error))
    assert isinstance(found, list)
    values = {
        tuple(sorted(one.labels)): one.value
        for one in found
        if isinstance(one, Element) and isfinite(one.value)
    }
    return Step(time, seq, values, "")
