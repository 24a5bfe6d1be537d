"""What happened in a simulation, to find out why it broke a rule."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec
import trio

_PAGE = 90

speaker: ContextVar[str] = ContextVar("speaker", default="log")
"""Which process it is that something is done by."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    time: float
    who: str
    what: str
    fault: bool = False
    """Whether it is something that the world did to them."""


class Span(msgspec.Struct, array_like=True):
    """Something that lasted."""

    who: str
    kind: str
    """How it is drawn: `epoch`, `down`, `cut`, `slow`, `away`, `draining`, `stalled`, or the name
    of the process that somebody was connected to."""
    begin: float
    what: str
    end: float | None = None


class Story:
    """Lines of who did what when, and what lasted."""

    def __init__(self) -> None:
        self.lanes: list[str] = ["log"]
        """All whom it is about: the log, processes, and those who come to them."""
        self.clients: set[str] = set()
        self.lines: list[Line] = []
        self.spans: list[Span] = []

    def add_process(self, name: str) -> None:
        self.lanes.append(name)

    def add_client(self, name: str) -> None:
        self.lanes.append(name)
        self.clients.add(name)

    def tell(self, who: str, what: str, *, fault: bool = False) -> None:
        self.lines.append(Line(trio.current_time(), who, what, fault))

    def begin(self, who: str, kind: str, what: str) -> Callable[[], None]:
        """Something begins that lasts until what is returned is called."""
        span = Span(who, kind, trio.current_time(), what)
        self.spans.append(span)

        def end() -> None:
            if span.end is None:
                span.end = trio.current_time()

        return end

    @contextmanager
    def during(self, who: str, kind: str, what: str) -> Generator[None]:
        end = self.begin(who, kind, what)
        try:
            yield
        finally:
            end()

    def text(self, about: str = "") -> str:
        """What happened to the log and to processes, and to the one whom it is about; the last of
        it where that is too much."""
        kept = [line for line in self.lines if line.who == about or line.who not in self.clients]
        left_out = len(kept) - _PAGE
        text = [f"{one.time:9.3f} s  {one.who:<12} {one.what}" for one in kept[-_PAGE:]]
        if left_out > 0:
            text.insert(0, f"... {left_out} lines before")
        return "\n".join(text)


class Broken(AssertionError):
    """A rule was broken; says which, and by whom."""

    def __init__(self, who: str, rule: str) -> None:
        super().__init__(f"{who}: {rule}")
        self.who = who
        self.rule = rule
