"""What the routes of one service share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pushsvc.app.http.changes import Changes
from pushsvc.app.http.decoding import Decoding
from pushsvc.auth.access import Access
from pushsvc.auth.leases import Leases
from pushsvc.core.hub import Hub
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.core.resources.rate_limiter import RateLimiter
from pushsvc.dashboards.library import Library
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.producers import Producers
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder
from pushsvc.ingest.refusals import Ledger
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.journal import Journal
from pushsvc.pipeline import Pipeline
from pushsvc.pipeline.drain import Draining
from pushsvc.recording.rules import Rule
from pushsvc.transport.engine import Engine
from pushsvc.workers.peers import Peers

CATCH_UP: Final = 5.0
"""Seconds that a process may be behind another of the same log."""


@dataclasses.dataclass(frozen=True)
class Context:
    hub: Hub
    pipeline: Pipeline
    limits: Limits
    pacing: Pacing
    native: NativeDecoder
    otlp: OtlpDecoder
    remote_write: RemoteWriteDecoder
    influx: InfluxDecoder
    prometheus_text: PrometheusTextDecoder
    engine: Engine | None
    """Carries detached sockets; None where all connections stay with the ASGI server."""
    draining: Draining
    """Set when the service is about to end, and new streams are refused."""
    handshake_limiter: RateLimiter
    """Limits how many streams are opened in a second."""
    connections: Callable[[], int]
    """How many connections are open."""
    keep_alive: float
    """Seconds that a connection may be idle between two requests."""
    page: Path
    """The folder with the built page."""
    access: Access
    """Access control."""
    dashboards: Library
    """The kept dashboards."""
    changes: Changes
    """Requests that wait for a dashboard to change."""
    leases: Leases
    """The live streams and their owners."""
    refused: Ledger
    """What was refused of what producers sent."""
    producers: Producers
    """Who sends."""
    journal: Journal
    """The log that all samples come from."""
    decoding: Decoding = dataclasses.field(default_factory=Decoding)
    """Where large bodies of producers are decoded."""
    rules: Callable[[], Sequence[Rule]] = tuple
    """What is recorded."""
    peers: Peers | None = None
    """The other workers of this machine; None where there are none."""
    shared: bool = False
    """Whether other processes append to the journal too."""
    compress: bool = True
    """Whether answers and files are compressed for clients that accept it."""
    waiting: Callable[[], int] = int
    """How many bytes wait for HTTP/2 clients."""
    prefix: str = ""
    """The path prefix under which proxies ask for this service, without a slash at its end; or
    empty."""


def make_handshake_limiter(limits: Limits, now: float) -> RateLimiter:
    """A second's worth of streams, full at `now` (monotonic seconds)."""
    rate = limits.streams_per_second
    return RateLimiter(rate, max(1.0, rate), now)
