"""`pushsvc serve --workers`: several processes that are one service."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
import trio

from tests.ports import free_ports
from tests.proxies.follower import Follower
from tests.publishing import Counting, publish_once
from tests.test_restart import ENV, TRANSPORTS


class Workers:
    """A service of so many workers, on a port that it keeps."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    @property
    def pids(self) -> dict[int, int]:
        """The processes of the workers, by index."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error, KeyError):
                assignment = msgspec.json.decode(child.environ()["PUSHSVC_WORKER"])
                found[assignment["index"]] = child.pid
        return found

    async def ask(self, path: str, **more: Any) -> httpx.Response:
        """Ask on a connection of its own: whichever worker gets it."""
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            return await http.request(more.pop("method", "GET"), self.url + path, **more)

    async def publish(self, value: int) -> None:
        """Publish the next value of `n`, as often as it takes."""
        sample = {"name": "n", "value": value}
        post = partial(self.ask, "/v1/samples", method="POST", json=sample)
        await publish_once(lambda headers: post(headers=headers), value)

    async def metrics(self) -> dict[str, float]:
        """Raises httpx.HTTPError, also while a worker that answers still reads its log."""
        answer = (await self.ask("/metrics")).raise_for_status()
        lines = answer.text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def all_up(self) -> None:
        # One that was killed soon after it began, again and again, is replaced after up to half a
        # minute, and then needs its time to begin.
        with trio.fail_after(90):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    told = await self.metrics()
                    if all(told.get(f'pushsvc_worker_up{{worker="{n}"}}') for n in range(2)):
                        return
                await trio.sleep(0.1)


@contextlib.asynccontextmanager
async def workers(
    folder: Path, *flags: str, count: int = 2, serves: bool = True
) -> AsyncGenerator[Workers]:
    """Where it isn't to be waited until it `serves`, it may not even listen yet."""
    log = folder / "log"
    (port,) = free_ports(1)
    process = start(log, "--workers", str(count), "--port", str(port), *flags)
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{port}"
        if serves:
            with trio.fail_after(30):
                said = await trio.to_thread.run_sync(process.stdout.readline)
            assert said.decode().strip() == url, log.read_text()
        yield Workers(process, url, log)
    finally:
        left = [process.pid]
        with contextlib.suppress(psutil.NoSuchProcess):
            left += [child.pid for child in psutil.Process(process.pid).children()]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def start(log: Path, *flags: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "pushsvc", "serve", *flags],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=ENV,
        )


