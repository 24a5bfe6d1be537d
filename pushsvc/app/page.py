"""The dashboard page, as it was built into the package, and the description of the API."""

from __future__ import annotations

import mimetypes
from contextlib import suppress
from pathlib import Path

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pushsvc.app.base_path import root_seen_from
from pushsvc.app.context import Context
from pushsvc.app.login import logged_in
from pushsvc.app.login_page import login_page
from pushsvc.app.openapi import DOCUMENT
from pushsvc.app.problems import respond, respond_as_framework
from pushsvc.errors import Unknown

_ABSENT = (
    "<!doctype html><title>pushsvc</title><p>This installation was built without the dashboard "
    "page. The API works: see <a href='openapi.json'>/openapi.json</a>. To have the page, install "
    "the released wheel, or build from source with Node.js at hand.</p>\n"
)

_BASE = b'<base href="%b"'
"""What all references on a page are relative to, as the page is built: from the root."""


class _Asset:
    """One built file, read once: they are few and small."""

    def __init__(self, path: Path, name: str) -> None:
        self.content = path.read_bytes()
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        # TypeScript's declarations share their suffix with a kind of video.
        self.media_type = "text/plain" if path.suffix == ".ts" else guessed
        if self.media_type.startswith("text/") or self.media_type.endswith(("javascript", "json")):
            self.media_type += "; charset=utf-8"
        # Names under assets/ carry a hash of what is in them.
        self.immutable = name.startswith("assets/")

    def from_below(self, root: str) -> bytes:
        """A page as it is served at a path from which `root` leads to the service's root."""
        return self.content.replace(_BASE % b"./", _BASE % root.encode(), 1)


def install(app: QuartTrio, context: Context) -> None:
    assets = _read_assets(context.page)

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return Response(DOCUMENT, content_type="application/json")

    @app.get("/")
    async def index() -> Response:
        return await page("index.html")

    @app.get("/d/<name>")
    async def dashboard_page(name: str) -> Response:  # noqa: ARG001 - the page reads it
        return await page("index.html")

    @app.get("/doctor")
    async def doctor_page() -> Response:
        return await page("doctor.html")

    @app.get("/<path:name>")
    async def asset(name: str) -> Response:
        return _serve(name)

    @app.errorhandler(MethodNotAllowed)
    async def other_method(error: MethodNotAllowed) -> Response:
        # Any path is that of a file which might be read, but only of one that is there can it be
        # said that it isn't written.
        name = request.path.removeprefix("/")
        if error.valid_methods and not methods_at(app, request.path) and name not in assets:
            with suppress(HTTPException):
                endpoint, _ = app.url_map.bind("localhost").match(request.path, method="GET")
                if endpoint == "asset":
                    return respond(absent())
        return respond_as_framework(error)

    async def page(name: str) -> Response:
        if not await logged_in(context):
            return login_page(context.access.origins, root_seen_from(request.path))
        if assets:
            return _serve(name)
        return _labelled(Response(_ABSENT, content_type="text/html"))

    def _serve(name: str) -> Response:
        asset = assets.get(name)
        if asset is None:
            if allowed := methods_at(app, request.path):
                raise MethodNotAllowed(valid_methods=allowed)
            raise absent()
        page = asset.media_type.startswith("text/html")
        root = root_seen_from(request.path)
        content = asset.from_below(root) if page else asset.content
        response = Response(content, content_type=asset.media_type)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if asset.immutable else "no-cache"
        )
        return _labelled(response) if page else response

    def _labelled(response: Response) -> Response:
        response.headers.update(context.access.origins.page_headers())
        return response


def absent() -> Unknown:
    return Unknown("path", f"there is nothing at {request.path}")


def methods_at(app: QuartTrio, path: str) -> list[str]:
    """The methods that a path has of a route of its own, but GET, which all paths have."""
    routes, found = app.url_map.bind("localhost"), []
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        with suppress(HTTPException):
            routes.match(path, method=method)
            found.append(method)
    return found


def _read_assets(folder: Path) -> dict[str, _Asset]:
    if not (folder / "index.html").is_file():
        return {}
    return {
        (name := path.relative_to(folder).as_posix()): _Asset(path, name)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
