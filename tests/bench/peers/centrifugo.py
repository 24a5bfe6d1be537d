"""Centrifugo, by its unidirectional transports (compiled from Go's modules: `make bench`).

`python -m tests.bench.peers.centrifugo` writes a configuration, prints the URL, and becomes it. A
subscription stands in the URL of the connection; what is published together is one request to its
API for batches. It keeps no past here, as by default.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from tests.golang import Program
from tests.ports import free_port

PROGRAM = Program("centrifugo", "6.9.1", "github.com/centrifugal/centrifugo/v6", "v6.9.1")

_PATHS = {"websocket": "/connection/uni_websocket", "sse": "/connection/uni_sse"}


def target(transport: str, channel: str) -> str:
    """Where a channel is watched."""
    connect = json.dumps({"subs": {channel: {}}}, separators=(",", ":"))
    return f"{_PATHS[transport]}?cf_connect={quote(connect)}"


def main() -> None:
    port = free_port()
    configuration = {
        "http_server": {"address": "127.0.0.1", "port": port},
        "log": {"level": "warn"},
        "client": {"insecure": True},  # who connects needs no token
        "channel": {"without_namespace": {"allow_subscribe_for_client": True}},
        "http_api": {"insecure": True},
        "uni_websocket": {"enabled": True},
        "uni_sse": {"enabled": True},
    }
    path = Path(tempfile.mkdtemp()) / "config.json"
    path.write_text(json.dumps(configuration))
    print(f"http://127.0.0.1:{port}", flush=True)
    os.execv(PROGRAM.path, [str(PROGRAM.path), "--config", str(path)])  # noqa: S606


if __name__ == "__main__":
    main()
