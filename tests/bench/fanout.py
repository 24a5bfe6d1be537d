"""Fan-out: what a delivered sample costs the server, and how long it takes.

A dashboard of 50 series, each at 1 Hz. *Together*: one producer publishes all 50 in one batch.
*Spread*: 50 producers publish one sample each, evenly over the second, which is the hardest for a
view that shares work per tick; so it is measured at the rate a stream has by default, and at the
1 Hz that such a dashboard would ask for. The peers send a message for each sample: that is what
they do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from tests.bench.load import Measured, Pattern, Window
from tests.bench.plot import Line, Plot
from tests.bench.report import Figure, milliseconds, ratio
from tests.bench.systems import (
    BROADCAST,
    CENTRIFUGO,
    MERCURE,
    MOST_NAIVE,
    NAIVE,
    NCHAN,
    PUSHSVC,
    Server,
    Subscribers,
    System,
)

SERIES = 50


class Variant(msgspec.Struct, frozen=True):
    """A system, and how its subscribers ask."""

    system: System
    max_hz: float | None = None

    @property
    def name(self) -> str:
        return self.system.name + (f" at {self.max_hz:g} Hz" if self.max_hz else "")


class Delivery(msgspec.Struct, frozen=True):
    """One variant's figures."""

    system: str
    cpu_us: Figure
    """CPU of the server per delivered sample, publishing included."""
    cores: float
    """Cores the server needs when every series has one sample a second."""
    kept: float
    """Share of the samples that were due which could be published."""
    p50_ms: Figure
    p99_ms: Figure
    handshake_us: float
    """CPU of the server per connection made."""


class Fanout(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    pattern: Pattern
    deliveries: list[Delivery]

    def times_ours(self) -> list[float]:
        """How many times as much CPU a delivered sample takes as with the best of ours."""
        ours = min(
            each.cpu_us.median for each in self.deliveries if each.system.startswith(PUSHSVC.name)
        )
        return [each.cpu_us.median / ours for each in self.deliveries]


class FanoutCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    pattern: Pattern
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        what = "at once" if self.pattern == "together" else "spread"
        return f"fan-out, {self.transport}, {self.clients} subscribers, {what}"

    @property
    def variants(self) -> list[Variant]:
        variants = [Variant(PUSHSVC)]
        if self.pattern == "spread":
            variants.append(Variant(PUSHSVC, 1.0))
        peers = [
            BROADCAST,
            NCHAN,
            CENTRIFUGO,
            MERCURE,
            *([NAIVE] if self.clients <= MOST_NAIVE else []),
        ]
        variants += [Variant(each) for each in peers]
        return [
            each
            for each in variants
            if self.transport in each.system.transports and each.system.missing() is None
        ]

    @property
    def steps(self) -> int:
        return self.rounds * len(self.variants)

    def run(self, step: Callable[[str], None]) -> Fanout:
        """Measure, the variants in turn; `step` is called before each window. Raises Failed."""
        window = Window(self.pattern, self.seconds)
        measured: dict[str, list[Measured]] = {each.name: [] for each in self.variants}
        with contextlib.ExitStack() as stack:
            servers: dict[str, Server] = {}
            connected = {}
            for number, variant in enumerate(self.variants):
                name = variant.system.name
                if name not in servers:
                    servers[name] = stack.enter_context(variant.system.serving())
                # Under a name of its own, so that variants of one server don't hear each other.
                connected[variant.name] = stack.enter_context(
                    servers[name].subscribers(
                        self.transport,
                        self.clients,
                        name=f"dashboard_{number}",
                        max_hz=variant.max_hz,
                    )
                )
            for number in range(self.rounds):
                for name, subscribers in connected.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    measured[name].append(subscribers.measure(window))
            return Fanout(
                self.transport,
                self.clients,
                self.pattern,
                [_delivery(name, connected[name], each) for name, each in measured.items()],
            )


def _delivery(name: str, subscribers: Subscribers, windows: list[Measured]) -> Delivery:
    published = sum(each.published for each in windows)
    return Delivery(
        name,
        Figure.of([1e6 * each.server_cpu / each.delivered for each in windows]),
        Figure.of([SERIES * each.server_cpu / each.published for each in windows]).median,
        published / (published + sum(each.missed for each in windows)),
        Figure.of([each.p50_ms for each in windows]),
        Figure.of([each.p99_ms for each in windows]),
        1e6 * subscribers.ready.server_cpu / subscribers.clients,
    )


def cases(*, quick: bool) -> list[FanoutCase]:
    if quick:
        chosen: list[tuple[str, int, Pattern]] = [
            ("websocket", 1, "together"),
            ("websocket", 100, "together"),
            ("websocket", 1000, "together"),
            ("sse", 100, "together"),
            ("ndjson", 100, "together"),
            ("longpoll", 100, "together"),
            ("websocket", 100, "spread"),
        ]
        return [FanoutCase(*each, rounds=3, seconds=0.5) for each in chosen]
    return [
        *(
            FanoutCase(transport, clients, "together", rounds=5, seconds=1.0)
            for transport in ("websocket", "sse", "ndjson", "longpoll")
            for clients in (1, 100, 1000)
        ),
        *(
            FanoutCase(
                "websocket", clients, "spread", rounds=3 if clients >= 1000 else 5, seconds=2.0
            )
            for clients in (1, 100, 1000, 5000)
        ),
    ]


def plot(outcomes: Sequence[Fanout]) -> Plot | None:
    """What each system takes, by clients times series, each series once a second over WebSockets
    (Mercure: over SSE); None where too little was measured."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for outcome in outcomes:
        if outcome.pattern != "together":
            continue
        for delivery in outcome.deliveries:
            if outcome.transport == ("sse" if delivery.system == MERCURE.name else "websocket"):
                points = lines.setdefault(delivery.system, [])
                points.append((float(outcome.clients * SERIES), delivery.cores))
    found = [Line(name, sorted(points)) for name, points in lines.items() if len(points) > 1]
    if not found:
        return None
    title = f"Cost of fan-out: {SERIES} series at 1 Hz"
    return Plot(title, "samples delivered a second (clients times series)", "cores", found)


COLUMNS = (
    *("transport", "subscribers", "samples", "system", "CPU/sample", "÷ pushsvc"),
    *("p50", "p99", "cores at 1 Hz", "CPU/handshake"),
)


def rows(outcome: Fanout) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (
        outcome.transport,
        str(outcome.clients),
        "at once" if outcome.pattern == "together" else "spread",
    )
    for delivery, times in zip(outcome.deliveries, outcome.times_ours(), strict=True):
        cores = f"{delivery.cores:.2f}" + (" saturated" if delivery.cores >= 1.0 else "")
        if delivery.kept < 0.995:
            cores += f", kept up with {delivery.kept:.0%}"
        yield (
            *first,
            delivery.system,
            f"{delivery.cpu_us.median:.1f} µs",
            ratio(times),
            milliseconds(delivery.p50_ms.median),
            milliseconds(delivery.p99_ms.median),
            cores,
            f"{delivery.handshake_us:.0f} µs",
        )
        first = ("", "", "")
