"""The load generator: the subscribers of one system over one transport, and their publisher.

A process of its own, `python -m tests.bench.load JOB`, that must cost less than the server it
measures: raw sockets under one epoll, no task and no object per message. It writes one line of
JSON when all subscribers are ready, then one for each window it is told to measure on standard
input, and ends with that. What goes wrong, a sample missing, doubled or out of order included, is
written as `{"error": ...}` and ends it.

Publishing from the same process makes latency a difference of one clock's readings, and lets an
update begin when the one before has arrived everywhere, so that a system that can't keep up is
measured at the rate it manages and not by the length of its queues.
"""

from __future__ import annotations

import gc
import select
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec

from tests.bench import transport
from tests.bench.process import cpu_seconds
from tests.bench.publisher import PATIENCE, Publish, Publisher, connect
from tests.bench.sequence import (
    Disorder,
    Hop,
    Place,
    Sequence,
    join,
    read_polled,
    read_publication,
    read_pushed,
    read_sample,
)

_SETTLE = 0.05
"""Seconds of quiet before the server's CPU clock is read: what a send leaves behind is its too."""
_HANDSHAKES = 64
"""Handshakes at the same time: fewer than the shortest backlog."""

Pattern = Literal["together", "spread"]
Documents = Literal["v1", "samples", "publications"]
"""Those of wire protocol v1, whose streams begin with the newest sample of each series; or each is
one sample, and a stream has no past; or the same, in Centrifugo's envelope, where a stream begins
with a document that says so."""


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to subscribe to, how often, and how to publish."""

    host: str
    port: int
    pid: int
    """Of the server, whose CPU time is read."""
    transport: str
    target: str
    subprotocol: str | None = None
    documents: Documents
    clients: int
    series: int = 50
    name: str = "bench"
    """Name of the metric."""
    publish: Publish = "samples"
    pad: int = 0
    """Bytes that each sample has at the least."""
    coding: str = "identity"
    """The content coding of streams of text."""
    tls: bool = False
    resumed: bool = False
    """Whether those who come later show the ticket of the first."""


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to measure: updates of all series at once, or each series in its turn at 1 Hz."""

    pattern: Pattern
    seconds: float
    stalled: int = 0
    """So many subscribers take no more bytes from the beginning on; they are gone after it."""
    period: float = 0.125
    """Seconds between updates at the least: more than a tick of the default rate, so that none is
    held back by the tick before it."""


class Measured(msgspec.Struct, frozen=True):
    """What came of a window. Every published sample was delivered to every client."""

    published: int
    missed: int
    """Samples that were due and not published, since the system was more than a second behind."""
    delivered: int
    receives: int
    """Reads from sockets that gave at least one sample."""
    bytes: int
    """That came from sockets."""
    seconds: float
    server_cpu: float
    load_cpu: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class Ready(msgspec.Struct, frozen=True):
    """All subscribers are connected."""

    seconds: float
    server_cpu: float


class Failure(msgspec.Struct, frozen=True):
    error: str


class _Subscriber:
    __slots__ = ("place", "reader", "ready", "sock")

    def __init__(self, sock: socket.socket, reader: transport.Reader, place: Place) -> None:
        self.sock = sock
        self.reader = reader
        self.place = place
        self.ready = False


