"""A service that keeps its log, killed again and again while it is used: nobody notices but by the
silence."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest
import trio

from tests.ports import free_ports
from tests.proxies.follower import Follower
from tests.publishing import Counting, publish_once

ENV = {k: v for k, v in os.environ.items() if not k.startswith("PUSHSVC_")}
TRANSPORTS = ("websocket", "sse", "ndjson", "longpoll")


class Service:
    """`pushsvc serve --data`, on a port that it keeps."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            *(sys.executable, "-m", "pushsvc", "serve", "--port", str(self.port)),
            *("--data", str(data), *flags),
        ]
        self._data = data
        self._log = data.parent / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def change(self, *flags: str) -> None:
        """Have it started with these besides from now on."""
        self._command += flags

    async def start(self, http: httpx.AsyncClient) -> None:
        self._process = process = self._spawn()
        with trio.fail_after(30):
            while True:
                assert process.poll() is None, self._log.read_text()
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                await trio.sleep(0.05)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=log, env=ENV)

    @contextlib.contextmanager
    def full_disk(self) -> Generator[None]:
        """None of its files may grow beyond what its write-ahead log is now, as with a quota."""
        assert self._process is not None
        wal = self._data / "journal.sqlite-wal"
        *_, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        most = wal.stat().st_size
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; gives its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return await trio.to_thread.run_sync(self._process.wait)


@contextlib.asynccontextmanager
async def service(data: Path, *flags: str) -> AsyncGenerator[tuple[Service, httpx.AsyncClient]]:
    one = Service(data, *flags)
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
        await one.start(http)
        try:
            yield one, http
        finally:
            with trio.CancelScope(shield=True):
                await one.stop(signal.SIGKILL)


async def publish(one: Service, http: httpx.AsyncClient, value: int) -> str:
    """Publish the next value of `n`, as often as it takes; gives the cursor."""
    url, sample = f"{one.url}/v1/samples", {"name": "n", "value": value}
    answer = await publish_once(lambda headers: http.post(url, json=sample, headers=headers), value)
    cursor: str = answer.json()["id"]
    return cursor


async def kill_again_and_again(data: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    async with service(data) as (one, http):
        followers = [Follower(one.url, each, ssl.create_default_context()) for each in TRANSPORTS]
        epochs = set()

        async def publish_next(value: int) -> None:
            epochs.add((await publish(one, http, value)).partition(".")[0])

        counting = Counting(publish_next)
        async with trio.open_nursery() as nursery:
            await counting.publish_next()
            for each in followers:
                await nursery.start(each.run)
            nursery.start_soon(counting.run)
            for _ in range(rounds):
                await trio.sleep(chance.uniform(0.0, 0.8))
                await one.stop(signal.SIGKILL)
                async with httpx.AsyncClient(timeout=5.0, trust_env=False) as asking:
                    await one.start(asking)
            await trio.sleep(0.5)
            counting.stop()
            for each in followers:
                await each.wait_value(counting.newest, 20)
            nursery.cancel_scope.cancel()
    assert len(epochs) == 1
    for each in followers:
        assert each.values == list(range(counting.newest + 1)), each.name
        assert each.gaps == 0, each.name
        assert len(each.cuts) >= rounds, each.name


async def test_a_killed_service_goes_on_where_it_was(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path / "data", 3)


@pytest.mark.long
async def test_a_service_may_be_killed_often(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path / "data", 20)


async def test_a_full_disk_is_told_and_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    async with service(tmp_path / "data") as (one, http), trio.open_nursery() as nursery:
        followers = [Follower(one.url, each, ssl.create_default_context()) for each in TRANSPORTS]
        await publish(one, http, 0)
        for each in followers:
            await nursery.start(each.run)
        value = 0
        with one.full_disk(), trio.fail_after(60):
            while True:
                answer = await http.post(
                    f"{one.url}/v1/samples",
                    json={"name": "n", "value": value + 1},
                    headers={"Idempotency-Key": f"value-{value + 1}"},
                )
                if answer.status_code != 200:
                    break
                value += 1
            assert (answer.status_code, answer.json()["code"]) == (503, "journal")
            assert int(answer.headers["retry-after"]) > 0
            # To take it out of service would help nobody: it has the past.
            ready = await http.get(f"{one.url}/readyz")
            assert (ready.status_code, ready.text[:23]) == (200, "ok, the journal is away")
        for _ in range(10):
            value += 1
            await publish(one, http, value)
        for each in followers:
            await each.wait_value(value, 30)
        await one.stop(signal.SIGKILL)
        await one.start(http)
        await publish(one, http, value + 1)
        for each in followers:
            await each.wait_value(value + 1, 30)
            assert each.values == list(range(value + 2)), each.name
            assert each.gaps == 0, each.name
        nursery.cancel_scope.cancel()


async def test_what_was_there_is_there_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with service(data) as (one, http):
        samples = [
            {"name": "load", "labels": {"host": "a"}, "value": n, "kind": "gauge", "unit": "s"}
            for n in range(100)
        ]
        await http.post(f"{one.url}/v1/samples", json={"samples": samples})
        await http.post(
            f"{one.url}/v1/samples", json={"name": "door", "value": "open", "kind": "state"}
        )
        before = [await look(one, http, path) for path in LOOKS]
        assert await one.stop() == 0
        await one.start(http)
        assert [await look(one, http, path) for path in LOOKS] == before
        await one.stop()
        # A limit is about what comes, not about what was taken in under another.
        one.change("--set", "limits.series=1")
        await one.start(http)
        assert [await look(one, http, path) for path in LOOKS] == before
        answer = await http.post(f"{one.url}/v1/samples", json={"name": "new", "value": 1})
        assert (answer.status_code, answer.json()["code"]) == (422, "series_limit")


LOOKS = ("/v1/series", "/v1/history?select=load&window=1h", "/v1/history?select=door&window=1h")


async def look(one: Service, http: httpx.AsyncClient, path: str) -> object:
    answer = (await http.get(one.url + path)).json()
    answer.pop("id", None)  # time has passed, and is in the log as well
    return answer
