"""Long decoding in pieces: a loop over many items lets its caller pause between some of them.

A decoder says only where it may be held up, by going through `paced` items. Who calls it from a
thread says by `pausing` what is to happen there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from typing import Final, TypeVar

_Item = TypeVar("_Item")

_PIECE: Final = 128
"""Items between two pauses: a few hundred microseconds."""

_pause: ContextVar[Callable[[], None] | None] = ContextVar("pause", default=None)


@contextmanager
def pausing(pause: Callable[[], None]) -> Iterator[None]:
    """Have `pause` called again and again by what is decoded in the block."""
    token = _pause.set(pause)
    try:
        yield
    finally:
        _pause.reset(token)


def paced(items: Iterable[_Item]) -> Iterable[_Item]:
    """The items, with a pause after every few, if there is anyone who wants one."""
    pause = _pause.get()
    if pause is None:
        return items
    return chain.from_iterable(_pieces(iter(items), pause))


def _pieces(items: Iterator[_Item], pause: Callable[[], None]) -> Iterator[tuple[_Item, ...]]:
    while piece := tuple(islice(items, _PIECE)):
        pause()
        yield piece
