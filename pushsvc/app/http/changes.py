"""Waiting for a new version of a dashboard: one look at its file serves all that wait for it."""

from __future__ import annotations

import re
from typing import Final

import trio

from pushsvc.dashboards.library import Library
from pushsvc.errors import Problem
from pushsvc.pipeline.drain import Draining

LONGEST: Final = 30.0
"""Seconds that a request waits at most."""
MOST: Final = 2_000
"""Requests that wait at once; further ones are answered without waiting."""
_EVERY: Final = 1.0
"""Seconds between two looks at the files of the dashboards that are waited for."""
_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=[,;]|$)', re.IGNORECASE)


def patience(prefer: str) -> float:
    """Seconds that a request is willing to wait for an answer (RFC 7240 section 4.3), within
    bounds; 0 for not at all."""
    found = _WAIT.search(prefer)
    return 0.0 if found is None else min(LONGEST, float(found[1]))


class _Watched:
    """A dashboard that requests wait for."""

    def __init__(self) -> None:
        self.waiting = 0
        self.looked = 0
        """The number of the look that found `etag`; 0 before the first."""
        self.newcomers = False
        """Whether a request has come since that look began."""
        self.etag: str | None = None
        """The version at the last look; None where there was none."""
        self.changed = trio.Event()


class Changes:
    """Tells waiting requests of versions that were saved here, by another process, or directly as
    files."""

    def __init__(self, library: Library, draining: Draining) -> None:
        self._library = library
        self._draining = draining
        self._watched: dict[str, _Watched] = {}
        self._looks = 0
        self._awake = trio.Event()
        self._saved = trio.Event()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(one.waiting for one in self._watched.values())

    def saved(self) -> None:
        """Look at once: something was saved or deleted in this process."""
        self._saved.set()

    async def wait(self, name: str, etag: str, seconds: float) -> bool:
        """Return True when a dashboard is no longer the version `etag`, after so many seconds, or
        when the service drains; False at once where MOST requests wait already."""
        if self.waiting >= MOST or self._draining.is_set():
            return False
        one = self._watched.setdefault(name, _Watched())
        one.waiting += 1
        one.newcomers = True
        # A request with a version other than the one last seen may have a newer one.
        before = self._looks
        self._awake.set()
        try:
            with trio.move_on_after(seconds):
                while not (self._draining.is_set() or (one.looked > before and one.etag != etag)):
                    await one.changed.wait()
        finally:
            one.waiting -= 1
            if one.waiting == 0:
                del self._watched[name]
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at the files while anything waits, until cancelled."""
        limiter = trio.CapacityLimiter(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end)
            task_status.started()
            while True:
                await self._awake.wait()
                if not self._watched:
                    self._awake = trio.Event()
                    continue
                names = tuple(self._watched)
                self._looks += 1
                look = self._looks
                newcomers = {name for name in names if self._watched[name].newcomers}
                for name in newcomers:
                    self._watched[name].newcomers = False
                found = await trio.to_thread.run_sync(self._look, names, limiter=limiter)
                for name, etag in found.items():
                    one = self._watched.get(name)
                    if one is None:
                        continue
                    news = name in newcomers or not one.looked or one.etag != etag
                    one.looked, one.etag = look, etag
                    if news:
                        changed, one.changed = one.changed, trio.Event()
                        changed.set()
                with trio.move_on_after(_EVERY):
                    await self._saved.wait()
                self._saved = trio.Event()

    def _look(self, names: tuple[str, ...]) -> dict[str, str | None]:
        """The current versions; what can't be read is left out."""
        found: dict[str, str | None] = {}
        for name in names:
            try:
                found[name] = self._library.get(name).etag
            except Problem as problem:
                if problem.status == 404:
                    found[name] = None
        return found

    async def _end(self) -> None:
        await self._draining.wait()
        for one in self._watched.values():
            one.changed.set()
