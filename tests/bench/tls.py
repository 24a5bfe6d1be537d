"""TLS: what a handshake, a frame and an idle client cost where it ends in the process, beside plain
sockets.

Keys are elliptic (P-256), as those of new certificates usually are; a signature with an RSA key of
2048 bits costs some hundred microseconds more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import trustme

from tests.bench.frames import POINTS
from tests.bench.load import Measured, Window
from tests.bench.process import rss_bytes
from tests.bench.report import Figure, ratio
from tests.bench.systems import PUSHSVC, Server, Subscribers, System

_WARM = 20
"""Connections made and ended before, so that what is paid once isn't counted."""
_RESUMED = 300
"""Handshakes of clients that come back with a ticket."""
_SETTLE = 1.0


class Secured(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    handshake_us: float
    """CPU of the server per connection made, its first frames included."""
    resumed_us: float | None
    """The same, of clients that have been there before."""
    cpu_us: Figure
    """CPU of the server per frame delivered."""
    times_plain: Figure
    """The same, by that of plain sockets in the same round."""
    bytes_per_connection: float


class Tls(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    size: int
    secured: list[Secured]


class TlsCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    size: int
    rounds: int
    seconds: float
    beside: System | None = None

    @property
    def title(self) -> str:
        return f"TLS, frames of {self.size} bytes, {self.transport}, {self.clients} subscribers"

    @property
    def steps(self) -> int:
        return (3 if self.beside is None else 4) * (self.rounds + 2)

    def run(self, step: Callable[[str], None]) -> Tls:
        """Measure, the systems in turn. Raises Failed."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            systems = [PUSHSVC, *self._over_tls(folder)]
            connected = [self._connect(each, stack, step) for each in systems]
            windows: list[list[Measured]] = [[] for _ in systems]
            for number in range(self.rounds):
                for one, into in zip(connected, windows, strict=True):
                    step(f"{self.title}: {one.server.system.name}, round {number + 1}")
                    into.append(one.subscribers.measure(Window("together", self.seconds)))
            plain = [_cost(each) for each in windows[0]]
            resumed = [self._come_back(each.server, step) for each in connected]
        return Tls(
            self.transport,
            self.clients,
            self.size,
            [
                Secured(
                    one.server.system.name,
                    1e6 * one.subscribers.ready.server_cpu / self.clients,
                    back,
                    Figure.of([1e6 * _cost(each) for each in into]),
                    Figure.of(
                        [_cost(each) / least for each, least in zip(into, plain, strict=True)]
                    ),
                    one.bytes / self.clients,
                )
                for one, back, into in zip(connected, resumed, windows, strict=True)
            ],
        )

    def _over_tls(self, folder: Path) -> Iterator[System]:
        issued = trustme.CA().issue_cert("127.0.0.1")
        certfile, keyfile = folder / "cert.pem", folder / "key.pem"
        issued.cert_chain_pems[0].write_to_path(certfile)
        issued.private_key_pem.write_to_path(keyfile)
        files = ("--certfile", str(certfile), "--keyfile", str(keyfile))
        for system, name, more in (
            (PUSHSVC, "over TLS", ()),
            (self.beside, "over TLS", ()),
            (PUSHSVC, "over TLS, not detached", ("--set", "stream.detach=false")),
        ):
            if system is not None:
                yield dataclasses.replace(
                    system,
                    name=f"{system.name} {name}",
                    arguments=(*system.arguments, *files, *more),
                    tls=True,
                )

    def _connect(
        self, system: System, stack: contextlib.ExitStack, step: Callable[[str], None]
    ) -> _Connected:
        step(f"{self.title}: {system.name} connects")
        server = stack.enter_context(system.serving())
        with server.subscribers(self.transport, _WARM, series=POINTS[self.size]):
            pass
        time.sleep(_SETTLE)
        before = rss_bytes(server.pid)
        subscribers = stack.enter_context(
            server.subscribers(self.transport, self.clients, series=POINTS[self.size])
        )
        time.sleep(_SETTLE)
        return _Connected(server, subscribers, rss_bytes(server.pid) - before)

    def _come_back(self, server: Server, step: Callable[[str], None]) -> float | None:
        if not server.system.tls:
            return None
        step(f"{self.title}: {server.system.name}, with tickets")
        with server.subscribers(
            self.transport, _RESUMED, series=POINTS[self.size], resumed=True
        ) as subscribers:
            return 1e6 * subscribers.ready.server_cpu / _RESUMED


@dataclasses.dataclass(frozen=True)
class _Connected:
    server: Server
    subscribers: Subscribers
    bytes: int
    """That the server's process grew by."""


def _cost(window: Measured) -> float:
    return window.server_cpu / window.receives


def cases(*, quick: bool) -> list[TlsCase]:
    if quick:
        return [TlsCase("websocket", 500, 2048, rounds=3, seconds=0.5)]
    return [
        TlsCase(transport, 1000, size, rounds=5, seconds=1.0)
        for transport in ("websocket", "sse")
        for size in (128, 2048)
    ]


COLUMNS = (
    *("transport", "subscribers", "bytes", "system", "CPU/frame", "÷ plain"),
    *("CPU/handshake", "resumed", "per connection"),
)


def rows(outcome: Tls) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}", str(outcome.size))
    for each in outcome.secured:
        yield (
            *first,
            each.system,
            f"{each.cpu_us.median:.1f} µs",
            ratio(each.times_plain.median, digits=2),
            f"{each.handshake_us:.0f} µs",
            "" if each.resumed_us is None else f"{each.resumed_us:.0f} µs",
            f"{each.bytes_per_connection / 1024:.1f} KiB",
        )
        first = ("", "", "")
