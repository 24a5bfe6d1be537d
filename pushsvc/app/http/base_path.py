"""The path prefix that a proxy sends, where the proxy doesn't remove it itself.

Both paths are served: `/push/v1/stream` for the proxy, and `/v1/stream` for probes, scrapers and a
proxy that removes the prefix. The rest of the service doesn't know the prefix, except where a
browser is given a path for later: the path of the cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

_App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


def root_seen_from(path: str) -> str:
    """The service's root as a reference relative to one of its paths: `../` for `/d/cpu`.

    It is relative so that it is right under any prefix.
    """
    return "../" * (path.count("/") - 1) or "./"


class StripBasePath:
    """Serves an ASGI app under a base path, without the app knowing it."""

    def __init__(self, app: _App, base_path: str) -> None:
        """`base_path` isn't empty, and has no slash at its end."""
        self._app = app
        self._path = base_path
        self._raw = base_path.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path == self._path:
            if scope["type"] == "http":
                await _redirect(self._path.rpartition("/")[2] + "/", scope, send)
                return
        elif path.startswith(f"{self._path}/"):
            scope = {**scope, "path": path.removeprefix(self._path)}
            raw = scope.get("raw_path")
            if raw:
                scope["raw_path"] = raw.removeprefix(self._raw)
        await self._app(scope, receive, send)


async def _redirect(location: str, scope: Any, send: Any) -> None:
    """Redirect the base path without its final slash: relative references would be resolved
    wrongly."""
    query = scope.get("query_string", b"")
    target = location.encode() + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
