"""Expressions at several processes of one log: a stream of their steps goes on at another process,
and what is recorded is recorded once, also where processes are killed."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import trio

from pushsvc.core.storage.entry import Entry
from pushsvc.journal.sqlite import SqliteJournal, open_sqlite_journal
from pushsvc.journal.valkey import open_valkey_journal
from pushsvc.journal.valkey.journal import ValkeyJournal
from tests.journal.valkey_server import ValkeyServer, running
from tests.ports import free_ports
from tests.proxies.fleet import Pod
from tests.proxies.follower import Document, Follower
from tests.publishing import Counting, publish_once
from tests.test_restart import TRANSPORTS
from tests.test_workers import workers

QUESTION = "sum(n)"
AS_PROMETHEUS_SEES_IT = "sum(n offset 1ms)"
"""A step has what was stamped before it, and not what was stamped at it."""
RULES = """
[[record]]
name = "n:sum"
expression = "sum(n)"
"""
_PATIENCE = 60.0

Steps = dict[int, float]


class Watcher(Follower):
    """Is given the steps of the expression, each time at the next of some processes."""

    def __init__(self, urls: Sequence[str], transport: str) -> None:
        super().__init__(urls[0], transport, ssl.create_default_context())
        self._turns = itertools.cycle(urls)
        self.steps: list[tuple[int, float]] = []
        self.services: set[str] = set()
        """By URL."""
        self.sessions: list[str] = []
        """Of polls there are none. At one of several workers they begin with its index."""

    def _query(self) -> str:
        url = next(self._turns)
        self.services.add(url)
        query = {"select": QUESTION} | ({} if self._cursor is None else {"since": self._cursor})
        return f"{url}/v1/stream?{urlencode(query)}"

    def _take(self, document: Document) -> None:
        super()._take(document)
        if document["type"] == "hello":
            self.sessions.append(document["session"])
        elif document["type"] == "points":
            self.steps += [(time, value) for _, time, value in document["points"]]

    @property
    def workers(self) -> list[int]:
        return [int(session[:2], 16) for session in self.sessions]

    async def wait_step(self, time: int) -> None:
        with trio.move_on_after(_PATIENCE):
            while not self.steps or self.steps[-1][0] < time:
                await trio.sleep(0.05)
            return
        raise AssertionError(f"{self.name}: {self.steps[-3:]} of {time}, {self.cuts[-3:]}")


async def publish(urls: Iterator[str], value: int) -> None:
    """Publish the next value of three series at once, as often as it takes."""
    samples = [{"name": "n", "labels": {"part": part}, "value": value} for part in "abc"]

    async def post(headers: dict[str, str]) -> httpx.Response:
        # A connection of its own, which any worker may get.
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            url = f"{next(urls)}/v1/samples"
            return await http.post(url, json={"samples": samples}, headers=headers)

    await publish_once(post, value)


async def ask(url: str, path: str, **query: Any) -> Any:
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as http:
        said = await http.get(url + path, params=query)
    assert said.status_code == 200, said.text
    return said.json()


async def worked_out(url: str, first: int, last: int) -> Steps:
    """The steps as a question about the past answers them."""
    said = await ask(
        url,
        "/api/v1/query_range",
        query=AS_PROMETHEUS_SEES_IT,
        start=first / 1000,
        end=last / 1000,
        step=1,
    )
    (series,) = said["data"]["result"]
    return {round(time * 1000): float(value) for time, value in series["values"]}


async def history(url: str, select: str) -> list[tuple[int, float]]:
    said = await ask(url, "/v1/history", select=select)
    return [(point[0], point[-1]) for one in said["series"] for point in one["points"]]


async def watched_by_all(
    urls: Sequence[str], change: Callable[[list[Watcher]], Awaitable[None]]
) -> tuple[list[Watcher], list[Steps]]:
    """Have the expression watched on all transports while something changes, and for some steps
    after it. Gives who watched, and what each process answers to a question about those steps."""
    counting = Counting(partial(publish, itertools.cycle(urls)), pause=0.05)
    each_first = itertools.cycle([[*urls[n:], *urls[:n]] for n in range(len(urls))])
    watchers = [Watcher(next(each_first), each) for each in TRANSPORTS * 2]
    async with trio.open_nursery() as nursery:
        await counting.publish_next()
        for each in watchers:
            await nursery.start(each.run)
        nursery.start_soon(counting.run)
        await change(watchers)
        newest = max(each.steps[-1][0] for each in watchers if each.steps)
        for each in watchers:
            await each.wait_step(newest + 3_000)
        counting.stop()
        nursery.cancel_scope.cancel()
    first = min(each.steps[0][0] for each in watchers)
    last = max(each.steps[-1][0] for each in watchers)
    return watchers, [await worked_out(url, first, last) for url in urls]


def compare(watchers: list[Watcher], answers: list[Steps], entries: Sequence[Entry]) -> None:
    """No step is missing or doubled, and each is what the log had by then; a question about the
    past sees the same but for samples that were on their way to the log when the step came."""
    said = [
        (entry.stamp, rows.times[0], 3 * float(rows.values[0] or 0))
        for entry in entries
        for rows in entry.draft.batch.rows
        if rows.identity.text == 'n{part="a"}'
    ]
    by_step, by_time = (
        {step: [value for *at, value in said if at[place] < step][-1] for step in answers[0]}
        for place in (0, 1)
    )
    assert answers == [by_time] * len(answers)
    assert sum(by_step[step] == by_time[step] for step in by_step) >= 2
    for each in watchers:
        begin, end = each.steps[0][0], each.steps[-1][0]
        assert each.steps == [(step, by_step[step]) for step in range(begin, end + 1, 1000)], (
            each.name
        )
        assert each.steps[0][1] < each.steps[-1][1]
        assert each.gaps == 0, each.name


async def all_of(journal: SqliteJournal | ValkeyJournal) -> list[Entry]:
    """What is in the log, without what has the same key as something before: it doesn't count."""
    found: list[Entry] = []
    seen: set[bytes] = set()
    assert (journal.horizon, journal.seq > 0) == (0, True)
    end = journal.seq
    async with aclosing(journal.read(0)) as slices:
        async for entries in slices:
            for entry in entries:
                if not entry.draft.once or entry.draft.once not in seen:
                    found.append(entry)
                seen.add(entry.draft.once)
            if entries[-1].last >= end:
                return found
    raise AssertionError("reading ends")


