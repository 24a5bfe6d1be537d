"""The parts of a service, built and connected, but not running yet."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import trio

from pushsvc.app.http.changes import Changes
from pushsvc.app.http.context import Context, make_handshake_limiter
from pushsvc.auth.access import Access
from pushsvc.auth.leases import Leases
from pushsvc.auth.ticket_log import TicketLog
from pushsvc.config import ConfigError, Dashboards, Settings
from pushsvc.core.hub import Hub
from pushsvc.dashboards.library import SHIPPED, Folder, Library
from pushsvc.dashboards.recorded import KIND, RecordStore
from pushsvc.ingest.counters import Counters
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.producers import Producers
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder
from pushsvc.ingest.refusals import Ledger, Told
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.journal import Journal
from pushsvc.journal.opening import snapshot_interval
from pushsvc.journal.starting import Starting
from pushsvc.listen import hypercorn_internals
from pushsvc.listen.server import KEEP_ALIVE, Server
from pushsvc.log import get_logger
from pushsvc.pipeline import Pipeline
from pushsvc.pipeline.drain import Draining
from pushsvc.recording.recorder import Recorder
from pushsvc.recording.rules import Rule
from pushsvc.transport.engine import Engine
from pushsvc.workers.assignment import Assignment
from pushsvc.workers.peers import Peers

_log = get_logger("pushsvc.service")


@dataclasses.dataclass
class Parts:
    """One service's parts, before they run."""

    hub: Hub
    pipeline: Pipeline
    leases: Leases
    draining: Draining
    engine: Engine | None
    changes: Changes
    peers: Peers | None
    files: Folder | None
    """Dashboards in files, to be imported as records into a journal that stores them."""
    recorder: Recorder | None
    records: bool
    """Whether this process records: of several workers the first does, and the others know what."""
    context: Context = dataclasses.field(init=False)
    server: Server | None = None
    """None until the service listens; it never does without hosts."""

    @property
    def connections(self) -> int:
        """Open connections, detached sockets included."""
        served = 0 if self.server is None else self.server.connections
        return served + (0 if self.engine is None else len(self.engine))

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for HTTP/2 clients to read."""
        return 0 if self.server is None else self.server.waiting.bytes


def build(
    settings: Settings,
    journal: Journal,
    access: Access,
    library: Library,
    rules: Sequence[Rule],
    assignment: Assignment | None,
    starting: Starting,
) -> Parts:
    """Build the parts on an open journal. Must be called inside Trio, because it reads its
    clock."""
    limits, pacing = settings.limits, settings.stream
    # Whether this process does the work that only one of several workers may do.
    first = assignment is None or assignment.index == 0
    peers = None if assignment is None else Peers(assignment)
    hub = Hub(
        journal.epoch,
        limits=limits,
        retention=settings.history,
        pacing=pacing,
        make_session=sessions("" if peers is None else peers.session_prefix).__next__,
        first_debt=1 + secrets.randbelow(10**15),
    )
    pipeline = Pipeline(
        *(hub, journal, limits, pacing),
        snapshot_interval=snapshot_interval(settings.history),
        snapshots=first,
        starting=starting,
    )
    leases, draining = Leases(access, hub, pipeline.wake_ticker), Draining()
    files: Folder | None = None
    if journal.keeps:
        uses = TicketLog(hub.records, pipeline, lambda: journal.away_since is not None)
        uses.taken = leases.part
        access.tickets.share(uses)
        if assignment is None or not assignment.log:
            files = library.folder
            library = library.kept_by(RecordStore(hub.records, pipeline.record))
    changes = Changes(library, draining)
    hub.records.watch(KIND, lambda *_: changes.saved())
    recorder = None
    if settings.recording.file:
        recorder = Recorder(
            *(Path(settings.recording.file), rules, hub, pipeline, limits),
            shared=bool(settings.journal.url),
        )
    parts = Parts(
        hub=hub,
        pipeline=pipeline,
        leases=leases,
        draining=draining,
        engine=make_engine() if pacing.detach else None,
        changes=changes,
        peers=peers,
        files=files,
        recorder=recorder,
        records=first,
    )
    shared = bool(settings.journal.url) or assignment is not None
    parts.context = _context(parts, settings, journal, access, library, shared)
    return parts


def _context(
    parts: Parts,
    settings: Settings,
    journal: Journal,
    access: Access,
    library: Library,
    shared: bool,
) -> Context:
    """The parts of the service that routes use."""
    limits = settings.limits
    return Context(
        hub=parts.hub,
        pipeline=parts.pipeline,
        limits=limits,
        pacing=settings.stream,
        native=NativeDecoder(limits),
        remote_write=RemoteWriteDecoder(limits, buckets=settings.ingest.histogram_buckets),
        influx=InfluxDecoder(limits, Counters(settings.ingest.counters)),
        prometheus_text=PrometheusTextDecoder(limits),
        otlp=OtlpDecoder(
            limits,
            settings.ingest.promoted,
            as_they_are=settings.ingest.otlp_names == "as-they-are",
            buckets=settings.ingest.histogram_buckets,
        ),
        refused=Ledger(_log_refusal),
        producers=Producers(),
        journal=journal,
        shared=shared,
        engine=parts.engine,
        draining=parts.draining,
        handshake_limiter=make_handshake_limiter(limits, trio.current_time()),
        connections=lambda: parts.connections,
        waiting=lambda: parts.waiting_bytes,
        keep_alive=KEEP_ALIVE,
        prefix=settings.server.prefix,
        compress=settings.web.compress,
        page=Path(str(resources.files("pushsvc") / "web")),
        access=access,
        leases=parts.leases,
        dashboards=library,
        changes=parts.changes,
        peers=parts.peers,
        rules=lambda: () if parts.recorder is None else parts.recorder.rules,
    )


def sessions(prefix: str = "") -> Iterator[str]:
    """Session names that can't be guessed: the prefix and 144 random bits. Random bytes are fetched
    for many names at once, to save a system call for each handshake."""
    while True:
        text = secrets.token_urlsafe(18 * 256)
        for start in range(0, len(text), 24):
            yield prefix + text[start : start + 24]


def open_library(where: Dashboards) -> Library:
    """The dashboards, with their directory ready for saving. Blocks. Raises ConfigError if nothing
    can be saved there."""
    library = Library(
        Path(where.directory) if where.directory else None,
        Path(where.provisioned) if where.provisioned else None,
        SHIPPED,
    )
    try:
        library.prepare()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"dashboards can't be kept in {where.directory} (dashboards.directory, or --data): "
            f"{reason}"
        ) from None
    return library


def make_engine() -> Engine | None:
    """The carrier of detached sockets; None, with a warning, if this Hypercorn can't detach any."""
    gone = hypercorn_internals.missing()
    if gone:
        _log.warning("streams cost a task each: this Hypercorn lets no socket go", missing=gone)
        return None
    return Engine()


def _log_refusal(told: Told) -> None:
    _log.warning(
        "not taken",
        format=told.format,
        producer=told.producer,
        code=told.code,
        count=told.amount,
        example=told.example,
    )
