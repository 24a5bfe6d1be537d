"""Decoding of what is large: in a thread, one body at a time, while the loop has nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pushsvc.ingest.pace import pausing
from pushsvc.pipeline.background import Background

_Decoded = TypeVar("_Decoded")


class Decoding:
    """Where all formats have their large bodies decoded.

    A thread that computes takes the interpreter from the loop for some milliseconds at each system
    call of the loop, and a tick is thousands of these. So it stands still as long as the loop is
    busy, but for a twentieth of the time. One at a time is no slower, as there is one interpreter;
    and what such a body becomes is in memory once (a message of OTLP with many empty parts grows to
    some fifty times its size).
    """

    def __init__(self) -> None:
        self._background = Background(1)

    async def run(self, decode: Callable[[], _Decoded]) -> _Decoded:
        """Call `decode` in a thread, and return what it returns. If the caller is cancelled, it
        ends at its next pause."""

        def compute(give_way: Callable[[], None]) -> tuple[_Decoded]:
            give_way()
            with pausing(give_way):
                return (decode(),)

        decoded = await self._background.run(lambda: compute)
        assert decoded is not None
        return decoded[0]
