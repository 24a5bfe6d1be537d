"""Commands in processes of their own that have their modules already.

What a command takes to start is mostly imports. One process does these, and forks for each command.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pushsvc.cli import main

COMMANDS = (
    "serve",
    "demo",
    "tail",
    "publish",
    "check_config",
    "health",
    "doctor",
    "dashboards",
    "bench",
)


ENV = {k: v for k, v in os.environ.items() if not k.startswith("PUSHSVC_")} | {"NO_COLOR": "1"}
"""The environment without settings of the person who runs the tests."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, *(f"pushsvc.cli.{name}" for name in COMMANDS)])


def run(
    *args: str, env: Mapping[str, str] = ENV, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """What `pushsvc` with these arguments prints, and how it ends. Raises TimeoutError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "0").write_text(stdin)
        process = _context.Process(target=_command, args=(folder, args, dict(env)))
        process.start()
        process.join(30)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"pushsvc {' '.join(args)} went on for 30 s")
        out, err = ((folder / number).read_text() for number in "12")
        return subprocess.CompletedProcess(args, process.exitcode, out, err)


def _command(folder: Path, args: tuple[str, ...], env: dict[str, str]) -> None:
    for number in range(3):
        file = os.open(folder / str(number), os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(env)
    main(args, prog_name="pushsvc")
