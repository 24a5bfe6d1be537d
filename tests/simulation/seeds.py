"""Many seeds on several cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import simulate

_AT_ONCE = 10
"""Seeds that a process is given at a time."""


def run(seeds: range, processes: int, mutation: str | None) -> Iterator[tuple[int, str | None]]:
    """Each seed, in their order, and what broke, if anything did."""
    with _pool(processes) as pool:
        yield from pool.map(partial(_break, mutation=mutation), seeds, chunksize=_AT_ONCE)


def catch(seeds: range, processes: int) -> Iterator[tuple[str, int | None, str]]:
    """Each mutation, which of the seeds caught it first, and as what."""
    with _pool(processes) as pool:
        yield from pool.map(partial(_catch, seeds=seeds), MUTATIONS)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))


def _break(seed: int, mutation: str | None) -> tuple[int, str | None]:
    _, broken = simulate(seed, MUTATIONS[mutation] if mutation else None)
    return seed, None if broken is None else str(broken)


def _catch(name: str, seeds: range) -> tuple[str, int | None, str]:
    for seed in seeds:
        _, broken = simulate(seed, MUTATIONS[name])
        if broken is not None:
            return name, seed, str(broken)
    return name, None, ""
