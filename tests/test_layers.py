"""Imports point down only: a part knows what stands below it, never what stands above or beside.

Imports for type checking count as well: who needs to know a type depends on its module.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pushsvc

# From the bottom up. A room may import from every row below its own, not from its own row. A module
# belongs to the room that its folder is, or, at the top of the package, is one by itself.
LAYERS = (
    ("durations", "errors", "printable", "version", "zstd"),
    ("log",),
    # The product without I/O.
    ("core.resources",),
    ("core.model",),
    ("core.promql",),
    ("core.query",),
    ("core.storage",),
    ("core.expression",),
    ("core.standing",),
    ("core.delivery",),
    ("core",),
    ("config", "dashboards", "journal"),
    ("journal.segments", "journal.sqlite", "journal.valkey"),
    ("journal.opening",),
    ("pipeline",),  # Trio meets the core here
    ("client", "drain", "ingest", "ingest.histograms", "recording", "transport"),
    ("ingest.otlp", "ingest.prometheus_text", "ingest.remote_write", "ingest.statsd"),
    ("listen",),
    ("auth", "doctor"),
    ("workers",),
    ("app.http",),
    ("app.dashboards", "app.operators", "app.producers"),
    ("app.pages",),
    ("app",),
    ("service",),  # the composition root
    ("demo", "embed"),
    ("cli",),
    ("__init__", "__main__"),
)

# Rooms that may use less than what is below them.
ONLY = {
    # It speaks the public protocol like any other client.
    "client": {"errors", "core"},
}

# What the core may not have, since then tests would need it too: a loop, sockets, files, a clock,
# chance. Of libraries it has only those that compute.
CORE_LIBRARIES = {"msgspec", "promql_parser", "re2"}
CORE_WITHOUT = {
    "asyncio", "concurrent", "contextvars", "datetime", "http", "io", "logging", "multiprocessing",
    "os", "pathlib", "queue", "random", "sched", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile", "threading",
    "time", "urllib", "uuid", "zoneinfo",
}  # fmt: skip

MOST_FILES = 15

RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
PACKAGE = Path(pushsvc.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(name: str) -> str | None:
    """The room of what is called so within the package: the longest that its name begins with."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        room = ".".join(parts[:length])
        if room in RANK:
            return room
    return None


def complaints(path: str, source: str) -> list[str]:
    """What is wrong with the imports of the module at `path`, which is relative to the package."""
    name = ".".join(Path(path).with_suffix("").parts)
    where = f"pushsvc/{path}"
    room = room_of(name)
    if room is None:
        return [f"{where} is of no room: add {name.split('.')[0]} to tests/test_layers.py"]
    found = []
    for target in members(path, source):
        root, _, within = target.partition(".")
        if root == "pushsvc":
            reason = _refused_room(room, within)
        elif room.split(".")[0] == "core":
            reason = _refused_library(root)
        else:
            reason = None
        if reason:
            found.append(f"{where} imports {target}: {reason}")
    return list(dict.fromkeys(found))


def _refused_room(room: str, within: str) -> str | None:
    if not within:
        return f"{room} may not import the package, which has the names of others"
    target = room_of(within)
    if target is None:
        return f"{within} is of no room: add it to the table in tests/test_layers.py"
    allowed = room == target or (
        target.split(".")[0] in ONLY[room] if room in ONLY else RANK[target] < RANK[room]
    )
    return None if allowed else f"{room} may not import {target}"


def _refused_library(root: str) -> str | None:
    if root in CORE_WITHOUT or (root not in sys.stdlib_module_names and root not in CORE_LIBRARIES):
        return f"core may not import {root}"
    return None


