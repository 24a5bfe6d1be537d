"""Growth: how the cost of the service grows with each thing that there may be more of.

Five plots: clients, series of a view, views, samples a second, and the past that is held. What
costs as much more as there is more of it has a slope of one; more than that is a fault, or has a
reason that docs/SCALING.md names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal
from urllib.parse import quote

import msgspec

from tests.bench import transport
from tests.bench.load import Window
from tests.bench.plot import Line, Plot
from tests.bench.process import LOAD_CPU, Failed, cpu_seconds, rss_bytes, running
from tests.bench.producer import Batch, Ingested, Job
from tests.bench.systems import PUSHSVC, Server, System

Axis = Literal["clients", "series", "views", "rate", "history"]

STEEPEST = 1.15
"""The slope that isn't taken for more than one: the cost of a cache that is too small is in it."""

_SERIES = 50
_PATIENCE = 60.0
_QUIET = 0.03
"""Seconds without a byte after which dashboards have been given everything."""
_PAUSE = 0.06
"""Seconds between two updates: more than a tick at the fastest rate."""

_ROOMY = dataclasses.replace(
    PUSHSVC,
    arguments=(
        *PUSHSVC.arguments,
        *("--set", "limits.views=2000", "--set", "limits.series=100000"),
        *("--set", "history.samples=100000"),
    ),
)


