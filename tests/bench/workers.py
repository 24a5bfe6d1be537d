"""Workers: what two of them cost more than one process, for each frame and each handshake.

All of a service runs on one core here, whatever it consists of, so that it is CPU that is compared
and not what two cores can do.
"""

from __future__ import annotations

import contextlib
import re
import urllib.request
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.crowd import Storm, Weathered
from tests.bench.load import Measured, Window
from tests.bench.report import Figure, milliseconds, ratio
from tests.bench.storm import crowd_of, heard
from tests.bench.systems import PUSHSVC, WORKERS, Server

_SYSTEMS = (PUSHSVC, WORKERS)


class Shared(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    frame_us: Figure
    """CPU for each frame that was delivered, publishing included."""
    frame_times: float
    """The same, by that of one process, rounds compared with their like."""
    p99_ms: Figure
    handshake_us: Figure
    handshake_times: float
    spread: list[int]
    """Clients of each worker."""


class Workers(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    shared: list[Shared]


class WorkersCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        return f"workers, {self.transport}, {self.clients} subscribers"

    @property
    def steps(self) -> int:
        return 2 * self.rounds * len(_SYSTEMS)

    def run(self, step: Callable[[str], None]) -> Workers:
        """Measure, the systems in turn; `step` is called before each round. Raises Failed."""
        sent: dict[str, list[Measured]] = {each.name: [] for each in _SYSTEMS}
        shaken: dict[str, list[Weathered]] = {each.name: [] for each in _SYSTEMS}
        spread: dict[str, list[int]] = {}
        window = Window("together", self.seconds)
        with contextlib.ExitStack() as stack:
            servers = {each.name: stack.enter_context(each.serving()) for each in _SYSTEMS}
            watching = {
                name: stack.enter_context(server.subscribers(self.transport, self.clients))
                for name, server in servers.items()
            }
            for name, server in servers.items():
                spread[name] = _spread(server)
            for number in range(self.rounds):
                for name, subscribers in watching.items():
                    step(f"{self.title}: frames of {name}, round {number + 1} of {self.rounds}")
                    sent[name].append(subscribers.measure(window))
        with contextlib.ExitStack() as stack:
            crowds = {
                each.name: stack.enter_context(crowd_of(each, self.transport)) for each in _SYSTEMS
            }
            for number in range(self.rounds):
                for name, crowd in crowds.items():
                    step(f"{self.title}: handshakes of {name}, {number + 1} of {self.rounds}")
                    crowd.tell(msgspec.json.encode(Storm(self.clients)))
                    shaken[name].append(heard(crowd))
        frames, hands = {}, {}
        for name in sent:
            frames[name] = [one.server_cpu / one.receives for one in sent[name]]
            hands[name] = [one.server_cpu / one.clients for one in shaken[name]]
        return Workers(
            self.transport,
            self.clients,
            [
                Shared(
                    name,
                    Figure.of([1e6 * each for each in frames[name]]),
                    _times(frames[name], frames[PUSHSVC.name]),
                    Figure.of([each.p99_ms for each in sent[name]]),
                    Figure.of([1e6 * each for each in hands[name]]),
                    _times(hands[name], hands[PUSHSVC.name]),
                    spread[name],
                )
                for name in sent
            ],
        )


def _times(theirs: list[float], one: list[float]) -> float:
    return Figure.of([a / b for a, b in zip(theirs, one, strict=True)]).median


def _spread(server: Server) -> list[int]:
    with urllib.request.urlopen(f"http://{server.host}:{server.port}/metrics") as answer:
        told = answer.read().decode()
    return [
        int(float(number))
        for number in re.findall(r"^pushsvc_worker_subscribers\{[^}]*\} (\S+)$", told, re.MULTILINE)
    ]


def cases(*, quick: bool) -> list[WorkersCase]:
    if quick:
        return [WorkersCase("websocket", 1000, rounds=3, seconds=0.5)]
    return [
        WorkersCase(transport, clients, rounds=5, seconds=1.0)
        for transport in ("websocket", "sse")
        for clients in (1_000, 5_000)
    ]


COLUMNS = (
    *("transport", "subscribers", "system", "CPU/frame", "÷ one process", "p99"),
    *("CPU/handshake", "÷ one process", "spread"),
)


def rows(outcome: Workers) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}")
    for each in outcome.shared:
        yield (
            *first,
            each.system,
            f"{each.frame_us.median:.1f} µs",
            ratio(each.frame_times, digits=2),
            milliseconds(each.p99_ms.median),
            f"{each.handshake_us.median:.0f} µs",
            ratio(each.handshake_times, digits=2),
            " + ".join(f"{count:,}" for count in each.spread) or "one",
        )
        first = ("", "")
