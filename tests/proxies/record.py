"""What is published in a test of many, and what a record of it has otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

PRODUCERS = 3
"""Each counts up in a series of its own."""
_NEWEST = 1_000
"""Values among which the last of each is sought: many come series by series."""


def encode(producer: int, number: int) -> int:
    """The value that stands for a producer's number."""
    return number * PRODUCERS + producer


def is_live(values: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether the newest of a record is, of its producer, this number or a later one."""
    if not values:
        return False
    number, producer = divmod(values[-1], PRODUCERS)
    return number >= wanted[producer]


def is_through(values: Sequence[int], published: Sequence[int]) -> bool:
    """Whether a record has the last of each producer, who published so many."""
    newest = set(values[-_NEWEST:])
    return all(encode(producer, count - 1) in newest for producer, count in enumerate(published))


def faults(values: Sequence[int], published: Sequence[int]) -> list[str]:
    """What a record has otherwise than it was published: of each producer it should have all
    numbers from the first that it has to the last, once and in order."""
    found = []
    for producer, count in enumerate(published):
        record = [value // PRODUCERS for value in values if value % PRODUCERS == producer]
        if not record:
            found.append(f"nothing of producer {producer}")
        elif record != list(range(record[0], count)):
            wrong = next(
                (n for n, (a, b) in enumerate(itertools.pairwise(record)) if b != a + 1), -2
            )
            near = record[max(0, wrong - 2) : wrong + 4] if wrong >= 0 else record[-3:]
            last = record[-1] + 1
            lacking = f", and lacks {last} to {count - 1} at its end" if last < count else ""
            found.append(f"of producer {producer}: ... {near} ..., of {count}{lacking}")
    return found
