"""Tabs: what a dashboard of 8 panels among 5,000 series costs, for one tab and for twenty.

Each tab is one of a browser of its own, since tabs of one browser have one stream together. It is
opened as the page opens it: with its panels' selectors, and a past that is thinned to what a chart
shows. Beside it stand the page of all metrics, as it asks for what is in sight, and a stream of
every series with all of its past. The 200 series of the panels have 10 samples a second, the others
one every five seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

import msgspec

from tests.bench.process import cpu_seconds
from tests.bench.systems import PUSHSVC, Server

_PANELS = 8
_LINES = 25
_IN_SIGHT = 4
"""Metrics of the busy ones that the page of all metrics shows at once."""
_OTHERS = 4_800
_HZ = 10
_OTHERS_EVERY = 5.0
_QUIET = 1.0
"""Seconds without a document without a time, after which the past has come."""


class Asked(msgspec.Struct, frozen=True):
    """What one kind of tabs cost, all of them together."""

    what: str
    first_bytes: int
    """Until the past had come, and as permessage-deflate would send them."""
    first_deflated: int
    first_cpu: float
    """Seconds of the server's process."""
    live_bytes: float
    """A second, afterwards."""
    live_cpu: float
    """Share of a core, with what ingest takes."""


class Tabs(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    tabs: int
    past_seconds: int
    asked: list[Asked]


class TabsCase(msgspec.Struct, frozen=True):
    tabs: int
    past_seconds: int
    seconds: float

    steps = 3

    @property
    def title(self) -> str:
        return f"{self.tabs} tabs of a dashboard, {self.past_seconds} s of the past"

    def run(self, step: Callable[[str], None]) -> Tabs:
        """Measure each way of asking. Raises Failed."""
        window = f"window={self.past_seconds}s&merge=envelope"
        panels = urlencode([("select", f"panel_{panel}") for panel in range(_PANELS)])
        names = "|".join(f"panel_{panel}" for panel in range(_IN_SIGHT))
        sight = urlencode([("select", f'{{__name__=~"{names}"}}')])
        step(f"{self.title}: publishing")
        with PUSHSVC.serving() as server, _published(server, self.past_seconds):
            asked = []
            for what, query in (
                ("what its panels show", f"{window}&points=400&{panels}"),
                ("what is in sight of all metrics", f"{window}&points=400&{sight}"),
                ("every series", window),
            ):
                step(f"{self.title}: {what}")
                asked.append(self._measure(server, what, query))
        return Tabs(self.tabs, self.past_seconds, asked)

    def _measure(self, server: Server, what: str, query: str) -> Asked:
        cpu = cpu_seconds(server.pid)
        # One compresses for all: they are given the same.
        readers = [_Reader(server, query, tab == 0) for tab in range(self.tabs)]
        for reader in readers:
            reader.settled.wait(120.0)
        first_cpu = cpu_seconds(server.pid) - cpu
        first = sum(reader.bytes for reader in readers)
        deflated = readers[0].deflated * self.tabs
        cpu = cpu_seconds(server.pid)
        begun = time.monotonic()
        time.sleep(self.seconds)
        passed = time.monotonic() - begun
        live = sum(reader.bytes for reader in readers) - first
        used = cpu_seconds(server.pid) - cpu
        for reader in readers:
            reader.close()
        return Asked(what, first, deflated, first_cpu, live / passed, used / passed)


class _Reader:
    """One tab, on a thread of its own."""

    def __init__(self, server: Server, query: str, compresses: bool) -> None:
        self._compresses = compresses
        self.bytes = 0
        self.deflated = 0
        self.settled = threading.Event()
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        headers = {"Accept": "application/x-ndjson"}
        self._connection.request("GET", f"/v1/stream?{query}", headers=headers)
        self._socket = self._connection.sock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(2)
        self._thread.join(10.0)
        self._connection.close()

    def _read(self) -> None:
        response = self._connection.getresponse()
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := response.readline():
                self.bytes += len(line)
                if self.settled.is_set():
                    continue
                if self._compresses:
                    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
                    self.deflated += len(packer.compress(line)) + len(packer.flush())
                # What is live says when it was made.
                if b'"time":' in line[:400] or line.startswith(b'{"type":"heartbeat"'):
                    self.settled.set()


@contextlib.contextmanager
def _published(server: Server, past_seconds: int) -> Iterator[None]:
    """Publish the past, and go on publishing while this lasts."""
    randomness = random.Random(1)
    lines = [(f"panel_{panel}", f"l{line}") for panel in range(_PANELS) for line in range(_LINES)]
    others = [(f"other_{number % 50}", f"o{number}") for number in range(_OTHERS)]
    levels = [randomness.random() * 100 for _ in lines]

    def walk(time_ms: int) -> list[dict[str, object]]:
        for index in range(len(levels)):
            levels[index] += randomness.gauss(0, 1)
        return _samples(lines, levels, time_ms)

    begin = time.time() - past_seconds
    steps = past_seconds * _HZ
    for start in range(0, steps, 40):
        batch = []
        for at in range(start, min(steps, start + 40)):
            batch += walk(round((begin + at / _HZ) * 1000))
        _send(server, batch)
    done = threading.Event()

    def go_on() -> None:
        next_others = 0.0
        while not done.wait(1 / _HZ):
            now = time.time()
            _send(server, walk(round(now * 1000)))
            if now >= next_others:
                next_others = now + _OTHERS_EVERY
                values = [randomness.random() for _ in others]
                _send(server, _samples(others, values, round(now * 1000)))

    publishing = threading.Thread(target=go_on, daemon=True)
    publishing.start()
    time.sleep(2 * _QUIET)
    try:
        yield
    finally:
        done.set()
        publishing.join(10.0)


def _samples(
    series: Sequence[tuple[str, str]], values: Sequence[float], time_ms: int
) -> list[dict[str, object]]:
    return [
        {"name": name, "labels": {"line": line}, "value": value, "time": time_ms}
        for (name, line), value in zip(series, values, strict=True)
    ]


def _send(server: Server, samples: list[dict[str, object]]) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    body = msgspec.json.encode({"samples": samples})
    while True:
        connection.request("POST", "/v1/samples", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        if response.status == 200:
            break
        time.sleep(float(response.headers.get("Retry-After", "1")))
    connection.close()


def cases(*, quick: bool) -> list[TabsCase]:
    past = 120 if quick else 900
    return [TabsCase(tabs, past, 5.0 if quick else 15.0) for tabs in (1, 20)]


COLUMNS = (
    *("tabs", "asked for", "first load", "compressed", "its CPU"),
    *("then a second", "CPU, with ingest"),
)


def rows(outcome: Tabs) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = f"{outcome.tabs}"
    for each in outcome.asked:
        yield (
            first,
            each.what,
            *(f"{size / 1000:,.0f} kB" for size in (each.first_bytes, each.first_deflated)),
            f"{each.first_cpu:.2f} s",
            f"{each.live_bytes / 1000:,.0f} kB",
            f"{each.live_cpu:.0%}",
        )
        first = ""
