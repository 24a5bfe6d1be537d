"""Three processes that share a log at a Valkey, each request to the next one of them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
import trio

from tests.journal import valkey_server
from tests.test_restart import ENV

POLLERS = 4
SAMPLES = 200


@contextlib.contextmanager
def process(url: str, log: Path) -> Iterator[str]:
    """`pushsvc serve` with its log there; gives its own URL."""
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "pushsvc", "serve", "--port", "0"),
                *("--set", f"journal.url={url}"),
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=ENV,
        )
    try:
        assert child.stdout is not None
        line = child.stdout.readline().decode().strip()
        assert line, log.read_text()
        yield line
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[str]]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(valkey_server.running(tmp_path / "valkey"))
        yield [
            stack.enter_context(process(server.url, tmp_path / f"log-{number}"))
            for number in range(3)
        ]


@pytest.mark.long
async def test_polls_that_go_round_see_each_sample_once_and_in_order(
    processes: list[str],
) -> None:
    turns = count()

    def next_one() -> str:
        return processes[next(turns) % 3]

    seen: list[dict[str, list[float]]] = [{"a": [], "b": []} for _ in range(POLLERS)]

    async def publish(http: httpx.AsyncClient, name: str) -> None:
        for value in range(SAMPLES):
            answer = await http.post(
                f"{next_one()}/v1/samples", json={"name": name, "value": value}
            )
            assert answer.status_code == 200, answer.text

    async def poll(http: httpx.AsyncClient, values: dict[str, list[float]]) -> None:
        """Ask on until all has come; each answer says what its refs are."""
        since: dict[str, str] = {}
        while any(each[-1:] != [SAMPLES - 1] for each in values.values()):
            answer = await http.get(
                f"{next_one()}/v1/stream",
                params={"select": ["a", "b"], "wait": "10", "window": "5m", **since},
                headers={"Accept": "application/json"},
            )
            assert answer.status_code == 200, answer.text
            names: dict[int, str] = {}
            for document in answer.json()["documents"]:
                assert document["type"] == "points", document
                names |= {one["ref"]: one["name"] for one in document.get("series", ())}
                for ref, _, value in document["points"]:
                    values[names[ref]].append(value)
            since = {"since": answer.json()["id"]}

    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for values in seen:
                    nursery.start_soon(poll, http, values)
                for name in "ab":
                    nursery.start_soon(publish, http, name)
    for values in seen:
        assert values == {"a": list(range(SAMPLES)), "b": list(range(SAMPLES))}
