"""Dashboards that stay while pods are replaced: one of several processes that have them.

`python -m tests.bench.rolling_load JOB`: says when all have come, then answers what it is asked on
standard input, a line each.
"""

from __future__ import annotations

import sys
import time

import msgspec
import trio

from tests.proxies.dashboards import Crowd


class Job(msgspec.Struct, frozen=True):
    fronts: list[int]
    first: int
    """The number of the first dashboard, of all that there are."""
    clients: int
    max_hz: float
    poll_pause: float
    per_second: float
    """Dashboards that come in a second."""
    patience: float


class Live(msgspec.Struct, frozen=True, tag=True):
    """Wait until all go on with what is newer than these numbers."""

    wanted: list[int]
    since: float
    """From when on to tell who came back, monotonic."""


class Through(msgspec.Struct, frozen=True, tag=True):
    """Wait until all have the last, and compare."""

    published: list[int]


class Going(msgspec.Struct, frozen=True):
    """All go on."""

    returns: list[float]
    """When somebody came back, monotonic."""
    hiccups: list[tuple[float, float]]
    """When this process didn't get to run: the end, monotonic, and the seconds."""


class Compared(msgspec.Struct, frozen=True):
    faults: int
    examples: list[str]
    samples: int
    """That were delivered."""
    told: int
    cut: int
    cuts: dict[str, int]
    refused: int
    refusals: dict[str, int]
    silence: float
    slowest: str
    """The transport of who was without news for the longest."""


class Failure(msgspec.Struct, frozen=True):
    error: str


async def _attend(job: Job) -> None:
    crowd = Crowd(
        job.fronts,
        job.clients,
        max_hz=job.max_hz,
        poll_pause=job.poll_pause,
        per_second=job.per_second,
        first=job.first,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            _say(await _answer(crowd, job, msgspec.json.decode(line, type=Live | Through)))
        nursery.cancel_scope.cancel()


async def _answer(crowd: Crowd, job: Job, asked: Live | Through) -> Going | Compared | Failure:
    try:
        if isinstance(asked, Through):
            await crowd.everyone_through(asked.published, job.patience)
            return _compare(crowd, asked.published)
        await crowd.everyone_live(asked.wanted, job.patience)
    except AssertionError as error:
        return Failure(str(error))
    # Trio's clock begins anywhere.
    offset = time.monotonic() - trio.current_time()
    return Going(
        [at + offset for at in crowd.returns(asked.since - offset)],
        [(at + offset, late) for at, late in crowd.hiccups.found],
    )


def _compare(crowd: Crowd, published: list[int]) -> Compared:
    found = crowd.faults(published)
    return Compared(
        faults=len(found),
        examples=found[:5],
        samples=sum(len(one.values) for one in crowd.watching),
        told=crowd.told,
        cut=crowd.cuts.total(),
        cuts=dict(crowd.cuts.most_common(5)),
        refused=crowd.refusals.total(),
        refusals=dict(crowd.refusals.most_common(5)),
        silence=crowd.slowest.silence,
        slowest=crowd.slowest.transport,
    )


def _say(answer: Going | Compared | Failure) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def main() -> None:
    trio.run(_attend, msgspec.json.decode(sys.argv[1], type=Job))


if __name__ == "__main__":
    main()
