"""Benchmarks that run in a browser: `tests/bench/browser/*.bench.ts`, by vitest and Playwright."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.bench.process import ROOT, Failed

_Outcome = TypeVar("_Outcome")
_LIBRARIES = ROOT / "tests" / "bench" / "browser"


def measure(bench: str, outcome: type[_Outcome], *, timeout: float, **settings: str) -> _Outcome:
    """Run one benchmark with `BENCH_*` settings, and read what it wrote. Raises Failed."""
    if not (ROOT / "web" / "node_modules").is_dir():
        _npm(("ci", "--no-audit", "--no-fund"), timeout=600.0)
    if not (_LIBRARIES / "node_modules").is_dir():
        _npm(("--prefix", str(_LIBRARIES), "ci", "--no-audit", "--no-fund"), timeout=600.0)
    with tempfile.TemporaryDirectory(prefix="pushsvc-bench-") as folder:
        written = Path(folder) / "outcome.json"
        variables = {f"BENCH_{name.upper()}": value for name, value in settings.items()}
        _npm(
            ("run", "bench", "--", bench),
            timeout=timeout,
            environment={**variables, "BENCH_OUTCOME": str(written), "PYTHON": sys.executable},
        )
        return msgspec.json.decode(written.read_bytes(), type=outcome)


def _npm(
    arguments: tuple[str, ...], *, timeout: float, environment: dict[str, str] | None = None
) -> None:
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "web" / "npm.py"), *arguments],
            env={**os.environ, **(environment or {})},
            cwd=ROOT / "web",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"npm {' '.join(arguments)} took more than {timeout:g} s") from None
    if done.returncode != 0:
        raise Failed(f"npm {' '.join(arguments)} failed:\n{done.stdout[-2000:]}")