class Growth(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    axis: Axis
    plot: Plot
    bytes_each: float | None = None
    """Resident memory for each of what there is more of, where that is held."""


class _Dashboards:
    """Some streams of one service, and a producer for them."""

    def __init__(self, server: Server, targets: Sequence[str]) -> None:
        self._server = server
        self._epoll = select.epoll()
        self._socks: dict[int, socket.socket] = {}
        self._producer = http.client.HTTPConnection(server.host, server.port, timeout=_PATIENCE)
        for target in targets:
            sock = socket.create_connection((server.host, server.port), timeout=_PATIENCE)
            host = f"{server.host}:{server.port}"
            sock.sendall(transport.request("ndjson", target, host))
            sock.setblocking(False)
            self._socks[sock.fileno()] = sock
            self._epoll.register(sock, select.EPOLLIN)
        self._drain(len(targets))

    def close(self) -> None:
        for sock in self._socks.values():
            sock.close()
        self._producer.close()
        self._epoll.close()

    def post(self, samples: list[dict[str, object]]) -> None:
        """Publish samples, and wait until all is answered."""
        body = msgspec.json.encode({"samples": samples})
        self._producer.request("POST", "/v1/samples", body, {"Content-Type": "application/json"})
        answer = self._producer.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise Failed(f"HTTP {answer.status}: {told[:200]!r}")

    def cost(self, samples: Callable[[int], list[dict[str, object]]], *, seen_by: int) -> float:
        """Milliseconds of CPU for one update, which so many dashboards are given."""
        times, updates, began = 0.0, 0, time.monotonic()
        for number in range(1, 200):
            before = cpu_seconds(self._server.pid)
            self.post(samples(number))
            self._drain(seen_by)
            cost = cpu_seconds(self._server.pid) - before
            if number > 2:  # the first ones find out what then is known
                times, updates = times + cost, updates + 1
            if updates >= 5 and time.monotonic() - began > 1.0:
                break
            time.sleep(_PAUSE)
        return 1000 * times / updates

    def _drain(self, count: int) -> None:
        """Wait until so many have been given something, and nothing more comes."""
        given: set[int] = set()
        deadline = time.monotonic() + _PATIENCE
        while True:
            events = self._epoll.poll(_QUIET, 1024)
            if not events and len(given) >= count:
                return
            if time.monotonic() > deadline:
                raise Failed(f"{len(given)} of {count} dashboards were given something")
            for fd, _ in events:
                with contextlib.suppress(BlockingIOError):
                    if not self._socks[fd].recv(1 << 20):
                        raise Failed("the server ended a stream")
                    given.add(fd)


@contextlib.contextmanager
def _watching(targets: Sequence[str], system: System = _ROOMY) -> Iterator[_Dashboards]:
    with system.serving() as server:
        with contextlib.closing(_Dashboards(server, targets)) as dashboards:
            yield dashboards


def _samples(name: str, series: int, value: float) -> list[dict[str, object]]:
    return [{"name": name, "labels": {"n": str(n)}, "value": value} for n in range(series)]


def _target(name: str, *more: str) -> str:
    selects = "&".join(f"select={quote(one)}" for one in (name, *more))
    return f"/v1/stream?{selects}&max_hz=20"


_Step = Callable[[str], None]


def _of_clients(counts: Sequence[int], step: _Step) -> tuple[Plot, None]:
    points = []
    for count in counts:
        step(f"{count:,} clients")
        with _ROOMY.serving() as server, server.subscribers("websocket", count) as subscribers:
            found = [subscribers.measure(Window("together", 1.0)) for _ in range(3)]
        each = sorted(1000 * _SERIES * one.server_cpu / one.published for one in found)
        points.append((float(count), each[1]))
    line = Line(f"an update of {_SERIES} series to all", points)
    return Plot("Cost of an update by clients", "WebSocket clients", "CPU, ms", [line]), None


def _of_series(counts: Sequence[int], step: _Step) -> tuple[Plot, float]:
    points = []
    held: list[tuple[int, int]] = []
    for count in counts:
        step(f"{count:,} series in a view")
        with _ROOMY.serving() as server:
            with contextlib.closing(_Dashboards(server, [])) as producer:
                producer.post(_samples("bench", count, 0.0))
            held.append((count, rss_bytes(server.pid)))
            with contextlib.closing(_Dashboards(server, [_target("bench")])) as dashboards:
                cost = dashboards.cost(partial(_samples, "bench", count), seen_by=1)
        points.append((float(count), cost))
    line = Line("an update of all of them, to one client", points)
    plot = Plot("Cost of an update by series", "series of a view", "CPU, ms", [line])
    return plot, _bytes_each(held)


def _bytes_each(held: Sequence[tuple[int, int]]) -> float:
    """Bytes for each more, by the resident memory at several counts."""
    (few, small), (many, large) = held[0], held[-1]
    return (large - small) / (many - few)


def _of_views(counts: Sequence[int], step: _Step) -> tuple[Plot, None]:
    lines: dict[str, list[tuple[float, float]]] = {
        f"an update of {_SERIES} series that all of them show": [],
        f"an update of {_SERIES} series that one of them shows": [],
        f"{_SERIES} series that are new, and that none of them shows": [],
    }
    every, alone, new = lines.values()
    for count in counts:
        step(f"{count:,} views")
        targets = [_target("bench", f"other_{n}") for n in range(count - 1)]
        with _watching([*targets, _target("bench", "alone")]) as dashboards:
            cost = dashboards.cost(lambda n: _samples("bench", _SERIES, n), seen_by=count)
            every.append((float(count), cost))
            cost = dashboards.cost(lambda n: _samples("alone", _SERIES, n), seen_by=1)
            alone.append((float(count), cost))
            cost = dashboards.cost(lambda n: _samples(f"new_{n}", _SERIES, n), seen_by=0)
            new.append((float(count), cost))
    found = [Line(name, points) for name, points in lines.items()]
    return Plot("Cost of an update by views", "different views", "CPU, ms", found), None


def _of_rate(counts: Sequence[int], step: _Step) -> tuple[Plot, None]:
    points = []
    with _ROOMY.serving() as server:
        job = msgspec.json.encode(Job(server.host, server.port, server.pid)).decode()
        with running(("-m", "tests.bench.producer", job), LOAD_CPU) as producer:
            for count in counts:
                step(f"{count:,} samples a second")
                producer.tell(msgspec.json.encode(Batch(1_000, 1_000, 3.0, float(count))))
                found = producer.hear_as(Ingested, 120.0)
                points.append((found.samples / found.seconds, found.server_cpu / found.seconds))
    line = Line("in batches of 1,000", points)
    return Plot("Cost of ingest by its rate", "samples a second", "cores", [line]), None


def _of_history(counts: Sequence[int], step: _Step) -> tuple[Plot, float]:
    held: list[tuple[int, int]] = []
    lines: dict[str, list[tuple[float, float]]] = {
        f"an update of {_SERIES} series to one client": [],
        "a stream that begins with all of the past": [],
        "a stream that begins with it in 300 points a series": [],
    }
    update, whole, thinned = lines.values()
    for count in counts:
        step(f"{count:,} samples of the past for each series")
        with _ROOMY.serving() as server:
            with contextlib.closing(_Dashboards(server, [])) as producer:
                _fill(producer, count)
            held.append((_SERIES * count, rss_bytes(server.pid)))
            with contextlib.closing(_Dashboards(server, [_target("bench")])) as dashboards:
                cost = dashboards.cost(lambda n: _samples("bench", _SERIES, n), seen_by=1)
                update.append((float(count), cost))
                for points, query in ((whole, ""), (thinned, "&points=300")):
                    points.append((float(count), _opening(server, dashboards, query)))
    found = [Line(name, points) for name, points in lines.items()]
    title = "Costs by the past that is held"
    return Plot(title, "samples of each series", "CPU, ms", found), _bytes_each(held)


def _fill(producer: _Dashboards, count: int) -> None:
    """Give each series so many samples of the past, which end a minute ago."""
    now = round(time.time() * 1000) - 60_000
    each = 500
    for first in range(0, count, each):
        some = range(first, min(count, first + each))
        producer.post(
            [
                {
                    "name": "bench",
                    "labels": {"n": str(n)},
                    "value": at,
                    "time": now - (count - at) * 300,
                }
                for at in some
                for n in range(_SERIES)
            ]
        )


def _opening(server: Server, dashboards: _Dashboards, query: str) -> float:
    """Milliseconds of CPU for a stream that begins with an hour of the past."""
    costs = []
    for _ in range(3):
        # Something came in between, or the first frames would be those of the one before.
        dashboards.post(_samples("bench", _SERIES, 0.5))
        time.sleep(_PAUSE)
        before = cpu_seconds(server.pid)
        target = f"{_target('bench')}&window=1h{query}"
        with contextlib.closing(_Dashboards(server, [target])):
            costs.append(1000 * (cpu_seconds(server.pid) - before))
    return sorted(costs)[1]


_Measure = Callable[[Sequence[int], _Step], tuple[Plot, float | None]]
_AXES: dict[Axis, tuple[_Measure, list[int]]] = {
    "clients": (_of_clients, [1_000, 2_000, 5_000, 10_000, 15_000]),
    "series": (_of_series, [10, 100, 1_000, 3_000, 10_000]),
    "views": (_of_views, [1, 10, 100, 300, 1_000]),
    "rate": (_of_rate, [1_000, 3_000, 10_000, 30_000, 100_000]),
    "history": (_of_history, [10, 100, 1_000, 3_000, 10_000]),
}


class GrowthCase(msgspec.Struct, frozen=True):
    axis: Axis
    most: int
    """Of the points of the axis, so many of the first."""

    @property
    def title(self) -> str:
        return f"growth by {self.axis}"

    @property
    def steps(self) -> int:
        return self.most

    def run(self, step: Callable[[str], None]) -> Growth:
        """Measure each point; `step` is called before it. Raises Failed."""
        measure, counts = _AXES[self.axis]
        return Growth(self.axis, *measure(counts[: self.most], step))


def cases(*, quick: bool) -> list[GrowthCase]:
    return [GrowthCase(axis, 3 if quick else len(counts)) for axis, (_, counts) in _AXES.items()]


COLUMNS = ("by", "what", "costs", "slope at the end", "memory of each")


def rows(outcome: Growth) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first: str = outcome.axis
    memory = "-" if outcome.bytes_each is None else f"{outcome.bytes_each:,.0f} bytes"
    for line in outcome.plot.lines:
        told = ", ".join(f"{y:.3g} at {x:,.0f}" for x, y in line.points)
        yield (first, line.name, f"{outcome.plot.y}: {told}", f"{line.slope:.2f}", memory)
        first = memory = ""
