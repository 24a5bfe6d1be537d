"""Draining: when each client is told to go, what it is still given, and that it always ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from bisect import bisect_left

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from pushsvc.config import Server
from pushsvc.core.resources.limits import Pacing
from pushsvc.pipeline.drain import moments, part_from_all
from tests.cli.forked import run
from tests.cli.test_commands import PUSHSVC, publish, started
from tests.flow import Recorder, running
from tests.serving import next_of, serving
from tests.test_hazards import stalled


@given(st.integers(0, 3000), st.floats(1.0, 1e4), st.floats(0.0, 60.0))
def test_moments(subscribers: int, per_second: float, seconds: float) -> None:
    found = moments(subscribers, per_second, seconds)
    assert len(found) == subscribers
    back = [told + retry_ms / 1000 for told, retry_ms in found]
    for told, retry_ms in found:
        assert 0 <= told <= seconds + 1e-6
        assert retry_ms >= 1000
    # In no second do more come back than are wanted.
    for index in range(subscribers):
        within = index + int(per_second) + 2
        if within < subscribers:
            assert back[within] - back[index] > 0.99


def test_a_few_are_told_at_once() -> None:
    assert moments(1, 500.0, 20.0) == [(0.0, 1000)]
    assert moments(3, 500.0, 20.0)[-1] == (0.004, 1000)


def test_with_little_time_they_wait_longer() -> None:
    told, retry_ms = moments(101, 10.0, 1.0)[-1]
    assert (round(told, 3), retry_ms) == (0.99, 10_010)


@pytest.mark.parametrize("seconds", [0.0, 2.0, 30.0])
async def test_a_service_that_gets_to_it_late_has_no_more_come_back_at_once(
    seconds: float, autojump_clock: MockClock
) -> None:
    async with running() as service, trio.open_nursery() as nursery:
        carriers = [Recorder() for _ in range(500)]
        for carrier in carriers:
            service.subscribe(carrier)

        async def hinder() -> None:
            for stall in (0.01, 0.3, 2.5, 0.03, 0.7) * 10:
                await trio.sleep(0.13)
                autojump_clock.jump(stall)

        nursery.start_soon(hinder)
        parted = await part_from_all(service.hub, 50.0, seconds)
        nursery.cancel_scope.cancel()
    backs = sorted(
        told + (ending.retry_ms or 0) / 1000
        for carrier in carriers
        for told, what, ending in carrier.asked
        if what == "end" and ending is not None and ending.reason == "drain"
    )
    assert len(backs) == parted.told == 500
    most = max(bisect_left(backs, back + 1.0) - place for place, back in enumerate(backs))
    assert most == parted.most
    assert 49 <= most <= 51


@pytest.mark.parametrize("detach", [True, False])
async def test_reconnects_are_spread_and_streams_go_on_until_then(detach: bool) -> None:
    pacing = Pacing(reconnects_per_second=10.0, max_hz=100, default_hz=100, detach=detach)
    told: list[float] = []
    last: list[float] = []
    async with serving(stream=pacing) as served:
        await served.publish({"name": "a", "value": 0})
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                async with served.documents("text/event-stream") as documents:
                    seen = 0.0
                    async for document in documents:
                        if document["type"] == "points" and document["points"]:
                            seen = document["points"][-1][2]
                        elif document["type"] == "goaway":
                            told.append(trio.current_time() + document["retry"] / 1000)
                            last.append(seen)

            for _ in range(11):
                nursery.start_soon(watch)
            await served.wait_metric("pushsvc_subscribers", 11)
            # Publishing goes on while subscribers are being told.
            served.drain.set()
            for value in range(1, 9):
                await served.publish({"name": "a", "value": value})
                await trio.sleep(0.1)
    assert len(told) == 11
    assert 0.3 < max(told) - min(told) < 10
    assert max(last) >= 2


@pytest.mark.parametrize("detach", [True, False])
async def test_what_a_subscriber_is_owed_comes_before_the_goodbye(detach: bool) -> None:
    pacing = Pacing(default_hz=0.1, detach=detach)
    async with serving(stream=pacing) as served:
        await served.publish({"name": "a", "value": 1})
        async with served.documents("text/event-stream") as documents:
            await next_of(documents, "points")
            await served.publish({"name": "a", "value": 2})  # may go at once, after quiet
            await served.publish({"name": "a", "value": 3})
            served.drain.set()
            values = []
            async for document in documents:
                values += [point[2] for point in document.get("points", [])]
                if document["type"] == "goaway":
                    break
            assert values[-1] == 3


async def test_new_streams_are_sent_away_while_the_balancer_learns_of_it() -> None:
    async with serving(server=Server(port=0, drain_delay=0.5)) as served:
        async with served.documents("text/event-stream") as documents:
            await next_of(documents, "hello")
            served.drain.set()
            with trio.fail_after(30):
                while (ready := await served.http.get("/readyz")).status_code == 200:
                    await trio.sleep(0.01)
            assert ready.status_code == 503
            refused = await served.http.get("/v1/stream")
            assert (refused.status_code, refused.json()["code"]) == (503, "draining")
            assert int(refused.headers["Retry-After"]) >= 1
            assert (await served.http.get("/livez")).status_code == 200
            # Those who are here see nothing of it yet.
            await served.publish({"name": "a", "value": 7})
            points = await next_of(documents, "points")
            while not points["points"]:
                points = await next_of(documents, "points")
            assert points["points"][0][2] == 7
            await next_of(documents, "goaway")


async def test_it_ends_in_time_whatever_stalled_clients_do() -> None:
    pacing = Pacing(max_hz=100, default_hz=100, reconnects_per_second=1.0)
    server = Server(port=0, drain_timeout=0.3, shutdown_timeout=0.3)
    begin = 0.0
    async with serving(stream=pacing, server=server) as served:
        raw = await stalled(served)
        begin = trio.current_time()
        served.drain.set()
    assert trio.current_time() - begin < 20  # by default it would take longer
    await trio.aclose_forcefully(raw)


def test_the_command_ends_a_service_and_says_so() -> None:
    with started("serve", "--port", "0") as (process, url):
        port = url.rsplit(":", 1)[1]
        publish(url, {"name": "a", "value": 1})
        with socket.create_connection(("127.0.0.1", int(port))) as subscriber:
            subscriber.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            while b"hello" not in subscriber.recv(65536):
                pass
            done = run("drain", "--port", port)
            assert done.returncode == 0, done.stderr
            assert f"process {process.pid}" in done.stderr
            assert process.wait(30) == 0
            told = b""
            while chunk := subscriber.recv(65536):
                told += chunk
            assert b"goaway" in told


def test_the_command_says_when_there_is_nothing_to_drain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run("drain", "--port", port)
        assert done.returncode == 1
        assert done.stderr == f"pushsvc: nobody serves on port {port}: nothing to drain\n"


def test_the_command_gives_up_in_the_end_and_leaves_the_service_to_it() -> None:
    with started("serve", "--port", "0", "--set", "server.drain_delay=30") as (process, url):
        done = run("drain", "--port", url.rsplit(":", 1)[1], "--timeout", "0.5")
        assert done.returncode == 1
        assert "still there after 0.5 s" in done.stderr
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # the second: at once
        assert process.wait(30) == 1


def test_a_second_signal_ends_it_at_once() -> None:
    with subprocess.Popen(
        [*PUSHSVC, "serve", "--port", "0", "--set", "server.drain_delay=30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
