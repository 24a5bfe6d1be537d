"""Long computations in threads that don't slow Trio's loop down.

Python runs one thread at a time, and interrupts one that computes only after 5 ms. The loop gives
up the interpreter with every send, and would wait that long each time. So a computation runs in
short slices while the loop is idle; if the loop is always busy, it gets about a twentieth of the
time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from math import inf
from typing import Final, TypeVar

import trio

_Result = TypeVar("_Result")
_Made = TypeVar("_Made")

_SLICE: Final = 0.001
"""Seconds of computing between two pauses."""
_PATIENCE: Final = 0.02
"""The longest wait for the loop to be idle, in seconds."""
_MOMENT: Final = 0.00005
"""Seconds that a loop needs to start running after it was woken."""
_PIECE: Final = 0.002
"""Seconds in the loop after which what is done piece by piece pauses."""


class _Idle(trio.abc.Instrument):
    """Records whether the loop is idle."""

    def __init__(self) -> None:
        self.now = threading.Event()

    def before_io_wait(self, timeout: float) -> None:
        if timeout > 0:
            self.now.set()

    def after_io_wait(self, _timeout: float) -> None:
        self.now.clear()


class Background:
    """Runs at most `at_once` computations at the same time; others wait."""

    def __init__(self, at_once: int) -> None:
        self._limiter = trio.CapacityLimiter(at_once)
        self._beginning = trio.Lock()
        self._idle = _Idle()
        self._running = 0
        self._not_before = -inf  # when the next may begin, by Trio's clock

    async def run(
        self, begin: Callable[[], Callable[[Callable[[], None]], _Result] | None]
    ) -> _Result | None:
        """Call `begin` in the loop when its turn comes, and run the function that it returns in a
        thread. Returns None if it returned None.

        That function is given a callback, and has to call it every few hundred microseconds. The
        callback may block for a while, and raises if the caller of `run` was cancelled. Calls of
        `begin` take at most a quarter of the loop's time.
        """

        def at_once() -> Generator[None, None, Callable[[Callable[[], None]], _Result] | None]:
            yield
            return begin()

        return await self.run_made(at_once())

    async def run_made(
        self,
        making: Generator[None, None, Callable[[Callable[[], None]], _Result] | None],
    ) -> _Result | None:
        """The same for a function that is made piece by piece."""
        async with self._limiter:
            computing = await self.make(making)
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

    async def make(self, making: Generator[None, None, _Made]) -> _Made:
        """Have something made in the loop, piece by piece, where nothing else is being made; gives
        what the generator returns. All of it takes at most a quarter of the loop's time. There is
        no checkpoint after the last piece."""
        async with self._beginning:
            while True:
                await trio.sleep_until(self._not_before)
                began = now = trio.current_time()
                try:
                    while now - began < _PIECE:
                        next(making)
                        now = trio.current_time()
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                finally:
                    self._not_before = (now := trio.current_time()) + 3 * (now - began)

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