def imports(path: str, source: str) -> Iterator[tuple[str, list[str]]]:
    """The modules that a module imports, and what from each."""
    package = ["pushsvc", *Path(path).parts[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package[: len(package) - node.level + 1]
                module = ".".join([*base, *([module] if module else [])])
            yield module, [alias.name for alias in node.names]


def members(path: str, source: str) -> Iterator[str]:
    """What is imported, each thing by itself: `from x import y` is `x.y`, if that is a module."""
    for target, names in imports(path, source):
        inside = [
            f"{target}.{name}"
            for name in names
            if target == "pushsvc" or _is_module(f"{target}.{name}")
        ]
        yield from inside
        if len(inside) < len(names) or not names:
            yield target


def _is_module(name: str) -> bool:
    root, *rest = name.split(".")
    place = PACKAGE.joinpath(*rest)
    return root == "pushsvc" and (place.with_suffix(".py").exists() or place.is_dir())


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
        ("core/x.py", "from .. import listen", "core may not import listen"),
        ("core/x.py", "from ..listen.server import y", "core may not import listen"),
        ("core/x.py", "import pushsvc", "core may not import the package"),
        ("core/x.py", "def f():\n    import trio", "core may not import trio"),
        ("core/x.py", "from time import monotonic", "core may not import time"),
        ("core/x.py", "import os.path", "core may not import os"),
        ("core/x.py", "if TYPE_CHECKING:\n    from socket import socket", "may not import socket"),
        (
            "core/model/x.py",
            "from pushsvc.core.delivery import wire",
            "may not import core.delivery",
        ),
        ("core/storage/x.py", "from pushsvc.core.hub import y", "core.storage may not import core"),
        (
            "app/producers/x.py",
            "from pushsvc.app.dashboards import streams",
            "may not import app.d",
        ),
        ("errors.py", "from pushsvc.core.model.series import y", "errors may not import core"),
        ("ingest/x.py", "from pushsvc.transport import y", "ingest may not import transport"),
        ("app/x.py", "from pushsvc.service import y", "app may not import service"),
        ("client.py", "from pushsvc.pipeline import y", "client may not import pipeline"),
        ("service.py", "from pushsvc import Client", "Client is of no room: add it"),
        ("new/x.py", "", "pushsvc/new/x.py is of no room: add new"),
        ("app/x.py", "from pushsvc.new import y", "new is of no room: add it"),
        ("cli/x.py", "import pushsvc", "cli may not import the package"),
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
        ("app/x.py", "from pushsvc.version import __version__\nimport trio\nimport time"),
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


def test_a_ring_is_found() -> None:
    imported = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert rings(imported) == [["b", "c"]]


def test_the_map_is_that_of_the_tree() -> None:
    """Every folder with code in it is on the map of ARCHITECTURE.md, and nothing on it is gone."""
    root = PACKAGE.parent
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    drawn = re.search(r"^```\n(pushsvc/\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert drawn
    folders, names = _places(drawn[1].splitlines())
    gone = [
        name for name in names if not list(root.glob(name)) and not list(root.glob(f"{name}.py"))
    ]
    assert gone == []
    page = [*root.glob("web/src/**/*.ts"), *root.glob("web/src/**/*.tsx")]
    code = {file.parent.relative_to(root).as_posix() for file in [*FILES, *page]}
    assert code - folders == set()


def test_files_that_are_named_are_there() -> None:
    """A file that moves takes its name in ARCHITECTURE.md with it."""
    root = PACKAGE.parent
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./-]+\.(?:py|tsx?|css|lua))`", text))
    there = [
        f"/{file.relative_to(root).as_posix()}"
        for folder in ("pushsvc", "tests", "web/src", "web/test")
        for file in (root / folder).rglob("*.*")
    ]
    there += [f"/{file.name}" for file in (root / "web").glob("*.*")]
    assert len(named) > 50
    gone = {name for name in named if not any(file.endswith(f"/{name}") for file in there)}
    assert gone == set()


def _places(lines: list[str]) -> tuple[set[str], list[str]]:
    """The folders of a map, and the paths of all that is named on it.

    An indented line stands in the folder above it; names with commas between them come first.
    """
    folders: set[str] = set()
    names = []
    above: list[tuple[int, str]] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if indent >= 15:
            continue  # goes on with the line before
        while above and above[-1][0] >= indent:
            above.pop()
        before = f"{above[-1][1]}/" if above else ""
        said = re.match(r"[\w*./-]+(?:, [\w*./-]+)*", line.strip())
        assert said, line
        for name in said[0].split(", "):
            path = before + name.rstrip("/")
            names.append(path)
            if name.endswith("/"):
                folders.add(path)
                above.append((indent, path))
    return folders, names


def test_no_folder_has_more_files_than_one_looks_through() -> None:
    files = Counter(file.parent.relative_to(PACKAGE.parent).as_posix() for file in FILES)
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}
