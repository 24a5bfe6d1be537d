"""`python -m tests.fuzz.machine`: many more runs of the machine of `tests/core/machine.py`.

What breaks it is printed as the steps that lead there, as short as hypothesis can make them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.core.machine import Machine

_CHUNK = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit status: 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.machine", description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--steps", type=int, default=60, help="at most, in each (default: 60)")
    options = parser.parse_args(arguments)
    began, done = time.monotonic(), 0
    while done < options.examples:
        chunk = min(_CHUNK, options.examples - done)
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=chunk,
                stateful_step_count=options.steps,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
        done += chunk
        print(f"\r{done:>10,} runs in {time.monotonic() - began:.0f} s", end="", flush=True)
    print(", nothing broke")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
