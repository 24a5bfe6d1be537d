"""The composition root: builds everything, and is the order in which it starts and stops.

Stopping reads from the inside out: no new streams, goodbye to subscribers, no new connections, open
requests answered, connections cut, StatsD flushed, the ingest channel drained, the journal closed.
"""

from __future__ import annotations

import dataclasses
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import resources
from pathlib import Path

import trio
from quart_trio import QuartTrio

from pushsvc.app import create_app
from pushsvc.app.dashboards.fast_path import FastPath
from pushsvc.app.early import Early, answer
from pushsvc.app.http.changes import Changes
from pushsvc.app.http.context import Context, make_handshake_limiter
from pushsvc.app.http.proxy_protocol import ProxyProtocol
from pushsvc.app.operators.ops import own_registry
from pushsvc.app.operators.own_metrics import run_own_series
from pushsvc.app.producers.fast_path import ProducerConnection
from pushsvc.auth.leases import Leases
from pushsvc.auth.mode import AccessControl, make_access_control, start_access_control
from pushsvc.auth.ticket_log import TicketLog
from pushsvc.config import ConfigError, Dashboards, Keeping, Settings
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.core.resources.limits import Limits
from pushsvc.dashboards.library import SHIPPED, Folder, Library
from pushsvc.dashboards.recorded import KIND, RecordStore, take_in
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.refusals import Ledger, Told
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.journal import Journal
from pushsvc.journal.opening import Shared, Workers, open_journal, snapshot_interval
from pushsvc.journal.starting import Starting
from pushsvc.listen import hypercorn_internals
from pushsvc.listen.connection import Slot
from pushsvc.listen.inherited import NOTHING, Inherited
from pushsvc.listen.listeners import Listener, close_all, open_listeners, resolve_hosts
from pushsvc.listen.server import KEEP_ALIVE, Server, open_server
from pushsvc.listen.statsd import open_statsd, refuse_two
from pushsvc.listen.tls import HTTP1, Certificate, renew, watch_certificate
from pushsvc.log import get_logger
from pushsvc.pipeline import Pipeline
from pushsvc.pipeline.drain import Draining, duration, part_from_all
from pushsvc.recording.recorder import Recorder
from pushsvc.recording.rules import Rule, read_rules
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine
from pushsvc.workers.assignment import Assignment
from pushsvc.workers.peers import Peers

_log = get_logger("pushsvc.service")

_SPARE = 1_000
"""Connections beyond the subscribers: producers, pages being loaded, probes."""


@dataclasses.dataclass(frozen=True)
class Running:
    """A service that runs, for who has to do with it in the same process."""

    context: Context
    app: QuartTrio
    urls: tuple[str, ...]
    """Where it listens; for a Unix socket the command that asks."""
    drained: trio.Event
    """Set when all subscribers were told to go."""
    recorder: Recorder | None
    """Records expressions, if any are to be."""


