"""Publishing: batches over a kept-alive connection, and long uploads."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import trio

from pushsvc.client.dial import Token, authorization, backoff, require_trio
from pushsvc.client.errors import Busy, Unreachable, answered, reason


class Publisher:
    """Publishes batches over one kept-alive connection. Made by `open_publisher`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http

    async def publish(
        self,
        samples: Iterable[Mapping[str, Any]],
        *,
        patience: float = 30.0,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Send one batch, of which all or nothing is applied. The answer has `applied` (samples),
        `id` (cursor) and `watchers` (subscribers).

        While the server says that it is behind, waits and tries again, for about `patience`
        seconds. Raises Refused for a batch that is invalid or not allowed, Busy, and Unreachable.
        Always checkpoints.

        With a `key` (an Idempotency-Key: any text that no other batch has, for five minutes) the
        batch is applied once, even if it is sent several times. It is then sent again also after a
        connection failure, where it is unknown whether it was applied.
        """
        body = msgspec.json.encode({"samples": list(samples)})
        deadline = trio.current_time() + patience
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._post(body, key)
            except (Busy, Unreachable) as error:
                if isinstance(error, Unreachable) and key is None:
                    raise
                after = error.retry_after if isinstance(error, Busy) else 0.0
                delay = max(after, backoff(attempt))
                if trio.current_time() + delay > deadline:
                    raise
                await trio.sleep(delay)

    async def _post(self, body: bytes, key: str | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = f'"{key}"'
        try:
            answer = await self._http.post("/v1/samples", content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url}: {reason(error)}") from None
        if answer.status_code != 200:
            raise answered(answer.status_code, answer.headers, answer.content)
        applied: dict[str, Any] = answer.json()
        return applied

    async def upload(self, lines: AsyncIterator[bytes]) -> dict[str, Any]:
        """Send NDJSON as it comes, as one chunked request; the answer is the server's report.

        A report with refused lines is an answer too: see `rejected` and `errors`. Raises Refused
        when the whole upload was refused, Busy, and Unreachable. Always checkpoints.
        """
        try:
            answer = await self._http.post(
                "/v1/samples",
                content=lines,
                headers={"Content-Type": "application/x-ndjson"},
                timeout=httpx.Timeout(30.0, read=None, write=None),
            )
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._url}: {reason(error)}") from None
        if answer.status_code == 200 or (
            answer.status_code == 422 and answer.json().get("code") == "lines"
        ):
            report: dict[str, Any] = answer.json()
            return report
        raise answered(answer.status_code, answer.headers, answer.content)


@asynccontextmanager
async def open_publisher(
    url: str, *, token: Token = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Publisher]:
    """A publisher for the service at `url`; its connection is closed when the block ends.

    `token` is an API key or JSON Web Token, or a function that returns the current one, called for
    each request. `tls` says which certificates are trusted, those of the system if None.
    """

    require_trio()

    async def authorize(request: httpx.Request) -> None:
        request.headers.update(authorization(token))

    hooks = {"request": [authorize]}
    async with httpx.AsyncClient(
        base_url=url, timeout=30.0, event_hooks=hooks, verify=tls or True
    ) as http:
        yield Publisher(url, http)
