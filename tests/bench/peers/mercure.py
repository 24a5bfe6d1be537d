"""The hub of Mercure (compiled from Go's modules: `make bench`).

`python -m tests.bench.peers.mercure` prints the URL and becomes it. A topic is named by `topic`.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from joserfc import jwt
from joserfc.jwk import OctKey

from tests.golang import Program
from tests.ports import free_port

PROGRAM = Program(
    "mercure",
    "0.24.2",
    "github.com/dunglas/mercure",
    "v0.24.2",
    source=Path(__file__).with_name("mercure.go"),
)
PATH = "/.well-known/mercure"

_KEY = "a key that signs nothing outside of a benchmark"


def target(transport: str, topic: str) -> str:
    """Where a topic is watched."""
    return f"{PATH}?topic={quote(topic)}"


def token() -> str:
    """What a publisher shows."""
    claims = {"mercure": {"publish": ["*"]}}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(_KEY))


def main() -> None:
    address = f"127.0.0.1:{free_port()}"
    print(f"http://{address}", flush=True)
    os.execv(PROGRAM.path, [str(PROGRAM.path), address, _KEY])  # noqa: S606


if __name__ == "__main__":
    main()
