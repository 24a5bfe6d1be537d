"""The dashboard page and other pages for people, from the files built into the package."""

from __future__ import annotations

import hashlib
import mimetypes
from contextlib import suppress
from pathlib import Path
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pushsvc.app.http.base_path import root_seen_from
from pushsvc.app.http.coding import FILES, Coding, coding_of
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import for_people
from pushsvc.app.http.login_page import login_page
from pushsvc.app.http.problems import respond, respond_as_framework
from pushsvc.app.pages.login import logged_in
from pushsvc.errors import Unknown

_ABSENT = (
    "<!doctype html><title>pushsvc</title><p>This installation was built without the dashboard "
    "page. The API works: see <a href='openapi.json'>/openapi.json</a>. To have the page, install "
    "the released wheel, or build from source with Node.js at hand.</p>\n"
)

_SUFFIXES: Final[dict[Coding, str]] = {"br": ".br", "gzip": ".gz"}
"""Suffixes of the compressed files, which lie beside the plain ones."""
_BASE = b'<base href="%b"'
"""The base of all references on a page in its built form: the root."""


class _Asset:
    """One built file, read once: they are few and small."""

    def __init__(self, path: Path, name: str) -> None:
        self.content = path.read_bytes()
        self.packed: dict[Coding, bytes] = {"identity": self.content}
        """The file in the codings in which it was built."""
        for coding, suffix in _SUFFIXES.items():
            if (beside := path.with_name(path.name + suffix)).is_file():
                self.packed[coding] = beside.read_bytes()
        self._etag = hashlib.sha256(self.content).hexdigest()[:20]
        guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        # The suffix of TypeScript's declarations is also that of a kind of video.
        self.media_type = "text/plain" if path.suffix == ".ts" else guessed
        if self.media_type.startswith("text/") or self.media_type.endswith(("javascript", "json")):
            self.media_type += "; charset=utf-8"
        # Names under assets/ contain a hash of the content.
        self.immutable = name.startswith("assets/")

    @property
    def codings(self) -> tuple[Coding, ...]:
        """The codings it is available in, besides the plain one."""
        return tuple(coding for coding in FILES if coding in self.packed)

    def etag(self, coding: Coding) -> str:
        """The tag of its bytes in one coding: each coding is another representation (RFC 9110
        section 8.8.3)."""
        return f"{self._etag}-{coding}"

    def from_below(self, root: str) -> bytes:
        """A page served at a path from which `root` leads to the service's root."""
        return self.content.replace(_BASE % b"./", _BASE % root.encode(), 1)


def install(app: QuartTrio, context: Context) -> None:
    assets = _read_assets(context.page)

    @app.get("/")
    @for_people
    async def index() -> Response:
        return await page("index.html")

    @app.get("/d/<name>")
    @for_people
    async def dashboard_page(name: str) -> Response:  # noqa: ARG001 - the page reads it
        return await page("index.html")

    @app.get("/doctor")
    @for_people
    async def doctor_page() -> Response:
        return await page("doctor.html")

    @app.get("/clients")
    @for_people
    async def clients_page() -> Response:
        return await page("clients.html")

    @app.get("/docs")
    @for_people
    async def docs_page() -> Response:
        return shown("docs.html")

    @app.get("/<path:name>")
    @for_people
    async def asset(name: str) -> Response:
        return _serve(name)

    @app.errorhandler(MethodNotAllowed)
    async def other_method(error: MethodNotAllowed) -> Response:
        # Every path has a GET, since it may name a file. Where there is no such file, another
        # method is answered with 404 and not 405.
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
        return shown(name)

    def shown(name: str) -> Response:
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
        if page:
            response = Response(
                asset.from_below(root_seen_from(request.path)), content_type=asset.media_type
            )
        else:
            response = _file(asset)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if asset.immutable else "no-cache"
        )
        return _labelled(response) if page else response

    def _file(asset: _Asset) -> Response:
        """A file in a coding that the client accepts; 304 if the client has it already."""
        response = Response(asset.content, content_type=asset.media_type)
        # Files are small: a range request gets the whole file (RFC 9110 section 14.2).
        response.headers["Accept-Ranges"] = "none"
        coding: Coding = "identity"
        if context.compress and len(asset.packed) > 1:
            coding = coding_of(response, asset.codings)
        if response.status_code != 200:
            return response
        etag = asset.etag(coding)
        response.headers["ETag"] = f'"{etag}"'
        if coding != "identity":
            response.set_data(asset.packed[coding])
            response.headers["Content-Encoding"] = coding
        if request.if_none_match.contains_weak(etag):
            response.status_code = 304
            response.set_data(b"")
            for name in ("Content-Encoding", "Content-Type", "Content-Length"):
                response.headers.pop(name, None)
        return response

    def _labelled(response: Response) -> Response:
        response.headers.update(context.access.origins.page_headers())
        return response


def absent() -> Unknown:
    return Unknown("path", f"there is nothing at {request.path}")


def methods_at(app: QuartTrio, path: str) -> list[str]:
    """The methods that routes have at a path, except GET, which all paths have."""
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
        if path.is_file() and path.suffix not in _SUFFIXES.values()
    }
