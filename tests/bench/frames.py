"""Frames: what one frame to one subscriber costs, beside a bare `socket.send` of as many bytes.

One producer publishes, and every subscriber is sent one frame: of three points or of eighty-two
where samples share a frame, which makes some 128 bytes or 2 KiB, and elsewhere of one sample that
is as long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.load import Measured, Window
from tests.bench.report import Figure, milliseconds, ratio
from tests.bench.systems import (
    BROADCAST,
    CENTRIFUGO,
    FLOOR,
    FLOOR_C,
    MERCURE,
    MOST_NAIVE,
    NAIVE,
    NCHAN,
    PUSHSVC,
    Subscribers,
    System,
)

POINTS = {128: 3, 2048: 82}
"""Points in one of our frames of about so many bytes."""


class Sent(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    cpu_us: Figure
    """CPU of the server per frame delivered, publishing included."""
    times_floor: Figure
    """The same, by the floor's of the same round."""
    p50_ms: Figure
    p99_ms: Figure
    max_ms: Figure
    handshake_us: float
    """CPU of the server per connection made."""


class Frames(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    size: int
    sent: list[Sent]


class FramesCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    size: int
    rounds: int
    seconds: float
    beside: System | None = None

    @property
    def title(self) -> str:
        return f"frames of {self.size} bytes, {self.transport}, {self.clients} subscribers"

    @property
    def systems(self) -> list[System]:
        everyone = [FLOOR, FLOOR_C, PUSHSVC, BROADCAST, NCHAN, CENTRIFUGO, MERCURE]
        if self.beside is not None:
            everyone.insert(everyone.index(PUSHSVC) + 1, self.beside)
        if self.clients <= MOST_NAIVE:
            everyone.append(NAIVE)
        return [
            each
            for each in everyone
            if self.transport in each.transports and each.missing() is None
        ]

    @property
    def steps(self) -> int:
        return self.rounds * len(self.systems)

    def run(self, step: Callable[[str], None]) -> Frames:
        """Measure, the systems in turn; `step` is called before each window. Raises Failed."""
        window = Window("together", self.seconds)
        measured: dict[str, list[Measured]] = {each.name: [] for each in self.systems}
        with contextlib.ExitStack() as stack:
            connected = {each.name: self._connect(each, stack) for each in self.systems}
            for number in range(self.rounds):
                for name, subscribers in connected.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    measured[name].append(subscribers.measure(window))
        floor = [_cost(each) for each in measured[FLOOR.name]]
        return Frames(
            self.transport,
            self.clients,
            self.size,
            [_sent(name, connected[name], each, floor) for name, each in measured.items()],
        )

    def _connect(self, system: System, stack: contextlib.ExitStack) -> Subscribers:
        server = stack.enter_context(system.serving())
        points = POINTS[self.size]
        series, pad = (points, 0) if system.documents == "v1" else (1, self.size)
        return stack.enter_context(
            server.subscribers(self.transport, self.clients, series=series, pad=pad)
        )


def _cost(window: Measured) -> float:
    return window.server_cpu / window.receives


def _sent(name: str, subscribers: Subscribers, windows: list[Measured], floor: list[float]) -> Sent:
    costs = [_cost(each) for each in windows]
    return Sent(
        name,
        Figure.of([1e6 * each for each in costs]),
        Figure.of([each / least for each, least in zip(costs, floor, strict=True)]),
        Figure.of([each.p50_ms for each in windows]),
        Figure.of([each.p99_ms for each in windows]),
        Figure.of([each.max_ms for each in windows]),
        1e6 * subscribers.ready.server_cpu / subscribers.clients,
    )


def cases(*, quick: bool) -> list[FramesCase]:
    if quick:
        return [
            FramesCase(transport, 1000, 128, rounds=3, seconds=0.5)
            for transport in ("websocket", "sse")
        ]
    return [
        FramesCase(transport, clients, size, rounds=5, seconds=1.0)
        for transport in ("websocket", "sse")
        for clients in (1_000, 5_000, 15_000)
        for size in (128, 2048)
    ]


COLUMNS = (
    *("transport", "subscribers", "bytes", "system", "CPU/frame", "÷ floor"),
    *("p50", "p99", "max"),
)


def rows(outcome: Frames) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}", str(outcome.size))
    for sent in outcome.sent:
        yield (
            *first,
            sent.system,
            f"{sent.cpu_us.median:.1f} µs",
            ratio(sent.times_floor.median, digits=2),
            milliseconds(sent.p50_ms.median),
            milliseconds(sent.p99_ms.median),
            milliseconds(sent.max_ms.median),
        )
        first = ("", "", "")
