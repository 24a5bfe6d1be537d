"""The benchmark's load generator is right: what it lets pass is what it says it is.

Speed is not tested here; `python -m tests.bench` measures it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing

import msgspec
import pytest

from tests.bench.load import Window
from tests.bench.pods_load import Job, Load
from tests.bench.process import children_of, cpu_seconds
from tests.bench.sequence import Disorder, Sequence, read_polled, read_pushed, read_sample
from tests.bench.systems import NAIVE, PUSHSVC, System
from tests.bench.transport import Broken, opening, reader


@pytest.mark.parametrize(
    ("system", "transport"),
    [
        (PUSHSVC, "websocket"),
        *(
            pytest.param(system, transport, marks=pytest.mark.long)
            for system, transport in (
                *((PUSHSVC, "sse"), (PUSHSVC, "ndjson"), (PUSHSVC, "longpoll")),
                *((NAIVE, "websocket"), (NAIVE, "sse")),
            )
        ),
    ],
    ids=lambda value: value.name if isinstance(value, System) else value,
)
def test_every_subscriber_is_given_every_sample(system: System, transport: str) -> None:
    with system.serving() as server, server.subscribers(transport, 5) as subscribers:
        for window in (Window("together", 0.1), Window("spread", 0.3)):
            measured = subscribers.measure(window)
            assert measured.published > 0
            assert measured.delivered == 5 * measured.published
            assert measured.server_cpu > 0
            assert 0 < measured.p50_ms <= measured.p99_ms <= measured.max_ms


def test_processes_that_another_thread_started_are_counted() -> None:
    started, seen = threading.Event(), threading.Event()
    children: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        code = "while True: pass"
        children.append(subprocess.Popen([sys.executable, "-c", code], start_new_session=True))
        started.set()
        seen.wait(60)

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        thread = threading.Thread(target=start)
        thread.start()
        assert started.wait(60)
        [busy] = children
        try:
            mine = threading.main_thread().native_id
            assert mine is not None
            assert {idle.pid, busy.pid} <= set(children_of(mine))
            used = cpu_seconds(busy.pid)
            while cpu_seconds(busy.pid) < used + 0.01:
                pass
        finally:
            seen.set()
            thread.join()
            busy.kill()
            busy.wait()
            idle.communicate(b"\n")


def test_what_is_posted_comes_to_dashboards() -> None:
    with PUSHSVC.serving() as server:
        job = Job([server.port], server.port, [server.pid], 10, 3, 100.0)
        with closing(Load(job)) as load:
            load.watch()
            measured = load.measure(0.5)
    assert measured.batches == 50
    assert measured.frames == 5
    assert measured.cores[0] > 0
    assert 0 < measured.delays_ms[0] <= measured.delays_ms[1] <= measured.delays_ms[2]


def pushed(*numbers: float) -> bytes:
    points = [[1, 1732320000000, number] for number in numbers]
    return msgspec.json.encode({"type": "points", "id": "E.1", "series": [], "points": points})


def test_in_order_is_right() -> None:
    sequence = Sequence(2, read_pushed)
    sequence.publish(4, now=10)
    sequence.publish(2, now=20)
    place = sequence.read(sequence.start(), pushed(2, 1)).target
    assert place.complete
    # Order holds within a series; a view may give out one series before another.
    hop = sequence.read(place, pushed(4, 3, 5))
    assert (hop.samples, hop.stamps) == (3, {10: 1, 20: 2})
    assert hop.target.expected == sequence.here().expected


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        ((0, 1, 4), "4 came instead of 2"),
        ((0, 1, 2, 2), "2 came instead of 4"),
        ((0, 1, 3, 5, 2, 0), "0 came instead of 4"),
        ((0, 1, 2, 3, 4, 5, 6), "6 was never published"),
    ],
    ids=["lost", "doubled", "again", "invented"],
)
def test_what_is_out_of_order_is_noticed(numbers: tuple[int, ...], complaint: str) -> None:
    sequence = Sequence(2, read_pushed)
    sequence.publish(6, now=10)
    with pytest.raises(Disorder, match=complaint):
        sequence.read(sequence.start(), pushed(*numbers))


@pytest.mark.parametrize(
    "document",
    [
        b'{"type":"gap","id":"E.1","lost":3}',
        b'{"type":"goaway","retry":1}',
        b'{"type":"points","id":"E.1","points":[[1,1,0.0,null,null,2]]}',
        b"{",
    ],
    ids=["gap", "goaway", "merged", "cut"],
)
def test_other_documents_are_noticed(document: bytes) -> None:
    sequence = Sequence(1, read_pushed)
    sequence.publish(1, now=10)
    with pytest.raises(Disorder, match="can't read"):
        sequence.read(sequence.start(), document)


def test_a_poll_is_followed_by_one_with_its_cursor() -> None:
    sequence = Sequence(1, read_polled)
    sequence.publish(1, now=10)
    hop = sequence.read(sequence.start(), b'{"id":"E/.7","documents":[%b]}' % pushed(0))
    assert (hop.samples, hop.cursor) == (1, "E%2F.7")


def test_a_stream_without_a_past_begins_here() -> None:
    sequence = Sequence(3, read_sample)
    sequence.publish(4, now=10)
    place = sequence.here()
    sequence.publish(1, now=20)
    assert sequence.read(place, b'{"name":"x","value":4}').samples == 1
    with pytest.raises(Disorder):
        sequence.read(place, b'{"name":"x","value":3}')


def chunked(*parts: bytes) -> bytes:
    head = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x;x=y\r\n%b\r\n" % (len(part), part) for part in parts)


WEBSOCKET = (
    opening("websocket")
    + b"\x81\x03one"
    + b"\x81\x7e\x01\x00"
    + b"x" * 256
    + b"\x89\x01p"
    + b"\x01\x02th"
    + b"\x80\x03ree"
)
BIG = b"x" * 256
SSE = chunked(b"id: 1\ndata: on", b"e\n\n", b"data: %b\n\n:\n\n" % BIG, b"data: three\n\n")
NDJSON = chunked(b"one\n", b"%b\n\nthr" % BIG, b"ee\n")
POLLS = b"".join(
    b"HTTP/1.1 200 \r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for body in (b"one", b"x" * 256, b"three")
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("transport", "stream"),
    [("websocket", WEBSOCKET), ("sse", SSE), ("ndjson", NDJSON), ("longpoll", POLLS)],
    ids=["websocket", "sse", "ndjson", "longpoll"],
)
def test_documents_are_found_however_the_bytes_are_cut(
    transport: str, stream: bytes, size: int
) -> None:
    incoming = reader(transport)
    documents = []
    for start in range(0, len(stream), size):
        documents += incoming.feed(stream[start : start + size])
    assert documents == [b"one", b"x" * 256, b"three"]
    assert incoming.opened
    assert incoming.clean


@pytest.mark.parametrize(
    ("transport", "stream"),
    [
        ("websocket", b"HTTP/1.1 503 \r\n\r\n"),
        ("websocket", b"HTTP/1.1 101 \r\nsec-websocket-accept: no\r\n\r\n"),
        ("websocket", WEBSOCKET + b"\x88\x02\x03\xe8"),
        ("sse", SSE + b"0\r\n\r\n"),
        ("ndjson", b"HTTP/1.1 406 \r\n\r\n"),
        ("longpoll", b"HTTP/1.1 200 \r\n\r\n"),
        ("longpoll", b"\r\n\r\n"),
    ],
)
def test_a_stream_that_is_refused_or_ends_is_noticed(transport: str, stream: bytes) -> None:
    incoming = reader(transport)
    with pytest.raises(Broken):  # documents before the end come first
        incoming.feed(stream)
        incoming.feed(b"")
