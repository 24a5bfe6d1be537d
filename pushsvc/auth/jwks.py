"""Keys from a JWK set URL (RFC 7517 section 5), which issuers change from time to time.

They are fetched at the start, then whenever they have grown old, and when a token names a key that
isn't among them: that is how rotation is noticed, and all requests that need it wait for the same
fetch. Anyone can send such tokens: a name that wasn't found isn't looked for again for `_COOLDOWN`
seconds, and fetches begin at least `_SPACING` seconds apart, whatever is named. While the URL
doesn't answer, known keys stay valid for `stale` seconds; after that, and before there were any,
requests are answered with 503, since nobody can say that their tokens are wrong.
"""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx
import msgspec
import trio
from joserfc.jwk import Key

from pushsvc.auth.jwt import read_set
from pushsvc.errors import Overloaded
from pushsvc.log import get_logger

_log = get_logger("pushsvc.auth")

_COOLDOWN: Final = 10.0
_SPACING: Final = 2.0
_MOST_VAIN: Final = 1024
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 256 * 1024
_LEAST_AGE: Final = 60.0
_MOST_AGE: Final = 86_400.0
_MOST_BACKOFF: Final = 60.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})")


class Jwks:
    """The keys at a URL. `run` keeps them fresh; `current` gives them."""

    grows = True

    def __init__(
        self,
        url: str,
        *,
        refresh: float,
        stale: float,
        changed: Callable[[], None] = lambda: None,
        cooldown: float = _COOLDOWN,
        spacing: float = _SPACING,
    ) -> None:
        """`refresh` is how many seconds a set counts as new if the answer doesn't say that
        itself."""
        self._url = url
        self._refresh = refresh
        self._stale = stale
        self._changed = changed
        self._cooldown = cooldown
        self._spacing = spacing
        # Names that weren't among the keys when they were last fetched for them, as hashes, with
        # the time of that fetch; oldest first.
        self._vain: dict[int, float] = {}
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: float | None = None
        self._asked_at = float("-inf")
        self._wanted = trio.Event()
        self._attempted = trio.Event()

    def current(self) -> Sequence[Key]:
        fresh = self._fetched_at is not None
        if not fresh or trio.current_time() - (self._fetched_at or 0.0) > self._stale:
            raise Overloaded(
                "keys", "the keys that tokens are verified with can't be had", retry_after=5.0
            )
        return self._keys

    async def wait_refresh(self, name: object) -> None:
        """Have the keys fetched for one of this name, and wait for it together with all others that
        need it; returns at once if that was in vain a moment ago."""
        known_as = hash(repr(name))
        if trio.current_time() - self._vain.get(known_as, float("-inf")) < self._cooldown:
            await trio.lowlevel.checkpoint()
            return
        attempted, fetched_at = self._attempted, self._fetched_at
        self._wanted.set()
        with trio.move_on_after(2 * _TIMEOUT + self._spacing):
            await attempted.wait()
        if self._fetched_at != fetched_at:
            # If it is among the keys now, it won't be looked for.
            self._vain.pop(known_as, None)
            while len(self._vain) >= _MOST_VAIN:
                del self._vain[next(iter(self._vain))]
            self._vain[known_as] = trio.current_time()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the keys fresh until cancelled. `started` is called after the first attempt,
        successful or not."""
        failures = 0
        async with httpx.AsyncClient(timeout=_TIMEOUT, verify=ssl.create_default_context()) as http:
            while True:
                self._asked_at = trio.current_time()
                try:
                    wait = await self._fetch(http)
                    failures = 0
                except (httpx.HTTPError, httpx.InvalidURL, ValueError, trio.TooSlowError) as error:
                    failures += 1
                    wait = min(_MOST_BACKOFF, 2.0**failures) * random.uniform(0.5, 1.0)
                    _log.warning("no keys", url=self._url, reason=str(error) or repr(error))
                # requests that came during the fetch have waited for it
                self._wanted = trio.Event()
                attempted, self._attempted = self._attempted, trio.Event()
                attempted.set()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                with trio.move_on_after(wait):
                    await self._wanted.wait()
                await trio.sleep_until(self._asked_at + self._spacing)

    async def _fetch(self, http: httpx.AsyncClient) -> float:
        """Fetch the set; returns after how many seconds it is old."""
        body = bytearray()
        with trio.fail_after(_TIMEOUT):
            async with http.stream("GET", self._url, headers={"Accept": "application/json"}) as got:
                if got.status_code != 200:
                    raise ValueError(f"it answered {got.status_code}")
                async for part in got.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise ValueError(f"the set has more than {_MOST_BYTES} bytes")
        keys = read_set(msgspec.json.decode(bytes(body), type=dict[str, Any]))
        if not keys:
            raise ValueError("there is no key in it that tokens may be signed with")
        before = {key.thumbprint() for key in self._keys}
        self._keys = tuple(keys)
        self._fetched_at = trio.current_time()
        now = {key.thumbprint() for key in self._keys}
        if before != now:
            _log.info("keys", url=self._url, count=len(keys))
            self._changed()
        said = _MAX_AGE.search(got.headers.get("cache-control", "").lower())
        age = self._refresh if said is None else float(said[1])
        return min(max(age, _LEAST_AGE), _MOST_AGE)
