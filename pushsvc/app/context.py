"""What the routes of one service share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import trio

from pushsvc.auth.access import Access
from pushsvc.auth.leases import Leases
from pushsvc.core.hub import Hub
from pushsvc.core.limits import Limits, Pacing
from pushsvc.ingest.native import NativeDecoder
from pushsvc.pipeline import Pipeline
from pushsvc.transport.engine import Engine


@dataclasses.dataclass(frozen=True)
class Context:
    hub: Hub
    pipeline: Pipeline
    limits: Limits
    pacing: Pacing
    native: NativeDecoder
    engine: Engine | None
    """What carries detached sockets; None where all stay with the ASGI server."""
    draining: trio.Event
    """Set when the service is about to end: no new streams."""
    connections: Callable[[], int]
    """How many connections are open."""
    page: Path
    """The folder with the built page."""
    access: Access
    """Who may do what."""
    leases: Leases
    """Whose the live streams are."""
