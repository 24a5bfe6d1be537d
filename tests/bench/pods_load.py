"""The load generator for processes on one log: producers that post to some, dashboards at another.

A process of its own, `python -m tests.bench.pods_load JOB`: it says when its dashboards watch,
measures for each line on standard input, and ends with that. Each series has news ten times a
second, so that no frame is held back by the one before it.
"""

from __future__ import annotations

import gc
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator

import msgspec

from tests.bench import transport
from tests.bench.process import cpu_seconds

_PATIENCE = 30.0
_GROUPS = 100
"""Producers, each of which has series of its own."""
_CONNECTIONS = 8
"""To each process that is posted to."""
_HZ = 20


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to post and to watch, and how much."""

    posted: list[int]
    """Ports that are posted to, in turns."""
    watched: int
    """The port at which dashboards watch."""
    pids: list[int]
    """Whose CPU time is read."""
    dashboards: int
    """Each of which watches what one producer posts; of a hundred, a divisor."""
    samples: int
    """Per batch, each of another series."""
    per_second: float
    """Batches."""


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: float


class Measured(msgspec.Struct, frozen=True):
    batches: int
    per_second: float
    frames: int
    delays_ms: list[float]
    """From when a batch was sent to its frame: the median, the 99th percentile, the longest."""
    appended_ms: list[float]
    """The same, from when it was appended to the log; nothing where that isn't marked."""
    cores: list[float]
    """Of each process, as in the job."""


class Failure(msgspec.Struct, frozen=True):
    error: str


class _Document(msgspec.Struct):
    type: str
    points: list[tuple[int, int, float]] = []


class _Producer:
    """A connection on which one request waits for its answer at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sock = _connect(port)
        self._answers = transport.PollReader()

    def post(self, body: bytes) -> None:
        head = f"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)

    def answered(self) -> bool:
        data = self.sock.recv(65536)
        if not data:
            raise transport.Broken("a producer's connection was closed")
        return bool(self._answers.feed(data))

    @property
    def over(self) -> bool:
        """Whether the server answers no more on this connection."""
        return self._answers.closing


class _Dashboard:
    def __init__(self, port: int, group: int) -> None:
        self.sock = _connect(port)
        self._reader = transport.reader("websocket")
        target = f"/v1/stream?select=bench%7Bgroup%3D%22{group}%22%7D&max_hz={_HZ}"
        self.sock.sendall(transport.request("websocket", target, f"127.0.0.1:{port}", "pushsvc.v1"))

    def receive(self) -> list[set[float]]:
        """The values of each frame that came."""
        found = []
        for data in self._reader.feed(self.sock.recv(65536)):
            document = msgspec.json.decode(data, type=_Document)
            if document.points:
                found.append({value for _, _, value in document.points})
        if replies := self._reader.replies():
            self.sock.send(replies)
        return found


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._epoll = select.epoll()
        self._producers: dict[int, _Producer] = {}
        self._free: list[deque[_Producer]] = [deque() for _ in job.posted]
        self._busy = 0
        self._dashboards: dict[int, _Dashboard] = {}
        self._delays: list[float] = []
        self._appended: list[float] = []
        self._number = 0
        self._watched = range(0, _GROUPS, _GROUPS // job.dashboards)
        self._sent: set[float] = set()  # what is on its way to a dashboard
        self._heads = [
            [
                f'{{"name":"bench","labels":{{"group":"{group}","instance":"{n}"}},"value":'
                for n in range(job.samples)
            ]
            for group in range(_GROUPS)
        ]
        for place, port in enumerate(job.posted):
            for _ in range(_CONNECTIONS):
                self._connect(place, port)

    def _connect(self, place: int, port: int) -> None:
        producer = _Producer(port)
        self._producers[producer.sock.fileno()] = producer
        self._epoll.register(producer.sock, select.EPOLLIN)
        self._free[place].append(producer)

    def watch(self) -> None:
        """Have all series be there, and all dashboards follow."""
        for _ in range(_GROUPS):
            self._post_when_free()
        self._drain()
        for group in self._watched:
            one = _Dashboard(self._job.watched, group)
            while not one.receive():
                pass
            self._dashboards[one.sock.fileno()] = one
            self._epoll.register(one.sock, select.EPOLLIN)

    def measure(self, seconds: float) -> Measured:
        """Post for some time, until all of it has come."""
        self._delays.clear()
        self._appended.clear()
        used = [cpu_seconds(pid) for pid in self._job.pids]
        begun = time.monotonic()
        count = round(seconds * self._job.per_second)
        for number in range(count):
            due = begun + number / self._job.per_second
            while (left := due - time.monotonic()) > 0:
                self._turn(left)
            self._post_when_free()
        self._drain()
        took = time.monotonic() - begun
        cores = [
            (cpu_seconds(pid) - before) / took
            for pid, before in zip(self._job.pids, used, strict=True)
        ]
        return Measured(
            batches=count,
            per_second=count / took,
            frames=len(self._delays),
            delays_ms=_quantiles(self._delays),
            appended_ms=_quantiles(self._appended),
            cores=cores,
        )

    def close(self) -> None:
        for producer in self._producers.values():
            producer.sock.close()
        for dashboard in self._dashboards.values():
            dashboard.sock.close()
        self._epoll.close()

    def _post_when_free(self) -> None:
        place = self._number % len(self._job.posted)
        while not self._free[place]:
            self._turn(_PATIENCE)
        group = self._number % _GROUPS
        self._number += 1
        now = time.monotonic()
        body = ",".join(f"{head}{now!r}}}" for head in self._heads[group])
        self._free[place].popleft().post(f'{{"samples":[{body}]}}'.encode())
        self._busy += 1
        if group in self._watched and self._dashboards:
            self._sent.add(now)

    def _drain(self) -> None:
        """Wait until all is answered, and all that is watched has come."""
        while self._busy or self._sent:
            self._turn(_PATIENCE)

    def _turn(self, timeout: float) -> None:
        events = self._epoll.poll(timeout, 256)
        if not events and timeout == _PATIENCE:
            raise transport.Broken(
                f"nothing came for {_PATIENCE:.0f} s: {self._busy} batches have no answer, "
                f"{len(self._sent)} no frame"
            )
        for fd, _ in events:
            if (producer := self._producers.get(fd)) is not None:
                if producer.answered():
                    self._release(fd, producer)
            else:
                for values in self._dashboards[fd].receive():
                    now = time.monotonic()
                    posted = values & self._sent
                    self._delays += [1000 * (now - value) for value in posted]
                    self._appended += [1000 * (now - value) for value in values - posted]
                    self._sent -= posted

    def _release(self, fd: int, producer: _Producer) -> None:
        self._busy -= 1
        place = self._job.posted.index(producer.port)
        if producer.over:
            self._epoll.unregister(fd)
            del self._producers[fd]
            producer.sock.close()
            self._connect(place, producer.port)
        else:
            self._free[place].append(producer)


def _quantiles(delays: list[float]) -> list[float]:
    ordered = sorted(delays)
    if not ordered:
        return []
    return [ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]]


def _commands() -> Iterator[Window]:
    for line in sys.stdin:
        yield msgspec.json.decode(line, type=Window)


def _say(answer: Measured | Failure | str) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def main() -> None:
    gc.disable()
    try:
        load = Load(msgspec.json.decode(sys.argv[1], type=Job))
        load.watch()
        _say("there")
        for window in _commands():
            _say(load.measure(window.seconds))
    except (transport.Broken, OSError) as error:
        _say(Failure(str(error) or type(error).__name__))
        sys.exit(1)


if __name__ == "__main__":
    main()
