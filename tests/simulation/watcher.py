"""Dashboards that ask a question: results of an expression, from whichever process."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import trio

from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.standing.asked import read_asked
from pushsvc.errors import Overloaded
from tests.flow import Service
from tests.simulation.dashboard import Dashboard
from tests.simulation.process import LIMITS, Process
from tests.simulation.story import Broken, Story

EXPRESSIONS: Final = (
    'sum({__name__=~"a|b|c"})',
    'count({__name__=~".+"})',
    "a + on () b",
    "max_over_time(a[3s])",
    'rate({__name__=~"d|e"}[5s])',
    'topk(1, {__name__=~".+"})',
    "absent(c)",
    'a + on () {__name__=~"b|c"}',  # fails while there are both
)
_STEPS: Final = (1, 1, 2)

Labels = tuple[tuple[str, str], ...]


class Told:
    """What was told of an expression in one epoch."""

    def __init__(self, epoch: str, expression: str, step: int, sure: int) -> None:
        self.epoch = epoch
        self.expression = expression
        self.step = step
        """Milliseconds."""
        self.sure = sure
        """Of steps that batches later than this one ended, all results were told."""
        self.cursor: Cursor | None = None
        self.values: dict[int, dict[Labels, float]] = {}
        """By step (Unix ms)."""
        self.ended: dict[int, set[Labels]] = {}
        self.horizons: set[int] = set()
        """Where the processes that told of it begin to know the log."""
        self.restored: list[int] = []
        """Cursors with which it came to a process that doesn't know all of the log: what was told
        before, and has no value at the next step, may not be known there."""
        self.failing = ""


class Watcher(Dashboard):
    """One that watches an expression, and keeps what it is told."""

    def __init__(self, name: str, seed: str, processes: list[Process], story: Story) -> None:
        super().__init__(name, seed, processes, story)
        self.told: list[Told] = []
        self._expression = self._dice.choice(EXPRESSIONS)
        self._step = self._dice.choice(_STEPS)
        self._names = [self._expression]
        self._merge = "all"
        self._labels: dict[int, Labels] = {}
        self._given_already: set[tuple[int, Labels]] = set()

    def _spec(self, hub: Hub) -> ViewSpec:
        asked = [read_asked(self._expression, LIMITS)]
        return hub.grant(asked, self._hz, self._merge, step=self._step)

    async def _prepare(self, service: Service, since: Cursor | None) -> None:
        try:
            await service.pipeline.prepare(self._spec(service.hub), Start(since))
        except Overloaded as problem:
            self.tell(f"isn't prepared: {problem}")

    def _attached(self, hub: Hub, since: Cursor | None) -> None:
        if self.told and self.told[-1].cursor is None:
            self.told.pop()
        if since is None or since.epoch != hub.epoch:
            self.told.append(Told(hub.epoch, self._expression, self._step * 1000, hub.seq))
            self._given_already.clear()
            self._labels = {}
        told = self.told[-1]
        told.horizons.add(hub.horizon)
        if hub.horizon or hub.departed:
            told.restored.append(hub.seq if since is None else since.seq)

    def _watch(self, service: Service, subscriber: Subscriber) -> None:
        """It has one question."""

    def _check_unknown(self, hub: Hub) -> None:
        """A process may not know what came of an expression that nobody asked it for."""

    def _given(self, hub: Hub, frame: Frame, at: Cursor | None = None) -> None:
        document: dict[str, Any] = msgspec.json.decode(frame.json)
        told, kind = self.told[-1], document["type"]
        if kind in ("hello", "failing"):
            told.failing = document.get("failing", {}).get(self._name, "")
            self.tell(f"is told that it {'fails: ' + told.failing if told.failing else 'works'}")
        elif kind == "gap":
            self.tell(f"gap {document['lost']} after {document['id']}")
            told.sure = hub.seq
            if document["lost"] is None:
                self._given_already.clear()
        elif kind == "points":
            self._results(told, document)
        if frame.cursor is not None and (at is None or frame.cursor.seq <= at.seq):
            self._move(frame.cursor)
            told.cursor = frame.cursor

    def _answered(self, failing: Frame | None) -> None:
        reasons = {} if failing is None else msgspec.json.decode(failing.json)["failing"]
        self.told[-1].failing = reasons.get(self._name, "")
        self.told[-1].cursor = self.cursor

    @property
    def _name(self) -> str:
        return read_asked(self._expression, LIMITS).text

    def _results(self, told: Told, document: dict[str, Any]) -> None:
        for series in document.get("series", ()):
            labels = tuple(sorted(series["labels"].items()))
            if series["name"] != self._name or not series["expression"]:
                raise Broken(self.name, f"was told of {series}, and asked for {self._name}")
            if self._labels.setdefault(series["ref"], labels) != labels:
                raise Broken(self.name, f"ref {series['ref']} is {labels}, and was another")
        for ref, time, value in document["points"]:
            self._count(ref, time)
            told.values.setdefault(time, {})[self._labels[ref]] = value
        for ref, time in document.get("ended", ()):
            self._count(ref, time)
            told.ended.setdefault(time, set()).add(self._labels[ref])
        given = " ".join(
            f"{time / 1000:.0f}:{dict(self._labels[ref])}={value}"
            for ref, time, value in document["points"]
        )
        ended = [(time / 1000, self._labels[ref]) for ref, time in document.get("ended", ())]
        self.tell(f"given {given} ended {ended} up to {document.get('id')}")

    def _count(self, ref: int, time: int) -> None:
        if ref not in self._labels:
            raise Broken(self.name, f"was told of ref {ref}, which was not described")
        key = time, self._labels[ref]
        if key in self._given_already:
            raise Broken(self.name, f"was told twice of {key[1]} at {time / 1000:.0f}")
        self._given_already.add(key)


async def work(job: Any, *_: Any, **__: Any) -> Any:
    """Stands for a thread: the clock of a simulation doesn't wait for one."""
    await trio.sleep(0.05)
    return job()
