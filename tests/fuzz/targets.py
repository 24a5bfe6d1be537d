"""One reader under the fuzzer: `python -m tests.fuzz.targets NAME SECONDS DIRECTORY`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pushsvc"]):
    from pushsvc.errors import Problem
    from tests.fuzz.readers import READERS


def main() -> None:
    name, seconds, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    good, read = READERS[name]

    def one(data: bytes) -> None:
        with contextlib.suppress(Problem):
            read(data)

    with tempfile.TemporaryDirectory() as corpus:
        (Path(corpus) / "good").write_bytes(good)
        for kept in directory.glob("*-*"):
            (Path(corpus) / kept.name).write_bytes(kept.read_bytes())
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                "-max_len=4096",
                "-timeout=5",
                "-rss_limit_mb=1024",
                "-print_final_stats=1",
                f"-artifact_prefix={directory}/",
                corpus,
            ],
            one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
