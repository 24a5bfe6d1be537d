"""Long computations in threads that leave the loop its time.

Python runs one thread at a time, and one that computes is asked to stop only after 5 ms: a loop
that lets others in with each send would wait as long for each. So a computation goes on while the
loop has nothing to do, a moment at a time; where the loop is always busy, it has a share of a
twentieth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final, TypeVar

import trio

_Result = TypeVar("_Result")

_SLICE: Final = 0.001
"""Seconds that are computed in one go."""
_PATIENCE: Final = 0.02
"""Seconds that are waited for the loop to have nothing to do."""
_MOMENT: Final = 0.00005
"""Seconds in which a loop that has woken up gets going."""


class _Idle(trio.abc.Instrument):
    """Notes whether the loop waits."""

    def __init__(self) -> None:
        self.now = threading.Event()

    def before_io_wait(self, timeout: float) -> None:
        if timeout > 0:
            self.now.set()

    def after_io_wait(self, _timeout: float) -> None:
        self.now.clear()


class Background:
    """Runs computations, so many at the same time; others wait."""

    def __init__(self, at_once: int) -> None:
        self._limiter = trio.CapacityLimiter(at_once)
        self._beginning = trio.Lock()
        self._idle = _Idle()
        self._running = 0
        self._not_before = -inf  # the next may begin, by Trio's clock

    async def run(
        self, begin: Callable[[], Callable[[Callable[[], None]], _Result] | None]
    ) -> _Result | None:
        """`begin` is called in the loop, when it is its turn; what it returns, if anything,
        computes in a thread.

        That is given a function which it has to call every few hundred microseconds, and which may
        take a while, or end it when who waits for it is gone. What `begin` itself takes is bounded
        to a quarter of the loop's time.
        """
        async with self._limiter:
            async with self._beginning:
                await trio.sleep_until(self._not_before)
                began = time.perf_counter()
                computing = begin()
                self._not_before = trio.current_time() + 3 * (time.perf_counter() - began)
            if computing is None:
                return None
            if not self._running:
                trio.lowlevel.add_instrument(self._idle)
            self._running += 1
            try:
                return await trio.to_thread.run_sync(lambda: computing(self._give_way()))
            finally:
                self._running -= 1
                if not self._running:
                    trio.lowlevel.remove_instrument(self._idle)
                    self._idle.now.clear()

    def _give_way(self) -> Callable[[], None]:
        idle, since = self._idle.now, time.perf_counter()

        def give_way() -> None:
            nonlocal since
            if time.perf_counter() - since < _SLICE:
                return
            time.sleep(_MOMENT)
            trio.from_thread.check_cancelled()
            if not idle.is_set():
                idle.wait(_PATIENCE)
            since = time.perf_counter()

        return give_way
