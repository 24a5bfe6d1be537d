"""What the tests of many dashboards go by would find a fault."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
import trio

from tests.proxies.dashboards import Crowd, Dashboard, Hiccups, peak
from tests.proxies.record import encode, faults, is_live, is_through

WHOLE = [encode(producer, number) for number in range(2, 6) for producer in range(3)]
PUBLISHED = [6, 6, 6]


def test_a_record_that_is_whole() -> None:
    assert faults(WHOLE, PUBLISHED) == []
    # Order holds within a series.
    assert faults([*WHOLE[3:6], *WHOLE[:3], *WHOLE[6:]], PUBLISHED) != []
    assert faults([*WHOLE[:3], WHOLE[4], WHOLE[3], *WHOLE[5:]], PUBLISHED) == []
    assert is_through(WHOLE, PUBLISHED)
    assert is_live(WHOLE, PUBLISHED) is False
    assert is_live(WHOLE, [5, 5, 5])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (WHOLE[:6] + WHOLE[9:], "of producer 0: ... [2, 3, 5]"),
        (WHOLE[:4] + WHOLE[3:], "of producer 0: ... [2, 3, 3, 4, 5]"),
        (WHOLE[:-3], "of producer 0: ... [2, 3, 4] ..., of 6, and lacks 5 to 5 at its end"),
        ([value for value in WHOLE if value % 3], "nothing of producer 0"),
    ],
    ids=["lost", "doubled", "short", "nothing"],
)
def test_a_record_that_is_not(values: list[int], said: str) -> None:
    assert said in faults(values, PUBLISHED)[0]


def test_the_most_in_a_second_is_counted_by_the_time_that_there_was() -> None:
    moments = [*(number / 10 for number in range(20)), 5.0]
    assert peak(moments, Hiccups()) == 11
    assert peak([], Hiccups()) == 0
    hiccups = Hiccups()
    hiccups.found = [(0.9, 1.0)]
    assert peak([0.9] * 10, hiccups) == 5
    assert peak([3.0] * 10, hiccups) == 10


HELLO = {"type": "hello", "id": "e.1"}
GO = {"type": "goaway", "retry": 5}


def points(number: int) -> dict[str, object]:
    return {"type": "points", "id": f"e.{number}", "points": [[0, number, number]]}


class Server:
    """Answers each request with what is next, and notes what was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def serve(self, task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as nursery:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, self._answer, 0, host="127.0.0.1")
            )
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _answer(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        self.asked.append(data.partition(b" HTTP")[0].decode())
        await stream.send_all(self.answers.pop(0) if self.answers else b"")
        if self.answers:
            return
        await trio.sleep_forever()


def sse(*documents: object, sized: bool = False) -> bytes:
    body = b"".join(b"data: %b\n\n" % msgspec.json.encode(one) for one in documents)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    return head + (b"Content-Length: %d\r\n\r\n" % len(body) if sized else b"\r\n") + body


async def test_who_is_refused_as_an_event_source_is_not_cut() -> None:
    server = Server(sse(GO, sized=True), sse(HELLO, points(0), GO), sse(HELLO))
    async with trio.open_nursery() as nursery:
        one = Dashboard(await nursery.start(server.serve), "sse")
        nursery.start_soon(one.run)
        with trio.fail_after(30):
            while len(server.asked) < 3:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert (one.refusals, one.told, one.cut, one.values) == (["sse: goaway"], 1, [], [0])
    assert server.asked[2].endswith("since=e.0")


async def test_of_a_record_that_is_short_the_whole_story_is_told() -> None:
    poll = msgspec.json.encode({"id": "e.2", "documents": [points(2)]})
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    server = Server(sse(HELLO, points(0), points(1)), sse(HELLO), head % len(poll) + poll)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(server.serve)
        crowd = Crowd([port], 1, max_hz=1, poll_pause=0, per_second=1)
        crowd.watching = [Dashboard(port, "sse")]
        nursery.start_soon(crowd.run)
        with trio.fail_after(30):
            while len(server.asked) < 2:
                await trio.sleep(0.01)
        with pytest.raises(AssertionError) as caught:
            await crowd.everyone_through([1, 1, 1], 0.01)
        nursery.cancel_scope.cancel()
    said = str(caught.value)
    for part in (
        *("1 of 1 lack the end", "sse: 2 values, ... [0, 1], at e.1", "last told points e.0 [0]"),
        *("2 values, e.1: it ended", "asked again, it is given HTTP 200", '"points":[[0,2,2]]'),
    ):
        assert part in said, said
    assert "since=e.1" in server.asked[2]
    assert "wait=0" in server.asked[2]
