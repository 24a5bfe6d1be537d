"""The service's routes in another server, or beside another app's own routes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from quart import Quart

from pushsvc.app.http.base_path import StripBasePath
from pushsvc.embed.service import Service

AsgiApp: TypeAlias = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
"""An ASGI 3 application."""


def create_app(service: Service) -> AsgiApp:
    """All that the service serves over HTTP (the page, the API, streams), as an ASGI application
    for any server that runs on Trio, or to be mounted in another application by its own means:
    a `root_path` is taken off.

        await hypercorn.trio.serve(create_app(service), hypercorn.Config())

    `server.base_path` applies as well. Access control is the service's own (`auth`), whatever the
    app around it checks: with `auth.mode` none only this machine has access, or everyone with
    `auth.insecure_no_auth`. When the service is closed or gone, streams and samples get 503.
    """
    return _Root(service._running.app.asgi_app)


def mount(app: Quart, prefix: str, service: Service) -> None:
    """Serve the service under a path of a Quart-Trio app, beside the app's own routes.

        mount(app, "/push", service)    # the page is at /push/, its API at /push/v1/...

    The page, its links and its streams work below any prefix, also where a proxy puts another one
    before it. The app's own hooks, error pages and sessions don't apply to these requests. Raises
    ValueError for a prefix that isn't a path.
    """
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ValueError(f"a prefix is a path such as /push, not {prefix!r}")
    app.asgi_app = _Beside(app.asgi_app, prefix, create_app(service))  # type: ignore[method-assign]


class _Root:
    """Serves an app under a `root_path`, without the app knowing it.

    Servers differ in whether the path that they pass begins with it (ASGI 3 says that it does).
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self._app
        if root := scope.get("root_path", "").rstrip("/"):
            app = StripBasePath(app, root)
            scope = {**scope, "root_path": ""}
        await app(scope, receive, send)


class _Beside:
    """Serves an app, and another one below a path."""

    def __init__(self, app: AsgiApp, prefix: str, below: AsgiApp) -> None:
        self._app = app
        self._prefix = prefix
        self._below = below

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        root = scope.get("root_path", "").rstrip("/")
        path: str = scope.get("path", "")
        prefix = self._prefix
        if root and path.startswith(f"{root}/"):
            prefix = root + prefix
        if path == prefix or path.startswith(f"{prefix}/"):
            await self._below({**scope, "root_path": prefix}, receive, send)
        else:
            await self._app(scope, receive, send)
