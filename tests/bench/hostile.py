"""Hostile expressions: what do those who watch something else notice of them?

Streams and queries cross all series with themselves, and ask for subqueries ten deep, as many at a
time and as soon again as they are let. Meanwhile all series get a sample each second, and a crowd
watches a dashboard of stored ones.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

import msgspec

from tests.bench.load import Window
from tests.bench.process import Failed
from tests.bench.promql import Feed
from tests.bench.report import Figure, milliseconds
from tests.bench.systems import PUSHSVC

WANTED_MS = 250.0
"""The most that anybody's p99 may be meanwhile."""

_ALL = '{__name__=~".+"}'
_STREAMS = 24
"""Connections that ask for streams."""
_QUERIES = 6
_LASTS = 4.0
"""Seconds for which a stream is read before another expression is asked for."""


def _deep(inner: str, span: str) -> str:
    for _ in range(10):
        inner = f"max_over_time({inner}[{span}])"
    return inner


CROSSED = (
    f"{_ALL} * on (__name__, instance, x) group_left () {_ALL}",
    f"{_ALL} * {_ALL}",
    f"{_ALL} or {_ALL} * 2 unless {_ALL}",
    f"count({_ALL} * on (x) group_left () {_ALL})",
    f"quantile_over_time(0.5, {_ALL}[5m])",
)
DEEP = (_deep(_ALL, "1m:1s"), _deep(_ALL, "1h:1s"), _deep(f"rate({_ALL}[1m])", "5m:1s"))


class Hostile(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    what: str
    series: int
    clients: int
    p99_ms: Figure
    """Of those who watch something else, before."""
    p99_hostile_ms: Figure
    """Of the same, meanwhile."""
    answers: dict[str, int]
    """How often the hostile were answered how."""


class HostileCase(msgspec.Struct, frozen=True):
    what: str
    expressions: Sequence[str]
    series: int
    clients: int
    windows: int
    seconds: float

    @property
    def title(self) -> str:
        return f"{self.what}, {self.series:,} series, {self.clients} others"

    @property
    def steps(self) -> int:
        return 2 * self.windows

    def run(self, step: Callable[[str], None]) -> Hostile:
        """Measure, and `step` before each window. Raises Failed."""
        answers: Counter[str] = Counter()
        with (
            PUSHSVC.serving() as server,
            _fed(self.series, server.port),
            server.subscribers("websocket", self.clients) as subscribers,
        ):

            def windows() -> Figure:
                found = []
                for number in range(self.windows):
                    step(f"{self.title}: window {number + 1} of {self.windows}")
                    found.append(subscribers.measure(Window("together", self.seconds)).p99_ms)
                return Figure.of(found)

            before = windows()
            with _asked(server.port, self.expressions, answers):
                meanwhile = windows()
        if not answers:
            raise Failed("nobody was answered")
        return Hostile(self.what, self.series, self.clients, before, meanwhile, dict(answers))


@contextlib.contextmanager
def _fed(series: int, port: int) -> Iterator[None]:
    """Give each series a sample a second."""
    over = threading.Event()
    feed = Feed(series, [port])

    def write() -> None:
        with contextlib.suppress(OSError, Failed, http.client.HTTPException):
            while not over.wait(1.0):
                feed.write()

    feed.write()
    with _running([write], over):
        yield


@contextlib.contextmanager
def _asked(port: int, expressions: Sequence[str], answers: Counter[str]) -> Iterator[None]:
    """Have all of them asked for all the time, each time as another one."""
    over = threading.Event()

    def ask(path: str, place: int) -> None:
        number = place
        while not over.is_set():
            expression = f"{expressions[number % len(expressions)]} + {number}"
            number += 1_000
            status = "none"
            with contextlib.suppress(OSError):
                status = _answer(port, path + quote(expression), over)
            answers[status] += 1
            if status != "200":
                over.wait(1.0)  # what asks sooner is a flood, whatever it asks for

    asking = [
        lambda place=place: ask("/v1/stream?window=5m&select=", place) for place in range(_STREAMS)
    ]
    asking += [lambda place=place: ask("/api/v1/query?query=", place) for place in range(_QUERIES)]
    with _running(asking, over):
        yield


def _answer(port: int, target: str, over: threading.Event) -> str:
    """Ask, and read what comes for some seconds; the status of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as sock:
        head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        sock.sendall(f"{head}Connection: close\r\n\r\n".encode())
        until, seen = time.monotonic() + _LASTS, b""
        while not over.is_set() and (not seen or time.monotonic() < until):
            with contextlib.suppress(TimeoutError):
                data = sock.recv(1 << 16)
                if not data:
                    break
                seen = seen or data[:12]
        return seen[9:12].decode() or "none"


@contextlib.contextmanager
def _running(tasks: Sequence[Callable[[], None]], over: threading.Event) -> Iterator[None]:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def cases(*, quick: bool) -> list[HostileCase]:
    if quick:
        return [HostileCase("crossed and ten deep", (*CROSSED, *DEEP), 2_000, 100, 3, 5.0)]
    return [
        HostileCase(what, expressions, 10_000, 200, 4, 10.0)
        for what, expressions in (("crossed with itself", CROSSED), ("ten deep", DEEP))
    ]


COLUMNS = ("hostile", "series", "others", "p99 before", "p99 meanwhile", "answers to the hostile")


def rows(outcome: Hostile) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.what,
        f"{outcome.series:,}",
        f"{outcome.clients:,}",
        milliseconds(outcome.p99_ms.median),
        milliseconds(outcome.p99_hostile_ms.median),
        ", ".join(f"{status}: {count}" for status, count in sorted(outcome.answers.items())),
    )
