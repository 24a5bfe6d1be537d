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
        """Send one batch, all or nothing; the answer has `applied`, `id` and `watchers`.

        While the server says that it is behind, waits and tries again, for about `patience`
        seconds. Raises Refused for a batch that it won't have, Busy and Unreachable.

        With a `key` (any text of your own that no other batch has, for five minutes: an
        Idempotency-Key) the batch is applied once however often it is sent, so that it is also
        sent again when the connection failed and nobody knows what became of it.
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

        A report in which lines were refused is an answer too: see `rejected` and `errors`.
        Raises Refused when the whole upload was given up, Busy and Unreachable.
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
    """A publisher for the service at `url`; its connection is closed on leaving.

    `token` is an API key or JSON Web Token, or what gives the current one for each request; `tls`
    says whose certificates are trusted, those that are usually trusted here if None.
    """

    require_trio()

    async def authorize(request: httpx.Request) -> None:
        request.headers.update(authorization(token))

    hooks = {"request": [authorize]}
    async with httpx.AsyncClient(
        base_url=url, timeout=30.0, event_hooks=hooks, verify=tls or True
    ) as http:
        yield Publisher(url, http)
