"""Questions that go on: what it costs a server to answer one each second, for one who asks and for
many, beside a Prometheus that is polled for the same.

Both are written the same samples by the same remote write, a second apart, on one core. What that
costs by itself is measured first, and taken off.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from pushsvc.ingest.remote_write.messages import WriteRequest
from tests import golang
from tests.bench.process import SERVER_CPU, Failed, cpu_seconds
from tests.bench.report import Figure, ratio
from tests.bench.systems import PUSHSVC
from tests.ingest.samples import snappy
from tests.ports import free_port

_START = 30.0
_SETTLE = 3
"""Rounds until a window begins: connections are there, and caches full."""
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class Promql(msgspec.Struct, frozen=True):
    """The outcome of a case; CPU is of a second of the window, writing taken off."""

    expression: str
    series: int
    asking: int
    pushed_ms: Figure
    """CPU of the service."""
    polled_ms: Figure
    """CPU of Prometheus."""


class PromqlCase(msgspec.Struct, frozen=True):
    expression: str
    series: int
    asking: int
    rounds: int
    seconds: int

    @property
    def title(self) -> str:
        return f"{self.expression}, {self.series:,} series, asked by {self.asking}"

    @property
    def steps(self) -> int:
        return 2 * self.rounds

    def run(self, step: Callable[[str], None]) -> Promql:
        """Measure in turn with no client that asks and with all of them; `step` is called before
        each. Raises Failed."""
        pushed: list[float] = []
        polled: list[float] = []
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(PUSHSVC.serving())
            theirs, pid = stack.enter_context(_prometheus())
            feed = Feed(self.series, [server.port, theirs])
            for number in range(self.rounds):
                costs = []
                for asking in (0, self.asking):
                    what = f"asked by {asking}, round {number + 1} of {self.rounds}"
                    step(f"{self.title}: {what}")
                    costs.append(self._window(feed, server.port, theirs, (server.pid, pid), asking))
                (ours, others), (ours_asked, others_asked) = costs
                pushed.append(1000 * (ours_asked - ours))
                polled.append(1000 * (others_asked - others))
        return Promql(
            self.expression, self.series, self.asking, Figure.of(pushed), Figure.of(polled)
        )

    def _window(
        self, feed: Feed, ours: int, theirs: int, pids: tuple[int, int], asking: int
    ) -> tuple[float, float]:
        """CPU seconds of both in a second."""
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(_Stream(ours, self.expression)) for _ in range(asking)]
            polls = [
                stack.enter_context(contextlib.closing(_connection(theirs))) for _ in range(asking)
            ]
            due = time.monotonic()
            begin = [0.0, 0.0]
            got = [0] * len(streams)
            for number in range(_SETTLE + self.seconds):
                if number == _SETTLE:
                    begin = [cpu_seconds(pid) for pid in pids]
                    got = [stream.documents for stream in streams]
                feed.write()
                for connection in polls:
                    path = f"/api/v1/query?query={quote(self.expression)}"
                    answer = _ask(connection, "GET", path)
                    if number >= _SETTLE and b'"value"' not in answer:
                        raise Failed(f"Prometheus has no result: {answer[:200]!r}")
                due += 1.0
                _read(streams, due)
            spent = [cpu_seconds(pid) - before for pid, before in zip(pids, begin, strict=True)]
        for stream, before in zip(streams, got, strict=True):
            if stream.documents - before < self.seconds - 2:
                raise Failed(f"a stream got {stream.documents - before} frames: {stream.tail!r}")
        return spent[0] / self.seconds, spent[1] / self.seconds


class Feed:
    """Writes one sample of each series to all."""

    def __init__(self, series: int, ports: list[int]) -> None:
        self._series = series
        self._connections = [_connection(port) for port in ports]
        self._number = 0

    def write(self) -> None:
        self._number += 1
        now = time.time_ns() // 1_000_000
        request: Any = WriteRequest()
        for place in range(self._series):
            one = request.timeseries.add()
            labels = {"__name__": "c", "instance": str(place), "x": str(place % 10)}
            for label, value in labels.items():
                one.labels.add(name=label, value=value)
            one.samples.add(value=float(self._number * (1 + place % 7)), timestamp=now)
        body = snappy(request.SerializeToString())
        for connection in self._connections:
            _ask(connection, "POST", "/api/v1/write", body)


class _Stream:
    """A stream of events of an expression."""

    def __init__(self, port: int, expression: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(
            f"GET /v1/stream?select={quote(expression)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        self._socket.setblocking(False)
        self.documents = 0
        """Frames of points that came."""
        self.tail = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> None:
        """Take what is there."""
        data = self._socket.recv(1 << 20)
        if not data:
            raise Failed(f"a stream ended: {self.tail!r}")
        self.documents += data.count(b'"points"')
        self.tail = data[-300:]


def _read(streams: list[_Stream], until: float) -> None:
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ, stream)
        while (left := until - time.monotonic()) > 0:
            if not streams:
                time.sleep(left)
            for key, _ in selector.select(left):
                key.data.read()


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b""
) -> bytes:
    connection.request(method, path, body or None, _HEADERS if body else {})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise Failed(f"{method} {path}: {answer.status} {content[:300]!r}")
    return content


@contextlib.contextmanager
def _prometheus() -> Iterator[tuple[int, int]]:
    """A Prometheus that is written to, on the server's core: its port and its process."""
    built = golang.prometheus()
    program = str(built) if built.exists() else shutil.which("prometheus")
    if program is None:
        raise Failed("there is no prometheus (Debian: prometheus)")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text("global: {}\n")
        port = free_port()
        with subprocess.Popen(
            [
                *(program, f"--config.file={file}", f"--storage.tsdb.path={folder}/data"),
                *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as child:
            try:
                os.sched_setaffinity(child.pid, {SERVER_CPU})
                _wait_ready(port)
                yield port, child.pid
            finally:
                child.terminate()
                child.wait(10)


def _wait_ready(port: int) -> None:
    deadline = time.monotonic() + _START
    while True:
        with contextlib.suppress(OSError, Failed), contextlib.closing(_connection(port)) as asked:
            _ask(asked, "GET", "/-/ready")
            return
        if time.monotonic() > deadline:
            raise Failed("Prometheus wasn't ready in time")
        time.sleep(0.2)


def cases(*, quick: bool) -> list[PromqlCase]:
    rounds, seconds = (1, 8) if quick else (3, 15)
    question = "sum by (x) (rate(c[1m]))"
    asked = (1, 20) if quick else (1, 20, 100)
    return [PromqlCase(question, 1_000, asking, rounds, seconds) for asking in asked]


COLUMNS = (
    *("expression", "series", "who ask", "pushed: CPU of a second", "Prometheus, polled", "÷"),
)


def rows(outcome: Promql) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.expression,
        f"{outcome.series:,}",
        f"{outcome.asking:,}",
        f"{outcome.pushed_ms.median:.2f} ms",
        f"{outcome.polled_ms.median:.2f} ms",
        ratio(outcome.polled_ms.median / max(outcome.pushed_ms.median, 1e-9), digits=2),
    )
