"""The path under which a proxy asks for this service, where it doesn't take it away itself.

Both are served: `/push/v1/stream` for the proxy, and `/v1/stream` for probes, scrapers and a proxy
that strips. Nothing else in the service knows of it, but what is told to browsers for later: the
path of the cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

_App = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


def root_seen_from(path: str) -> str:
    """The service's root as a reference relative to one of its paths: `../` for `/d/cpu`.

    Relative, so that it is right under whatever path a proxy has put the service.
    """
    return "../" * (path.count("/") - 1) or "./"


class StripBasePath:
    """An ASGI app under a base path, of which the app within knows nothing."""

    def __init__(self, app: _App, base_path: str) -> None:
        """`base_path` without a slash at its end, and not empty."""
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
    """The base path without its slash is no place from which relative references lead right."""
    query = scope.get("query_string", b"")
    target = location.encode() + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