async def run_service(
    settings: Settings,
    *,
    drain: trio.Event,
    reload: trio.MemoryReceiveChannel[None] | None = None,
    inherited: Inherited = NOTHING,
    assignment: Assignment | None = None,
    task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `drain` is set; then tell subscribers to come back, and return.

    What comes out of `reload` has the certificate and recorded expressions read again. `inherited`
    is served beside the hosts of the settings, and closed in the end. With an `assignment` it is
    one of several workers, and the settings are its share. `started` gets their URLs, once
    connections are accepted; for a Unix socket it is the command that asks. Raises OSError where an
    address can't be bound, CertificateError, JournalError, ConfigError where it would be open to
    those it must not be.
    """
    await run_until_closed(
        settings,
        drain=drain,
        close=drain,
        reload=reload,
        inherited=inherited,
        assignment=assignment,
        started=lambda running: task_status.started(running.urls),
    )


async def run_until_closed(
    settings: Settings,
    *,
    drain: trio.Event,
    close: trio.Event,
    reload: trio.MemoryReceiveChannel[None] | None = None,
    inherited: Inherited = NOTHING,
    assignment: Assignment | None = None,
    started: Callable[[Running], None],
    ended: Callable[[], None] = lambda: None,
) -> None:
    """As `run_service`, but that samples are still taken after `drain`, until `close` is set as
    well. `started` is called once it runs, and `ended` when it doesn't any more, before who waits
    for it is told. It listens nowhere if the settings have no host."""
    where = settings.server
    await resolve_hosts(where.hosts, where.port)  # an unknown host is told of first
    access_control = make_access_control(
        settings, [listener.host for listener in inherited.listeners]
    )
    refuse_two(settings.ingest, inherited.statsd)
    library = await trio.to_thread.run_sync(open_library, settings.dashboards)
    rules = await trio.to_thread.run_sync(read_rules, settings)
    certificate = None
    if where.certfile:
        certificate = Certificate(Path(where.certfile), Path(where.keyfile))
    opened = await open_listeners(where.hosts, where.port, backlog=where.backlog)
    listeners = [*inherited.listeners, *opened]
    keeping, starting = settings.journal, Starting()
    early = _early(settings, access_control, starting, assignment)
    elsewhere = [] if assignment is None else assignment.adopt_early()
    try:
        async with trio.open_nursery() as beside:
            await beside.start(early.run, [*map(Listener.again, listeners), *elsewhere])
            async with open_journal(
                keeping.path,
                settings.history,
                max_bytes=keeping.max_bytes,
                synchronous=keeping.synchronous,
                shared=_shared(keeping),
                workers=None if assignment is None else _workers(assignment),
                starting=starting,
            ) as journal:
                await _serve(
                    *(
                        settings,
                        journal,
                        listeners,
                        inherited.statsd,
                        access_control,
                        library,
                        rules,
                        certificate,
                    ),
                    *(drain, close, reload, assignment),
                    *(starting, early, started, ended),
                )
            beside.cancel_scope.cancel()
    finally:
        close_all(listeners)


def _early(
    settings: Settings,
    access_control: AccessControl,
    starting: Starting,
    assignment: Assignment | None,
) -> Early:
    """Who answers until the service does. Raises CertificateError."""
    where = settings.server
    context = None
    if where.certfile:
        context = Certificate(Path(where.certfile), Path(where.keyfile), HTTP1).context
    others_serve = assignment is not None and assignment.restarts > 0
    return Early(
        partial(answer, starting=starting, prefix=where.prefix, others_serve=others_serve),
        most=settings.limits.subscribers + _SPARE,
        most_of=partial(_most_of, settings.limits, access_control),
        context=context,
    )


def _most_of(limits: Limits, access_control: AccessControl, peer: str) -> int:
    """Connections that an address may have: behind a proxy are as many as it lets in."""
    if access_control.access.proxies.trusts(peer):
        return limits.subscribers + _SPARE
    return limits.connections_per_address


def _shared(keeping: Keeping) -> Shared | None:
    if not keeping.url:
        return None
    return Shared(
        url=keeping.url,
        ca=keeping.ca,
        prefix=keeping.prefix,
        replicas=keeping.replicas,
        fsync=keeping.fsync,
        start_wait=keeping.start_wait,
    )


def _workers(assignment: Assignment) -> Workers:
    passing = bool(assignment.log)
    return Workers(Path(assignment.folder), assignment.index, assignment.count, passing)


async def _serve(
    settings: Settings,
    journal: Journal,
    listeners: Sequence[Listener],
    statsd_socket: socket.socket | None,
    access_control: AccessControl,
    library: Library,
    rules: Sequence[Rule],
    certificate: Certificate | None,
    drain: trio.Event,
    close: trio.Event,
    reload: trio.MemoryReceiveChannel[None] | None,
    assignment: Assignment | None,
    starting: Starting,
    early: Early,
    started: Callable[[Running], None],
    ended: Callable[[], None],
) -> None:
    limits, pacing = settings.limits, settings.stream
    where = settings.server
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
        # Of the workers of one file one is enough to make them.
        snapshots=assignment is None or assignment.index == 0,
        starting=starting,
    )
    leases = Leases(access_control.access, hub, pipeline.wake_ticker)
    draining = Draining()
    engine = make_engine() if pacing.detach else None
    server: Server | None = None
    refused = Ledger(_tell_refusal)
    files: Folder | None = None
    if journal.keeps:
        uses = TicketLog(hub.records, pipeline, lambda: journal.away_since is not None)
        uses.taken = leases.part
        access_control.access.tickets.share(uses)
    if journal.keeps and not (assignment is not None and assignment.log):
        files, library = library.folder, library.kept_by(RecordStore(hub.records, pipeline.record))
    changes = Changes(library, draining)
    hub.records.watch(KIND, lambda *_: changes.saved())
    context = Context(
        hub=hub,
        pipeline=pipeline,
        limits=limits,
        pacing=pacing,
        native=NativeDecoder(limits),
        remote_write=RemoteWriteDecoder(limits),
        influx=InfluxDecoder(limits),
        otlp=OtlpDecoder(
            limits,
            settings.ingest.promoted,
            as_they_are=settings.ingest.otlp_names == "as-they-are",
        ),
        refused=refused,
        journal=journal,
        shared=bool(settings.journal.url) or assignment is not None,
        engine=engine,
        draining=draining,
        handshake_limiter=make_handshake_limiter(limits, trio.current_time()),
        connections=lambda: (
            (0 if server is None else server.connections) + (0 if engine is None else len(engine))
        ),
        waiting=lambda: 0 if server is None else server.waiting.bytes,
        keep_alive=KEEP_ALIVE,
        prefix=where.prefix,
        compress=settings.web.compress,
        page=Path(str(resources.files("pushsvc") / "web")),
        access=access_control.access,
        leases=leases,
        dashboards=library,
        changes=changes,
        peers=peers,
    )
    recorder = None
    if settings.recording.file and (assignment is None or assignment.index == 0):
        recorder = Recorder(
            *(Path(settings.recording.file), rules, hub, pipeline, limits),
            shared=bool(settings.journal.url),
        )
    app, drained = create_app(context), trio.Event()
    try:
        statsd = await open_statsd(
            settings.ingest, limits, settings.history.series_ttl, pipeline, refused, statsd_socket
        )
        async with trio.open_nursery() as ticking:
            if peers is not None:
                await ticking.start(peers.run)
            if reload is not None:
                ticking.start_soon(_reload, reload, certificate, recorder)
            if certificate is not None:
                ticking.start_soon(watch_certificate, certificate)
            await ticking.start(pipeline.run_ticks)
            await ticking.start(pipeline.run_steps)
            await ticking.start(pipeline.run_preparing)
            await ticking.start(pipeline.run_sweeps)
            await start_access_control(ticking, access_control, leases)
            if engine is not None:
                await ticking.start(engine.run)
                await ticking.start(engine.run_tending)
            async with trio.open_nursery() as ingesting:
                await ingesting.start(pipeline.run_ingest)
                await early.close()
                async with trio.open_nursery() as gathering, AsyncExitStack() as serving:
                    if listeners:
                        server = await serving.enter_async_context(
                            open_server(
                                app,
                                listeners,
                                message_bytes=limits.message_bytes,
                                counts=hub.counts,
                                max_connections=limits.subscribers + _SPARE,
                                max_of=partial(_most_of, limits, access_control),
                                # For peers that vanished; clients that stall are disconnected
                                # sooner.
                                user_timeout=2 * pacing.stall_timeout,
                                waiting_bytes=limits.http2_waiting_bytes,
                                certificate=certificate,
                                stream_fast_path=None
                                if engine is None
                                else FastPath(context, engine).take,
                                open_fast_path=partial(open_fast_path, context),
                            )
                        )
                    if statsd is not None:
                        await gathering.start(statsd.run)
                    await gathering.start(changes.run)
                    if recorder is not None:
                        await gathering.start(recorder.run)
                    if files is not None:
                        gathering.start_soon(take_in, files, hub.records, pipeline.record)
                    if settings.ingest.own_interval > 0:
                        await gathering.start(
                            run_own_series, context, own_registry(app), settings.ingest.own_interval
                        )
                    scheme = "http" if certificate is None else "https"
                    places = tuple(one.place(scheme, where.prefix) for one in listeners)
                    told = (
                        one.host if one.is_unix else place
                        for one, place in zip(listeners, places, strict=True)
                    )
                    for url in dict.fromkeys(told):  # a name's addresses have one
                        _log.info("serving", url=url, epoch=hub.epoch)
                    started(Running(context, app, tuple(dict.fromkeys(places)), drained, recorder))
                    await drain.wait()
                    _log.info("draining", subscribers=len(hub.subscribers))
                    draining.set(trio.current_time() + where.drain_delay)
                    await trio.sleep(where.drain_delay)
                    pace, seconds = pacing.reconnects_per_second, where.drain_timeout
                    lasts = duration(len(hub.subscribers), pace, seconds)
                    draining.set(trio.current_time() + lasts + where.shutdown_timeout)
                    parted = await part_from_all(hub, pace, seconds)
                    _log.info("drained", told=parted.told, back_in_a_second=parted.most)
                    drained.set()
                    await close.wait()
                    if server is not None:
                        server.stop_accepting()
                    cut = await finish(server, engine, where.shutdown_timeout)
                    if cut:
                        _log.info("cut", connections=cut)
                    await serving.aclose()
                    gathering.cancel_scope.cancel()
                pipeline.close()
            await journal.aclose()
            ticking.cancel_scope.cancel()
    finally:
        # Whoever watches or publishes in this process, or by a server that isn't ours, is still
        # there, however this ended.
        ended()
        draining.set()
        drained.set()
        part_at_once(hub)
        pipeline.give_up()
    _log.info("stopped")


async def _reload(
    reload: trio.MemoryReceiveChannel[None],
    certificate: Certificate | None,
    recorder: Recorder | None,
) -> None:
    """Read again what can be, whenever that is asked for."""
    async for _ in reload:
        if certificate is None and recorder is None:
            _log.info("nothing to reload: there is no certificate, and nothing is recorded")
        if certificate is not None:
            renew(certificate)
        if recorder is not None:
            await recorder.reload()


def part_at_once(hub: Hub) -> None:
    """Tell all subscribers that the service is gone, but for those on sockets that went with it."""
    for subscriber in list(hub.subscribers.values()):
        if not isinstance(subscriber.carrier, DetachedCarrier):
            subscriber.carrier.end(Ending("stopped", Close.RESTARTING, retry_ms=1_000))


def open_fast_path(
    context: Context, stream: trio.SocketStream, first: bytes, slot: Slot
) -> ProxyProtocol | ProducerConnection | None:
    """What serves a connection without Hypercorn, for as long as that can be."""
    refusal = ProxyProtocol.open(stream, first)
    return ProducerConnection.open(context, stream, first, slot) if refusal is None else refusal


def sessions(prefix: str = "") -> Iterator[str]:
    """Names of sessions that nobody guesses, 144 bits each behind the prefix. Asked of the kernel
    in bulk: one at a time is a system call for each handshake."""
    while True:
        text = secrets.token_urlsafe(18 * 256)
        for start in range(0, len(text), 24):
            yield prefix + text[start : start + 24]


def open_library(where: Dashboards) -> Library:
    """The dashboards, ready to be saved. Blocks; raises ConfigError where they can't be."""
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


def _tell_refusal(told: Told) -> None:
    _log.warning(
        "not taken",
        format=told.format,
        producer=told.producer,
        code=told.code,
        count=told.amount,
        example=told.example,
    )


def make_engine() -> Engine | None:
    """The carrier of detached sockets; None, with a warning, if this Hypercorn lets none go."""
    gone = hypercorn_internals.missing()
    if gone:
        _log.warning("streams cost a task each: this Hypercorn lets no socket go", missing=gone)
        return None
    return Engine()


async def finish(server: Server | None, engine: Engine | None, seconds: float) -> int:
    """Wait so long for what is open to end, then cut the rest; tells how many that were."""
    begin = trio.current_time()
    cut = 0 if server is None else await server.finish(seconds)
    if engine is not None:
        cut += await engine.finish(max(0.0, begin + seconds - trio.current_time()))
    return cut
