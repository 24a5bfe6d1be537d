"""`/openapi.json` and `/asyncapi.json`: what the API is, for programs. `/docs` shows both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http.context import Context
from pushsvc.app.http.described import described, json
from pushsvc.app.pages.asyncapi import asyncapi
from pushsvc.app.pages.openapi import openapi


def install(app: QuartTrio, context: Context) -> None:  # noqa: ARG001
    http, websockets = _Description(lambda: openapi(app)), _Description(lambda: asyncapi(app))

    @app.get("/openapi.json")
    @described(
        "This document",
        answers={200: json(dict[str, Any], "OpenAPI 3.1."), 304: "It is as If-None-Match says."},
    )
    async def openapi_json() -> Response:
        return await http.answer()

    @app.get("/asyncapi.json")
    @described(
        "The description of the WebSockets",
        answers={200: json(dict[str, Any], "AsyncAPI 3."), 304: "It is as If-None-Match says."},
    )
    async def asyncapi_json() -> Response:
        return await websockets.answer()


class _Description:
    """A document that doesn't change while the service runs. It is made when it is first asked for,
    in a thread: that takes longer than streams, or a start, should wait."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._making = trio.Lock()
        self._content = b""
        self._tag = ""

    async def answer(self) -> Response:
        async with self._making:
            if not self._content:
                self._content = await trio.to_thread.run_sync(self._make)
                self._tag = hashlib.sha256(self._content).hexdigest()[:20]
        known = request.if_none_match.contains_weak(self._tag)
        response = Response(
            b"" if known else self._content,
            status=304 if known else 200,
            content_type="application/json",
        )
        # A weak tag, since the bytes depend on the coding that the client accepts.
        response.headers["ETag"] = f'W/"{self._tag}"'
        response.headers["Cache-Control"] = "no-cache"
        if known:
            for name in ("Content-Type", "Content-Length"):
                response.headers.pop(name, None)
        return response
