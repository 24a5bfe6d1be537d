"""`python -m tests.fuzz`: change bodies at random, towards code that was not reached yet.

Each reader gets a process of its own and a share of the time. What breaks one is kept in
artifacts/fuzz/, and given to every later run first.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.readers import READERS

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "artifacts" / "fuzz"
_GRACE = 60.0
"""Seconds to start and to end in."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, and return the exit status: 1 if something broke, 2 if it can't be done here."""
    if importlib.util.find_spec("atheris") is None:
        print("fuzzing needs atheris: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 if nothing broke, 1 if something did, 130 if interrupted.",
    )
    parser.add_argument("names", nargs="*", metavar="|".join(READERS), help="default: all")
    parser.add_argument("--seconds", type=int, default=15, help="for each (default: 15)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(READERS)
    if unknown:
        parser.error(f"no such reader: {', '.join(sorted(unknown))}")
    broken = []
    for name in options.names or tuple(READERS):
        began = time.monotonic()
        print(f"{name:24}", end="", flush=True)
        runs = _fuzz(name, options.seconds)
        if runs is None:
            broken.append(name)
        else:
            print(f"{runs:>10,} bodies in {time.monotonic() - began:.0f} s, nothing broke")
    if broken:
        print(f"broken: {', '.join(broken)}; see {KEPT.relative_to(ROOT)}/", file=sys.stderr)
    return 1 if broken else 0


def _fuzz(name: str, seconds: int) -> int | None:
    """How many bodies were tried; None if one broke it, after saying how."""
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    log = kept / "log.txt"
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.targets", name, str(seconds), str(kept)],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=seconds + _GRACE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    told = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        print(f"broken (exit status {done.returncode}):\n{told[-3000:]}")
        return None
    runs = [line for line in told.splitlines() if "stat::number_of_executed_units" in line]
    return int(runs[0].rpartition(":")[2]) if runs else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
