"""Content codings: what a frame costs in bytes and CPU per client, beside the same frame plain.

A dashboard of 50 series that a producer publishes in one batch, eight times a second, watched by
everyone in one coding; the service is the same for all of them, and the rounds are in turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.load import Measured, Window
from tests.bench.report import Figure, ratio
from tests.bench.systems import PUSHSVC

_CODINGS = ("identity", "gzip", "zstd")


class Coded(msgspec.Struct, frozen=True):
    """One coding's figures."""

    coding: str
    bytes: Figure
    """That a client received for each frame."""
    times_bytes: Figure
    """The same, by those of the plain stream in the same round."""
    cpu_us: Figure
    """CPU of the server per frame delivered, publishing included."""
    times_cpu: Figure


class Codings(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    coded: list[Coded]


class CodingCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        return f"content codings, {self.transport}, {self.clients} subscribers"

    @property
    def steps(self) -> int:
        return self.rounds * len(_CODINGS)

    def run(self, step: Callable[[str], None]) -> Codings:
        """Measure, the codings in turn; `step` is called before each window. Raises Failed."""
        window = Window("together", self.seconds)
        measured: dict[str, list[Measured]] = {coding: [] for coding in _CODINGS}
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(PUSHSVC.serving())
            connected = {
                coding: stack.enter_context(
                    server.subscribers(
                        self.transport, self.clients, name=f"in_{coding}", coding=coding
                    )
                )
                for coding in _CODINGS
            }
            for number in range(self.rounds):
                for coding, subscribers in connected.items():
                    step(f"{self.title}: {coding}, round {number + 1} of {self.rounds}")
                    measured[coding].append(subscribers.measure(window))
        plain = measured["identity"]
        return Codings(
            self.transport,
            self.clients,
            [_coded(coding, windows, plain) for coding, windows in measured.items()],
        )


def _coded(coding: str, windows: list[Measured], plain: list[Measured]) -> Coded:
    sizes = [each.bytes / each.receives for each in windows]
    costs = [each.server_cpu / each.receives for each in windows]
    pairs = list(zip(windows, plain, strict=True))
    return Coded(
        coding,
        Figure.of(sizes),
        Figure.of([(a.bytes / a.receives) / (b.bytes / b.receives) for a, b in pairs]),
        Figure.of([1e6 * cost for cost in costs]),
        Figure.of([(a.server_cpu / a.receives) / (b.server_cpu / b.receives) for a, b in pairs]),
    )


def cases(*, quick: bool) -> list[CodingCase]:
    if quick:
        return [CodingCase("sse", 1000, rounds=3, seconds=0.5)]
    return [
        CodingCase(transport, clients, rounds=5, seconds=1.0)
        for transport in ("sse", "ndjson")
        for clients in (1, 100, 1000)
    ]


COLUMNS = (
    *("transport", "subscribers", "coding", "bytes/frame", "÷ plain"),
    *("CPU/frame", "÷ plain"),
)


def rows(outcome: Codings) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}")
    for coded in outcome.coded:
        yield (
            *first,
            coded.coding,
            f"{coded.bytes.median:,.0f}",
            ratio(coded.times_bytes.median, digits=2),
            f"{coded.cpu_us.median:.1f} µs",
            ratio(coded.times_cpu.median, digits=2),
        )
        first = ("", "")
