"""Storms: how many handshakes a second one core answers when everyone comes back at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.crowd import Job, Storm, Weathered
from tests.bench.process import LOAD_CPU, Process, running
from tests.bench.report import Figure, count, ratio
from tests.bench.systems import (
    BROADCAST,
    CENTRIFUGO,
    FLOOR,
    MERCURE,
    NAIVE,
    NCHAN,
    PUSHSVC,
    Server,
    System,
)

_SERIES = 50
_PATIENCE = 120.0


class Answered(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    per_second: Figure
    """As the crowd saw it."""
    cpu_us: Figure
    """CPU of the server per handshake, its first frames included."""

    @property
    def per_core(self) -> float:
        """Handshakes per second of one core's CPU."""
        return 1e6 / self.cpu_us.median


class Handshakes(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    answered: list[Answered]


class StormCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    rounds: int

    @property
    def title(self) -> str:
        return f"storm, {self.transport}, {self.clients} handshakes"

    @property
    def systems(self) -> list[System]:
        return [
            each
            for each in (PUSHSVC, FLOOR, NCHAN, CENTRIFUGO, MERCURE, BROADCAST, NAIVE)
            if self.transport in each.transports and each.missing() is None
        ]

    @property
    def steps(self) -> int:
        return self.rounds * len(self.systems)

    def run(self, step: Callable[[str], None]) -> Handshakes:
        """Measure, the systems in turn; `step` is called before each storm. Raises Failed."""
        weathered: dict[str, list[Weathered]] = {each.name: [] for each in self.systems}
        with contextlib.ExitStack() as stack:
            crowds = {
                each.name: stack.enter_context(crowd_of(each, self.transport))
                for each in self.systems
            }
            for number in range(self.rounds):
                for name, crowd in crowds.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    crowd.tell(msgspec.json.encode(Storm(self.clients)))
                    weathered[name].append(heard(crowd))
        return Handshakes(
            self.transport, self.clients, [_answered(*each) for each in weathered.items()]
        )


@contextlib.contextmanager
def crowd_of(system: System, transport: str) -> Iterator[Process]:
    """A process that opens connections to a system, which runs meanwhile."""
    with system.serving() as server:
        if system.documents == "v1":
            # So that there are first frames to be given.
            with server.subscribers(transport, 1, series=_SERIES):
                pass
        with running(_arguments(transport, server), LOAD_CPU) as crowd:
            yield crowd


def _arguments(transport: str, server: Server) -> tuple[str, ...]:
    job = Job(
        server.host,
        server.port,
        server.pid,
        transport,
        server.system.target(transport, "bench"),
        server.system.subprotocol,
    )
    return "-m", "tests.bench.crowd", msgspec.json.encode(job).decode()


def heard(crowd: Process) -> Weathered:
    return crowd.hear_as(Weathered, _PATIENCE)


def _answered(name: str, storms: list[Weathered]) -> Answered:
    return Answered(
        name,
        Figure.of([each.clients / each.seconds for each in storms]),
        Figure.of([1e6 * each.server_cpu / each.clients for each in storms]),
    )


def cases(*, quick: bool) -> list[StormCase]:
    clients, rounds = (500, 3) if quick else (3000, 5)
    return [StormCase(transport, clients, rounds) for transport in ("websocket", "sse")]


COLUMNS = (
    *("transport", "connections", "system", "handshakes/s", "CPU/handshake", "÷ pushsvc"),
    "per core and second",
)


def rows(outcome: Handshakes) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}")
    ours = outcome.answered[0].cpu_us.median
    for each in outcome.answered:
        yield (
            *first,
            each.system,
            count(each.per_second.median),
            f"{each.cpu_us.median:.0f} µs",
            ratio(each.cpu_us.median / ours, digits=2),
            count(each.per_core),
        )
        first = ("", "")
