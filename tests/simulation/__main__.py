"""`python -m tests.simulation`: run the worlds of many seeds, and tell the story of one that broke
a rule."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import simulate, told


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit status: 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many (default: 1,000)")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument(
        "--mutation", choices=[*MUTATIONS, "all"], help="break this rule on purpose"
    )
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.mutation == "all":
        return _mutate(seeds)
    began = time.monotonic()
    for done, seed in enumerate(seeds, 1):
        mutation = MUTATIONS[options.mutation] if options.mutation else None
        world, broken = simulate(seed, mutation)
        if broken is not None:
            print(f"\n{told(world, broken)}")
            return 1
        if done % 10 == 0 or done == options.seeds:
            took = time.monotonic() - began
            print(f"\r{done:>9,} seeds, {done / took:.1f}/s", end="", flush=True)
    print(", nothing broke")
    return 0


def _mutate(seeds: range) -> int:
    missed = 0
    for name, mutation in MUTATIONS.items():
        for seed in seeds:
            _, broken = simulate(seed, mutation)
            if broken is not None:
                print(f"{name}: seed {seed}: {str(broken)[:150]}", flush=True)
                break
        else:
            missed += 1
            print(f"{name}: not found in {len(seeds)} seeds", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