class Load:
    """The subscribers, the publisher and the loop that serves them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        if job.documents == "samples":
            read = read_sample
        elif job.documents == "publications":
            read = read_publication
        else:
            read = read_polled if job.transport == "longpoll" else read_pushed
        self._sequence = Sequence(job.series, read)
        self._subscribers: dict[int, _Subscriber] = {}
        self._ready = 0
        self._taking = job.clients  # subscribers that are to be given everything
        self._delivered = 0
        self._bytes = 0
        self._arrivals: list[tuple[int, Hop]] = []
        self._epoll = select.epoll()
        self._publishers: list[Publisher] = []
        self._answering: dict[int, Publisher] = {}
        self._add_publisher()
        self._commands = sys.stdin.fileno()
        self._commanded = False

    # -- connecting --------------------------------------------------------------------------------

    def connect(self) -> Ready:
        """Connect all subscribers and wait until each has its first picture."""
        self._post(0, self._job.series)
        self._until(self._answered)
        before, began = cpu_seconds(self._job.pid), time.monotonic()
        for connecting in range(1, self._job.clients + 1):
            self._subscribe()
            while connecting - self._ready >= _HANDSHAKES:
                self._turn(1.0)
        self._until(lambda: self._ready == self._job.clients)
        seconds = time.monotonic() - began
        self._settle()
        return Ready(seconds, cpu_seconds(self._job.pid) - before)

    def _subscribe(self) -> None:
        job = self._job
        sock = connect(job.host, job.port, tls=job.tls, session=self._ticket())
        sock.sendall(self._request(None))
        sock.setblocking(False)
        place = self._sequence.start() if job.documents == "v1" else self._sequence.here()
        self._subscribers[sock.fileno()] = _Subscriber(
            sock, transport.reader(job.transport, job.coding), place
        )
        self._epoll.register(sock, select.EPOLLIN)

    def _ticket(self) -> ssl.SSLSession | None:
        first = next(iter(self._subscribers.values()), None)
        if not self._job.resumed or first is None:
            return None
        self._until(lambda: first.ready)  # by then it has read its ticket
        return first.sock.session if isinstance(first.sock, ssl.SSLSocket) else None

    def _request(self, cursor: str | None) -> bytes:
        job = self._job
        target = job.target if cursor is None else f"{job.target}&since={cursor}"
        host = f"{job.host}:{job.port}"
        return transport.request(job.transport, target, host, job.subprotocol, job.coding)

    # -- receiving ---------------------------------------------------------------------------------

    def _turn(self, timeout: float) -> bool:
        """Wait for bytes and take them in; tells whether there were any."""
        events = self._epoll.poll(max(timeout, 0.0), 256)
        monotonic_ns = time.monotonic_ns
        for fd, _ in events:
            subscriber = self._subscribers.get(fd)
            if subscriber is None:
                self._turn_aside(fd)
                continue
            try:
                data = subscriber.sock.recv(65536)
            except ssl.SSLWantReadError:
                continue  # it was a ticket
            now = monotonic_ns()
            self._bytes += len(data)
            place = subscriber.place
            if data == place.received and subscriber.reader.clean:
                # What another subscriber got at this place was these very bytes.
                hop = place.received_hop
            else:
                hop = self._read(subscriber, data)
            if hop is not None:
                subscriber.place = hop.target
                self._delivered += hop.samples
                self._arrivals.append((now, hop))
                if hop.cursor is not None:
                    subscriber.sock.send(self._request(hop.cursor))
        return bool(events)

    def _turn_aside(self, fd: int) -> None:
        if fd == self._commands:
            self._commanded = True
            self._epoll.unregister(fd)
        else:
            self._answering[fd].receive()

    def _read(self, subscriber: _Subscriber, data: bytes) -> Hop | None:
        """Parse what a subscriber received; None if it gave nothing new."""
        if not data:
            raise transport.Broken("the server ended a stream")
        reader = subscriber.reader
        was_clean = reader.clean and subscriber.ready
        start = subscriber.place
        place = start
        hops = []
        documents = reader.feed(data)
        for document in documents:
            hop = self._sequence.read(place, document)
            place = hop.target
            if hop.samples or hop.cursor is not None:
                hops.append(hop)
        replies = reader.replies()
        if replies:
            subscriber.sock.send(replies)
        if not subscriber.ready and reader.opened and self._begun(place, documents):
            subscriber.ready = True
            self._ready += 1
        if not hops:
            return None
        hop = hops[0] if len(hops) == 1 else join(hops)
        if was_clean and reader.clean and not replies:  # which each has to give itself
            start.received, start.received_hop = data, hop
        return hop

    def _begun(self, place: Place, documents: list[bytes]) -> bool:
        match self._job.documents:
            case "v1":
                return place.complete
            case "publications":
                return bool(documents)
            case "samples":
                return True

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            if not self._turn(PATIENCE):
                behind = self._job.clients - self._ready or len(
                    {s.place.expected for s in self._subscribers.values()}
                )
                raise Disorder(f"nothing came for {PATIENCE:.0f} s ({behind} clients wait)")

    def _until_time(self, deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def _settle(self) -> None:
        self._until_time(time.monotonic() + _SETTLE)

    # -- measuring ---------------------------------------------------------------------------------

    def serve(self) -> None:
        """Measure windows as told, until standard input ends."""
        while line := self._next_command():
            window = msgspec.json.decode(line, type=Window)
            write(self.measure(window))

    def _next_command(self) -> str:
        # Subscribers are served meanwhile: heartbeats come, and long polls run out.
        self._commanded = False
        self._epoll.register(self._commands, select.EPOLLIN)
        while not self._commanded:
            self._turn(3600.0)
        return sys.stdin.readline()

    def measure(self, window: Window) -> Measured:
        """Publish for some time, at least one update, until all of it has arrived everywhere."""
        self._settle()
        self._sequence.forget()
        self._arrivals.clear()
        self._delivered = 0
        self._bytes = 0
        first = len(self._sequence.stamps)
        while window.pattern == "spread" and len(self._publishers) < self._job.series:
            self._add_publisher()
        stalled = self._stall(window.stalled)
        gc.collect()
        server_cpu, load_cpu = cpu_seconds(self._job.pid), time.process_time()
        began = time.monotonic()
        if window.pattern == "together":
            missed = self._publish_together(first, window.period, began + window.seconds)
        else:
            missed = self._publish_spread(first, began, window.seconds)
        self._until(lambda: self._arrived(first) and self._answered())
        seconds = time.monotonic() - began
        load_cpu = time.process_time() - load_cpu
        self._settle()
        server_cpu = cpu_seconds(self._job.pid) - server_cpu
        for sock in stalled:
            sock.close()
        p50, p99, most = self._latencies()
        return Measured(
            published=len(self._sequence.stamps) - first,
            missed=missed,
            delivered=self._delivered,
            receives=len(self._arrivals),
            bytes=self._bytes,
            seconds=seconds,
            server_cpu=server_cpu,
            load_cpu=load_cpu,
            p50_ms=p50,
            p99_ms=p99,
            max_ms=most,
        )

    def _stall(self, count: int) -> list[socket.socket]:
        """Have so many subscribers take no more bytes."""
        stalled = [self._subscribers.pop(fd).sock for fd in list(self._subscribers)[:count]]
        for sock in stalled:
            self._epoll.unregister(sock)
        self._taking -= len(stalled)
        return stalled

    def _add_publisher(self) -> None:
        job = self._job
        publisher = Publisher(
            connect(job.host, job.port, tls=job.tls),
            job.publish,
            job.transport,
            job.name,
            job.series,
            job.pad,
        )
        self._publishers.append(publisher)
        self._answering[publisher.sock.fileno()] = publisher
        self._epoll.register(publisher.sock, select.EPOLLIN)

    def _post(self, publisher: int, count: int) -> None:
        numbers = self._sequence.publish(count, time.monotonic_ns())
        self._publishers[publisher].post(numbers)

    def _answered(self) -> bool:
        return not any(publisher.waiting for publisher in self._publishers)

    def _arrived(self, first: int, behind: int = 0) -> bool:
        """Whether clients lack, on average, at most `behind` of the samples since `first`."""
        published = len(self._sequence.stamps) - first
        return self._delivered >= (published - behind) * self._taking

    def _publish_together(self, first: int, period: float, end: float) -> int:
        while True:
            began = time.monotonic()
            self._post(0, self._job.series)
            self._until(lambda: self._arrived(first) and self._answered())
            next_update = began + period
            if max(next_update, time.monotonic()) >= end:
                return 0
            self._until_time(next_update)

    def _publish_spread(self, first: int, began: float, seconds: float) -> int:
        # A producer for each series: one that waits for its answer holds up no other.
        series = self._job.series
        missed = 0
        for slot in range(round(seconds * series)):
            self._until_time(began + slot / series)
            publisher = len(self._sequence.stamps) % series
            if self._publishers[publisher].waiting or not self._arrived(first, behind=series):
                missed += 1
            else:
                self._post(publisher, 1)
        return missed

    def _latencies(self) -> tuple[float, float, float]:
        counts: Counter[int] = Counter()
        for now, hop in self._arrivals:
            for stamp, samples in hop.stamps.items():
                counts[(now - stamp) // 10_000] += samples
        quantiles = []
        total = sum(counts.values())
        ordered = sorted(counts.items())
        for share in (0.5, 0.99, 1.0):
            seen = 0
            for value, count in ordered:
                seen += count
                if seen >= share * total:
                    quantiles.append(value / 100)
                    break
        p50, p99, most = quantiles
        return p50, p99, most


def write(answer: Ready | Measured | Failure) -> None:
    """Give one answer to the program that started this process."""
    print(msgspec.json.encode(answer).decode(), flush=True)


def main() -> None:
    gc.disable()
    try:
        load = Load(msgspec.json.decode(sys.argv[1], type=Job))
        write(load.connect())
        load.serve()
    except (transport.Broken, Disorder, OSError) as error:
        write(Failure(str(error) or type(error).__name__))
        sys.exit(1)


if __name__ == "__main__":
    main()
