"""A client that reads less than there is sees what is new, merged, and not what has waited for
long."""

from __future__ import annotations

import re
import socket
import time
from statistics import median

import pytest
import trio

from pushsvc.core.resources.limits import Limits
from tests.serving import Served, serving

SERIES = 300
RATE = 40_000
"""Bytes a second that it reads; there are some 90,000."""
SECONDS = 8.0
SETTLED = 4.0
TIMES = re.compile(rb"\[\d+,(\d{13}),")


async def produce(served: Served) -> None:
    value = 0.25
    while True:
        value += 1.0
        await served.publish(*({"name": f"m{n}", "value": value} for n in range(SERIES)))
        await trio.sleep(0.1)


async def ages(served: Served, query: str) -> list[tuple[float, float]]:
    """For each event the second in which it was read, and how old the newest of it was."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    seen = []
    with sock:
        await sock.connect((served.host, served.port))
        head = f"GET /v1/stream?{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        await sock.send(head.encode())
        begin, read, rest = trio.current_time(), 0, b""
        while (now := trio.current_time() - begin) < SECONDS:
            await trio.sleep(max(0.0, read / RATE - now))
            part = await sock.recv(2048)
            read += len(part)
            *events, rest = (rest + part).split(b"\n\n")
            for event in events:
                times = [int(at) for at in TIMES.findall(event.replace(b"\r\n", b""))]
                if times:
                    seen.append((trio.current_time() - begin, time.time() - max(times) / 1000))
    return seen


@pytest.mark.parametrize("merge", [pytest.param("last", marks=pytest.mark.long), "envelope"])
async def test_what_is_merged_is_as_a_rule_at_most_two_seconds_old(merge: str) -> None:
    async with (
        serving(limits=Limits(samples_per_second=1e9)) as served,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(produce, served)
        await trio.sleep(0.3)
        seen = [age for at, age in await ages(served, f"merge={merge}") if at > SETTLED]
        nursery.cancel_scope.cancel()
    assert len(seen) >= 4
    # Unmerged, it would fall behind by more than half a second each second.
    assert median(seen) < 2.0, seen
