"""What the routes of one service share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.limits import Limits, Pacing
from pushsvc.ingest.native import NativeDecoder
from pushsvc.ingest.otlp import OtlpDecoder
from pushsvc.pipeline import Pipeline
from pushsvc.transport.engine import Engine


@dataclasses.dataclass(frozen=True)
class Context:
    hub: Hub
    pipeline: Pipeline
    limits: Limits
    pacing: Pacing
    native: NativeDecoder
    otlp: OtlpDecoder
    engine: Engine | None
    """What carries detached sockets; None where all stay with the ASGI server."""
    draining: trio.Event
    """Set when the service is about to end: no new streams."""
    connections: Callable[[], int]
    """How many connections are open."""
    page: Path
    """The folder with the built page."""
