"""`python -m tests.simulation`: run the worlds of many seeds on all cores, and tell the story of
those that broke a rule, on a page each."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.mutations import MUTATIONS
from tests.simulation.page import keep
from tests.simulation.seeds import catch, run
from tests.simulation.world import simulate, told

_PAGES = 5
"""Seeds whose story is told, if more broke a rule."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit status: 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (default: 1,000)")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument(
        "--mutation", choices=[*MUTATIONS, "all"], help="break this rule on purpose"
    )
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.mutation == "all":
        return _mutate(seeds, options.processes)
    return _run(seeds, options.processes, options.mutation)


def _run(seeds: range, processes: int, mutation: str | None) -> int:
    failed: list[int] = []
    began = time.monotonic()
    for done, (seed, why) in enumerate(run(seeds, processes, mutation), 1):
        if why is not None:
            failed.append(seed)
            print(f"\rseed {seed}: {why[:150]}", flush=True)
        if done % 10 == 0 or done == len(seeds):
            rate = done / (time.monotonic() - began)
            print(f"\r{done:>9,} seeds, {rate:.1f}/s", end="", flush=True)
    if not failed:
        print(", nothing broke")
        return 0
    print()
    for seed in failed[:_PAGES]:
        world, broken = simulate(seed, MUTATIONS[mutation] if mutation else None)
        if broken is None:
            print(f"\nseed {seed} broke a rule, and not when it was run again")
        else:
            print(f"\n{told(world, broken, mutation)}\n\n{keep(world, broken, mutation)}")
    if len(failed) > 1:
        print(f"\n{len(failed)} seeds broke a rule: {', '.join(map(str, failed))}")
    return 1


def _mutate(seeds: range, processes: int) -> int:
    """Print which seed caught which mutation."""
    missed = 0
    for name, seed, why in catch(seeds, processes):
        missed += seed is None
        said = f"not found in {len(seeds)} seeds" if seed is None else f"seed {seed}: {why[:150]}"
        print(f"{name}: {said}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
