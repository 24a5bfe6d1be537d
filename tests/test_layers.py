"""Imports point down only: a part knows what stands below it, never what stands above or beside.

Imports for type checking count as well: who needs to know a type depends on its module.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pushsvc

# From the bottom up. A part may import from every row below its own, not from its own row.
LAYERS = (
    ("errors", "hosts", "printable", "zstd"),
    ("core",),  # the product without I/O
    ("address", "config", "dashboards", "journal", "log", "units"),
    ("pipeline",),  # Trio meets the core here
    ("client", "drain", "ingest", "transport"),
    ("hypercorn_http2", "hypercorn_websocket", "listeners", "tls"),
    ("hypercorn_internals", "hypercorn_windows"),
    ("door",),
    ("auth", "doctor", "server", "statsd"),
    ("app",),
    ("service",),  # the composition root
    ("demo",),
    ("cli",),
    ("__init__", "__main__"),
)

# Parts that may use less than what is below them.
ONLY = {
    # It speaks the public protocol like any other client.
    "client": {"errors", "core"},
}

# What the core may not have, since then tests would need it too: a loop, sockets, files, a clock,
# chance. Of libraries it has only those that compute.
CORE_LIBRARIES = {"msgspec", "re2"}
CORE_WITHOUT = {
    "asyncio", "concurrent", "contextvars", "datetime", "http", "io", "logging", "multiprocessing",
    "os", "pathlib", "queue", "random", "sched", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile", "threading",
    "time", "urllib", "uuid", "zoneinfo",
}  # fmt: skip

RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
PACKAGE = Path(pushsvc.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the module at `path`, which is relative to the package."""
    part = Path(path).parts[0].removesuffix(".py")
    where = f"pushsvc/{path}"
    if part not in RANK:
        return [f"{where} is of no layer: add {part} to the table in tests/test_layers.py"]
    found = []
    for target in imports(path, source):
        root, *rest = target.split(".")
        if root == "pushsvc":
            reason = _refused_part(part, rest[0] if rest else "")
        elif part == "core":
            reason = _refused_library(root)
        else:
            reason = None
        if reason:
            found.append(f"{where} imports {target}: {reason}")
    return found


def _refused_part(part: str, target: str) -> str | None:
    if target in ("", "__version__"):
        return f"{part} may not import the package" if RANK[part] <= RANK["core"] else None
    if target not in RANK:
        return f"{target} is of no layer: add it to the table in tests/test_layers.py"
    allowed = part == target or (
        target in ONLY[part] if part in ONLY else RANK[target] < RANK[part]
    )
    return None if allowed else f"{part} may not import {target}"


def _refused_library(root: str) -> str | None:
    if root in CORE_WITHOUT or (root not in sys.stdlib_module_names and root not in CORE_LIBRARIES):
        return f"core may not import {root}"
    return None


def imports(path: str, source: str) -> Iterator[str]:
    """The modules that a module imports; for `from x import y` it is `x.y` if x is our package."""
    package = ["pushsvc", *Path(path).parts[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package[: len(package) - node.level + 1]
                module = ".".join([*base, *([module] if module else [])])
            if module == "pushsvc":
                yield from (f"pushsvc.{alias.name}" for alias in node.names)
            else:
                yield module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    path = file.relative_to(PACKAGE).as_posix()
    found = complaints(path, file.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("core/x.py", "from pushsvc.pipeline import y", "core may not import pipeline"),
        ("core/x.py", "import pushsvc.app.streams", "core may not import app"),
        ("core/x.py", "from pushsvc import journal", "core may not import journal"),
        ("core/x.py", "from .. import server", "core may not import server"),
        ("core/x.py", "from ..server import y", "core may not import server"),
        ("core/x.py", "import pushsvc", "core may not import the package"),
        ("core/x.py", "def f():\n    import trio", "core may not import trio"),
        ("core/x.py", "from time import monotonic", "core may not import time"),
        ("core/x.py", "import os.path", "core may not import os"),
        ("core/x.py", "if TYPE_CHECKING:\n    from socket import socket", "may not import socket"),
        ("errors.py", "from pushsvc.core.series import y", "errors may not import core"),
        ("ingest/x.py", "from pushsvc.transport import y", "ingest may not import transport"),
        ("app/x.py", "from pushsvc.service import y", "app may not import service"),
        ("client.py", "from pushsvc.pipeline import y", "client may not import pipeline"),
        ("service.py", "from pushsvc import Client", "Client is of no layer: add it"),
        ("new/x.py", "", "pushsvc/new/x.py is of no layer: add new to the table"),
        ("app/x.py", "from pushsvc.new import y", "new is of no layer: add it"),
    ],
)
def test_an_arrow_upwards_is_found(path: str, source: str, complaint: str) -> None:
    (found,) = complaints(path, source)
    assert found.startswith(f"pushsvc/{path}")
    assert complaint in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/x.py", "from pushsvc.errors import y\nfrom pushsvc.core.z import w\nimport re2"),
        ("core/x.py", "from . import series\nfrom .series import y\nfrom ..errors import z"),
        ("app/x.py", "from pushsvc import __version__\nimport trio\nimport time\nimport pushsvc"),
        ("app/__init__.py", "from pushsvc.app import streams\nfrom . import streams"),
        ("cli/x.py", "from pushsvc.client import y\nfrom pushsvc.service import z"),
        ("__init__.py", "from pushsvc.client import y"),
    ],
)
def test_an_arrow_down_is_fine(path: str, source: str) -> None:
    assert complaints(path, source) == []


def rings(imported: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that need each other, however far around (Tarjan's algorithm).

    `imported` has each module's imports by its name.
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for target in sorted(imported[module]):
            if target not in order:
                visit(target)
            if target in stack:
                lowest[module] = min(lowest[module], lowest[target])
        if lowest[module] == order[module]:
            place = stack.index(module)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for module in sorted(imported):
        if module not in order:
            visit(module)
    return found


def test_no_modules_need_each_other() -> None:
    names = {
        ".".join(["pushsvc", *file.relative_to(PACKAGE).with_suffix("").parts]): file
        for file in FILES
        if file.name != "__init__.py"
    }
    imported = {}
    for name, file in names.items():
        path = file.relative_to(PACKAGE).as_posix()
        targets = set(members(path, file.read_text(encoding="utf-8")))
        imported[name] = targets & set(names) - {name}
    assert rings(imported) == []


def members(path: str, source: str) -> Iterator[str]:
    """What may be a module among that which a module imports: `from x import y` may mean `x.y`."""
    yield from imports(path, source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_ring_is_found() -> None:
    imported = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert rings(imported) == [["b", "c"]]
