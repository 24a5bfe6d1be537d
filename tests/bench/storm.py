"""Storms: how many handshakes a second one core answers when everyone comes back at once."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Literal

import httpx
import msgspec

from pushsvc.auth.jwt import read_secret, sign
from pushsvc.auth.keys import make_key, table_of
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


Kind = Literal["alike", "different", "key", "JWT"]
"""Whether requests are equal, all different, or equal with an API key or a token."""

MOST_US: dict[Kind, float] = {"alike": 80.0, "different": 160.0, "key": 90.0, "JWT": 120.0}
"""Microseconds of CPU that one may cost, on a machine with nothing else to do."""


class Handshakes(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    answered: list[Answered]
    kind: Kind = "alike"


class StormCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    rounds: int
    kind: Kind = "alike"

    @property
    def title(self) -> str:
        return f"storm, {self.transport}, {self.clients} handshakes, {self.kind}"

    @property
    def systems(self) -> list[System]:
        if self.kind != "alike":
            return [PUSHSVC]
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
                each.name: stack.enter_context(crowd_of(each, self.transport, self.kind))
                for each in self.systems
            }
            for number in range(self.rounds):
                for name, crowd in crowds.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    crowd.tell(msgspec.json.encode(Storm(self.clients)))
                    weathered[name].append(heard(crowd))
        return Handshakes(
            self.transport,
            self.clients,
            [_answered(*each) for each in weathered.items()],
            self.kind,
        )


@contextlib.contextmanager
def crowd_of(system: System, transport: str, kind: Kind = "alike") -> Iterator[Process]:
    """A process that opens connections to a system, which runs meanwhile."""
    with contextlib.ExitStack() as stack:
        options, token = stack.enter_context(_locked(kind))
        system = dataclasses.replace(system, arguments=(*system.arguments, *options))
        server = stack.enter_context(system.serving())
        # So that there are first frames to be given.
        if token:
            _publish(server, token)
        elif system.documents == "v1":
            with server.subscribers(transport, 1, series=_SERIES):
                pass
        job = Job(
            server.host,
            server.port,
            server.pid,
            transport,
            server.system.target(transport, "bench"),
            server.system.subprotocol,
            token,
            kind == "different",
        )
        arguments = "-m", "tests.bench.crowd", msgspec.json.encode(job).decode()
        yield stack.enter_context(running(arguments, LOAD_CPU))


@contextlib.contextmanager
def _locked(kind: Kind) -> Iterator[tuple[tuple[str, ...], str]]:
    """Options with which the service wants tokens, and a token that may do everything."""
    everything = ('{__name__=~".+"}',)
    if kind == "key":
        key, id_, hash_ = make_key()
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            table = table_of(id_, hash_, name="", read=everything, write=everything, operator=True)
            file.write(table)
            file.flush()
            yield ("--set", "auth.mode=keys", "--set", f"auth.keys_file={file.name}"), key
    elif kind == "JWT":
        secret = secrets.token_hex(32)
        claims = {
            "sub": "bench",
            "exp": int(time.time()) + 3600,
            "pushsvc": {"read": everything, "write": everything},
        }
        options = "--set", "auth.mode=jwt", "--set", f"auth.secret={secret}"
        yield options, sign(claims, read_secret(secret), "HS256")
    else:
        yield (), ""


def _publish(server: Server, token: str) -> None:
    samples = [
        {"name": "bench", "labels": {"series": str(number)}, "value": number}
        for number in range(_SERIES)
    ]
    httpx.post(
        f"http://{server.host}:{server.port}/v1/samples",
        json={"samples": samples},
        headers={"Authorization": f"Bearer {token}"},
    ).raise_for_status()


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
    kinds: tuple[Kind, ...] = ("alike", "different", "key", "JWT")
    return [
        StormCase(transport, clients, rounds, kind)
        for kind in kinds
        for transport in ("websocket", "sse")
    ]


COLUMNS = (
    *(
        "transport",
        "connections",
        "requests",
        "system",
        "handshakes/s",
        "CPU/handshake",
        "÷ pushsvc",
    ),
    "per core and second",
)


def rows(outcome: Handshakes) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first: tuple[str, ...] = (outcome.transport, f"{outcome.clients:,}", outcome.kind)
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
        first = ("", "", "")
