"""`python -m tests.bench.peers`: compile those peers that are written in Go, once."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.bench.peers import centrifugo, mercure, unmarshal
from tests.golang import ensure


def main() -> None:
    if shutil.which("go") is None:
        sys.stderr.write("no Go here: Centrifugo, Mercure and Go's own decoders are left out\n")
        return
    try:
        ensure(centrifugo.PROGRAM, mercure.PROGRAM, unmarshal.PROGRAM)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"left out: {error}\n")


if __name__ == "__main__":
    main()