class Streams:
    """Many streams of NDJSON, on sockets of their own."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self.streams: list[trio.SocketStream] = []

    async def open(self, query: str = "select=n") -> str:
        """Open another; gives its session."""
        assert self._url.port is not None
        stream = await trio.open_tcp_stream(self._url.host, self._url.port)
        self.streams.append(stream)
        request = f"GET /v1/stream?{query} HTTP/1.1\r\nHost: {self._url.netloc.decode()}\r\n"
        await stream.send_all(f"{request}Accept: application/x-ndjson\r\n\r\n".encode())
        said = b""
        with trio.fail_after(20):
            while b'"session":"' not in said:
                said += await stream.receive_some()
        return said.partition(b'"session":"')[2].partition(b'"')[0].decode()

    async def close(self) -> None:
        for stream in self.streams:
            await trio.aclose_forcefully(stream)


async def test_workers_are_one_service(tmp_path: Path) -> None:
    crowd = 400
    async with workers(tmp_path) as service:
        await service.publish(0)
        streams = Streams(service.url)
        sessions = [await streams.open() for _ in range(crowd)]
        # Half of them to each, as chance has it: five times its standard deviation is a quarter.
        first = sum(session.startswith("00") for session in sessions)
        assert abs(first - crowd / 2) < crowd / 8
        told = await service.metrics()
        assert told["pushsvc_subscribers"] == crowd
        assert told['pushsvc_worker_subscribers{worker="0"}'] == first
        assert told['pushsvc_worker_subscribers{worker="1"}'] == crowd - first
        assert told["pushsvc_series"] == 1
        listed = (await service.ask("/v1/subscribers?limit=1000")).json()
        assert listed["count"] == len(listed["subscribers"]) == crowd
        assert {one["worker"] for one in listed["subscribers"]} == {0, 1}
        assert len((await service.ask("/v1/subscribers?limit=7")).json()["subscribers"]) == 7
        for value in range(1, 21):  # whichever worker takes them
            await service.publish(value)
        (sent,) = (await service.ask("/v1/producers")).json()["producers"]
        assert (sent["format"], sent["requests"], sent["samples"]) == ("samples", 21, 21)
        for _ in range(6):  # whichever worker is asked
            for session in (min(sessions), max(sessions)):
                said = {"type": "watch", "select": ['n{a="1"}']}
                answer = await service.ask(f"/v1/stream/{session}", method="POST", json=said)
                assert answer.json()["granted"]["select"] == ['n{a="1"}'], answer.text
                said = {"type": "watch", "select": ["n{"]}
                answer = await service.ask(f"/v1/stream/{session}", method="POST", json=said)
                assert (answer.status_code, answer.json()["position"]) == (400, 2)
        for session in ("00nobody", "01nobody", "02nobody", "nobody"):
            said = {"type": "watch", "select": ["n"]}
            answer = await service.ask(f"/v1/stream/{session}", method="POST", json=said)
            assert (answer.status_code, answer.json()["code"]) == (404, "session")
        await streams.close()
        children = [psutil.Process(pid) for pid in service.pids.values()]
        service.process.terminate()
        assert await trio.to_thread.run_sync(service.process.wait) == 0
        assert not any(child.is_running() for child in children)


async def killed_again_and_again(folder: Path, rounds: int, *flags: str) -> None:
    chance = random.Random(rounds)
    async with workers(folder, *flags) as service:
        trust = ssl.create_default_context()
        followers = [Follower(service.url, each, trust) for each in TRANSPORTS * 2]
        counting = Counting(service.publish)
        async with trio.open_nursery() as nursery:
            await counting.publish_next()
            for each in followers:
                await nursery.start(each.run)
            nursery.start_soon(counting.run)
            for _ in range(rounds):
                await trio.sleep(chance.uniform(0.0, 0.8))
                os.kill(chance.choice(list(service.pids.values())), signal.SIGKILL)
                await service.all_up()
            await trio.sleep(0.5)
            counting.stop()
            for each in followers:
                await each.wait_value(counting.newest, 60)
            told = await service.metrics()
            nursery.cancel_scope.cancel()
    for each in followers:
        assert each.values == list(range(counting.newest + 1)), each.name
        assert each.gaps == 0, each.name
    assert sum(len(each.cuts) for each in followers) >= rounds
    assert told["pushsvc_samples_lost_total"] == 0


async def test_a_worker_that_is_killed_is_replaced_and_missed_by_nobody(tmp_path: Path) -> None:
    await killed_again_and_again(tmp_path, 2)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("flags", [(), ("--data", "data")], ids=["a log of its own", "a file"])
async def test_workers_may_be_killed_often(tmp_path: Path, flags: tuple[str, ...]) -> None:
    there = [str(tmp_path / flag) if flag == "data" else flag for flag in flags]
    await killed_again_and_again(tmp_path, 15, *there)


async def test_what_one_worker_counted_stays_counted(tmp_path: Path) -> None:
    async with workers(tmp_path) as service:
        await service.publish(0)
        streams = Streams(service.url)
        for _ in range(20):
            await streams.open()
        before = (await service.metrics())["pushsvc_subscribed_total"]
        assert before >= 20
        for pid in service.pids.values():
            os.kill(pid, signal.SIGKILL)
        await service.all_up()
        told = await service.metrics()
        assert told["pushsvc_subscribed_total"] >= before
        assert told['pushsvc_worker_restarts_total{worker="0"}'] == 1
        assert told['pushsvc_worker_restarts_total{worker="1"}'] == 1
        await streams.close()


async def test_a_worker_that_hangs_is_nothing_to_the_clients_of_the_other(tmp_path: Path) -> None:
    async with workers(tmp_path) as service:
        await service.publish(0)
        streams = Streams(service.url)
        by_worker: dict[str, trio.SocketStream] = {}
        while len(by_worker) < 2:
            session = await streams.open()
            by_worker[session[:2]] = streams.streams[-1]
        os.kill(service.pids[0], signal.SIGSTOP)
        try:
            # A connection that the worker gets that hangs waits, and the client tries again.
            with trio.fail_after(60):
                while True:
                    with trio.move_on_after(1.0):
                        await service.publish(1)
                        break
            said = b""
            with trio.fail_after(30):
                while b",1.0]" not in said:
                    said += await by_worker["01"].receive_some()
            os.kill(service.pids[0], 0)  # it was not killed meanwhile
        finally:
            os.kill(service.pids[0], signal.SIGCONT)
        with trio.fail_after(30):
            said = b""
            while b",1.0]" not in said:
                said += await by_worker["00"].receive_some()
        await streams.close()


@pytest.mark.long
async def test_no_worker_outlives_its_supervisor(tmp_path: Path) -> None:
    async with workers(tmp_path) as service:
        children = [psutil.Process(pid) for pid in service.pids.values()]
        service.process.kill()
        await trio.to_thread.run_sync(service.process.wait)
        with trio.fail_after(20):
            while any(child.is_running() for child in children):
                await trio.sleep(0.1)


@pytest.mark.long
async def test_what_keeps_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with workers(tmp_path, "--data", str(data)) as service:
        port = service.url.rpartition(":")[2]
        for flags, words in (
            (("--workers", "2", "--port", port), f"127.0.0.1 port {port}: Address already in use"),
            (("--workers", "2", "--port", "0", "--data", str(data)), "is in use by process"),
            (("--port", "0", "--data", str(data)), "is in use by process"),
            (("--workers", "2", "--port", "0", "--certfile", "no", "--keyfile", "no"), "no: "),
            (("--workers", "none"), "server.workers must be a whole number from 1 to 256, or auto"),
        ):
            log = tmp_path / "other"
            log.unlink(missing_ok=True)
            process = start(log, *flags)
            with trio.fail_after(30):
                assert await trio.to_thread.run_sync(process.wait) in (1, 2)
            assert process.stdout is not None
            process.stdout.close()
            said = log.read_text()
            assert words in said
            assert said.count("pushsvc: ") == 1
