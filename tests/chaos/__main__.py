"""`python -m tests.chaos`: any number of seeds, or one again.

A script that fails is made as short as it can be and printed, with what was expected and seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import trio

from pushsvc.core.resources.limits import Limits, Pacing, Retention
from tests.chaos.script import TTL, Script, fails, make, shorten
from tests.serving import Served, serving

AT_ONCE = 10
"""Scripts that run side by side against one service."""
_SHORTEN = 120.0


def service() -> AbstractAsyncContextManager[Served]:
    """A service whose histories, rings and slices are small, so that everything happens soon."""
    return serving(
        limits=Limits(samples_per_second=1e9, streams_per_second=1e9, messages_per_second=1e9),
        history=Retention(samples=60, series_ttl=TTL),
        stream=Pacing(ring_frames=3, replay_points=20),
    )


async def run(seeds: Sequence[int], steps: int) -> dict[int, str]:
    """The seeds that fail, each with what went wrong."""
    failed: dict[int, str] = {}
    async with service() as served:
        limit = trio.CapacityLimiter(AT_ONCE)

        async def one(seed: int) -> None:
            async with limit:
                told = await fails(served, make(seed, steps), f"s{seed}_")
                if told is not None:
                    failed[seed] = told

        async with trio.open_nursery() as nursery:
            for seed in seeds:
                nursery.start_soon(one, seed)
    return failed


async def explain(seed: int, steps: int) -> str:
    """The shortest script that was found for a seed, and what goes wrong with it."""
    async with service() as served:
        script, told = await shorten(served, make(seed, steps), _SHORTEN)
    return _printed(seed, script, told)


def _printed(seed: int, script: Script, told: str) -> str:
    lines = "".join(f"    {step!r},\n" for step in script)
    return f"seed {seed}: {told}\n[\n{lines}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit status: 1 if anybody wasn't given what it was owed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--seed", type=int, help="this one only, and make it short if it fails")
    parser.add_argument("--steps", type=int, default=30, help="of each script (default: 30)")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    failed = trio.run(run, seeds, options.steps)
    for seed, told in sorted(failed.items()):
        print(f"seed {seed}: {told[:300]}")
    if failed:
        print(trio.run(explain, min(failed), options.steps))
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds as they should be", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
