"""Publishing to services that are killed while they are used: each value counts once, however often
it takes to publish it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import httpx
import trio


async def publish_once(
    post: Callable[[dict[str, str]], Awaitable[httpx.Response]], value: int
) -> httpx.Response:
    """Have `post` publish the sample of this value, with the headers that it is given, again and
    again until a service answers that it has it."""
    headers = {"Idempotency-Key": f"value-{value}"}
    while True:
        with contextlib.suppress(httpx.HTTPError):
            answer = await post(headers)
            if answer.status_code == 200:
                return answer
            assert answer.status_code in (409, 503), answer.text
        await trio.sleep(0.02)


class Counting:
    """Publishes the numbers from 0 on, each when the one before was taken in."""

    def __init__(self, publish: Callable[[int], Awaitable[object]], pause: float = 0.0) -> None:
        self._publish = publish
        self._pause = pause
        self._stopped = False
        self.newest = -1
        """The last number that was begun to be published."""

    async def publish_next(self) -> None:
        self.newest += 1
        await self._publish(self.newest)

    async def run(self) -> None:
        """Publish until `stop` is called; the number that was begun is still published."""
        while not self._stopped:
            await self.publish_next()
            await trio.sleep(self._pause)

    def stop(self) -> None:
        self._stopped = True