async def changed_workers(folder: Path, rounds: int) -> None:
    rules, data = folder / "rules.toml", folder / "data"
    rules.write_text(RULES)
    async with workers(folder, "--data", str(data), "--recording-rules", str(rules)) as service:

        async def kill(watchers: list[Watcher]) -> None:
            """Kill the worker that records, and in turns the first watcher's, until that one has
            been at both."""
            watcher, round_ = watchers[0], 0
            while round_ < rounds or len(set(watcher.workers)) < 2:
                os.kill(service.pids[round_ % 2 and watcher.workers[-1]], signal.SIGKILL)
                await service.all_up()
                newest = watcher.steps[-1][0] if watcher.steps else 0
                await watcher.wait_step(newest + 1_000)
                round_ += 1

        watchers, answers = await watched_by_all([service.url], kill)
        # The worker that records was killed: another does, and each step is there once.
        until = max(each.steps[-1][0] for each in watchers)
        with trio.fail_after(_PATIENCE):
            while not (found := await history(service.url, "n:sum")) or found[-1][0] < until:
                await trio.sleep(0.1)
        service.process.terminate()
        assert await trio.to_thread.run_sync(service.process.wait) == 0
    times = [time for time, _ in found]
    assert times == sorted(set(times))
    async with open_sqlite_journal(
        data / "journal.sqlite", keep_seconds=3600, max_bytes=1_000_000_000
    ) as journal:
        compare(watchers, answers, await all_of(journal))


@pytest.mark.long
async def test_workers_are_killed_often(tmp_path: Path) -> None:
    await changed_workers(tmp_path, 4)


@contextlib.asynccontextmanager
async def pods(folder: Path, server: ValkeyServer, count: int) -> AsyncIterator[list[Pod]]:
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    them = [
        Pod(port, folder / f"pod-{port}.log", server.url, {"recording.file": rules})
        for port in free_ports(count)
    ]
    try:
        yield them
    finally:
        for pod in them:
            pod.kill()


async def changed_pods(folder: Path, rounds: int) -> None:
    killed: list[float] = []
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        with running(folder / "valkey") as server:
            async with pods(folder, server, 3) as them:
                for pod in them:
                    await pod.ready(http)

                async def kill(_watchers: list[Watcher]) -> None:
                    """Kill the one that has recorded most, again and again."""
                    for _ in range(rounds):
                        found: dict[int, float] = {}
                        with trio.fail_after(_PATIENCE):
                            while not any(found.values()):
                                found = {
                                    n: await pod.metric(http, "pushsvc_recorded_samples_total")
                                    for n, pod in enumerate(them)
                                }
                                await trio.sleep(0.1)
                        number = max(found, key=lambda n: found[n])
                        killed.append((await history(them[number].url, "n:sum"))[-1][0])
                        them[number].kill()
                        them[number] = them[number].again()
                        await them[number].ready(http)

                watchers, answers = await watched_by_all([pod.url for pod in them], kill)
                streams = [each for each in watchers if each.sessions]
                assert any(len(each.services) > 1 for each in streams)
                with trio.fail_after(_PATIENCE):
                    while True:
                        recorded = [await history(pod.url, "n:sum") for pod in them]
                        until = min(each[-1][0] for each in recorded if each)
                        if all(recorded) and until >= killed[-1] + 2_000:
                            break
                        await trio.sleep(0.1)
            async with open_valkey_journal(server.url) as journal:
                entries = await all_of(journal)
    compare(watchers, answers, entries)
    written = [
        rows.times[0]
        for entry in entries
        for rows in entry.draft.batch.rows
        if rows.identity.name == "n:sum"
    ]
    assert written == sorted(set(written))
    for each in recorded:
        assert [time for time, _ in each if time <= until] == [
            time for time in written if time <= until
        ]
    assert len({tuple(point for point in each if point[0] <= until) for each in recorded}) == 1


async def test_pods_are_killed(tmp_path: Path) -> None:
    await changed_pods(tmp_path, 1)


@pytest.mark.long
async def test_pods_are_killed_often(tmp_path: Path) -> None:
    await changed_pods(tmp_path, 4)
