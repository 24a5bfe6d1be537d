"""The order in which everything starts and stops, as nested nurseries and contexts."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import trio
from quart_trio import QuartTrio

from pushsvc.app import create_app
from pushsvc.app.early import Early
from pushsvc.app.http.context import Context
from pushsvc.app.operators.ops import own_registry
from pushsvc.app.operators.own_metrics import run_own_series
from pushsvc.auth.mode import AccessControl, make_access_control, start_access_control
from pushsvc.config import Settings
from pushsvc.dashboards.library import Library
from pushsvc.dashboards.recorded import take_in
from pushsvc.journal import Journal
from pushsvc.journal.starting import Starting
from pushsvc.listen.inherited import NOTHING, Inherited
from pushsvc.listen.listeners import Listener, close_all, open_all, resolve_hosts
from pushsvc.listen.statsd import open_statsd, refuse_two
from pushsvc.listen.tls import Certificate, renew, watch_certificate
from pushsvc.log import get_logger
from pushsvc.recording.recorder import Recorder
from pushsvc.recording.rules import Rule, read_rules
from pushsvc.service.journal import open_configured
from pushsvc.service.listening import certificate_of, make_early, open_http_server
from pushsvc.service.parts import build, open_library
from pushsvc.service.stopping import drain_subscribers, finish_connections, part_at_once
from pushsvc.workers.assignment import Assignment

_log = get_logger("pushsvc.service")


@dataclasses.dataclass(frozen=True)
class Running:
    """A running service, for code in the same process."""

    context: Context
    app: QuartTrio
    urls: tuple[str, ...]
    """Where it listens; for a Unix socket, a command that sends a request."""
    drained: trio.Event
    """Set when all subscribers were told to go."""
    recorder: Recorder | None
    """Records expressions, if any are configured."""


@dataclasses.dataclass(frozen=True)
class _Signals:
    """The signals that a running service receives, and the callbacks that it calls."""

    drain: trio.Event
    close: trio.Event
    reload: trio.MemoryReceiveChannel[None] | None
    started: Callable[[Running], None]
    ended: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class _Ready:
    """Everything that is checked, read and opened before the journal."""

    settings: Settings
    access_control: AccessControl
    library: Library
    rules: Sequence[Rule]
    certificate: Certificate | None
    listeners: Sequence[Listener]
    statsd: socket.socket | None
    assignment: Assignment | None
    starting: Starting
    early: Early


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

    For each item from `reload` it reads the certificate and the recorded
    expressions again. `inherited` sockets are served in addition to the hosts of the settings, and
    closed at the end. With an `assignment` it is one of several workers, and the settings are its
    share. `started` gets the URLs, once connections are accepted; for a Unix socket, a command that
    sends a request. Raises OSError if an address can't be bound, CertificateError, JournalError,
    and ConfigError, also if other machines could reach it without access control.
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
    """Like `run_service`, but still accepts samples after `drain`, until `close` is set too.

    `started` is called once the service runs, and `ended` when it has stopped, before local
    subscribers and producers are told. Without a host in the settings it listens nowhere.
    """
    where = settings.server
    await resolve_hosts(where.hosts, where.port)  # an unknown host is reported first
    access_control = make_access_control(
        settings, [listener.host for listener in inherited.listeners]
    )
    refuse_two(settings.ingest, inherited.statsd)
    library = await trio.to_thread.run_sync(open_library, settings.dashboards)
    rules = await trio.to_thread.run_sync(read_rules, settings)
    certificate = certificate_of(settings)
    opened = await open_all(where)
    starting = Starting()
    ready = _Ready(
        settings=settings,
        access_control=access_control,
        library=library,
        rules=rules,
        certificate=certificate,
        listeners=[*inherited.listeners, *opened],
        statsd=inherited.statsd,
        assignment=assignment,
        starting=starting,
        early=make_early(settings, access_control, starting, assignment),
    )
    elsewhere = [] if assignment is None else assignment.adopt_early()
    try:
        async with trio.open_nursery() as beside:
            await beside.start(ready.early.run, [*map(Listener.again, ready.listeners), *elsewhere])
            async with open_configured(settings, assignment, starting) as journal:
                await _serve(ready, journal, _Signals(drain, close, reload, started, ended))
            beside.cancel_scope.cancel()
    finally:
        close_all(ready.listeners)


async def _serve(ready: _Ready, journal: Journal, signals: _Signals) -> None:
    settings, certificate = ready.settings, ready.certificate
    parts = build(
        *(settings, journal, ready.access_control.access, ready.library, ready.rules),
        *(ready.assignment, ready.starting),
    )
    hub, pipeline, engine, recorder = parts.hub, parts.pipeline, parts.engine, parts.recorder
    app, drained = create_app(parts.context), trio.Event()
    try:
        statsd = await open_statsd(
            settings.ingest,
            settings.limits,
            settings.history.series_ttl,
            pipeline,
            parts.context.refused,
            parts.context.producers,
            ready.statsd,
        )
        async with trio.open_nursery() as ticking:
            if parts.peers is not None:
                await ticking.start(parts.peers.run)
            if signals.reload is not None:
                ticking.start_soon(_reload, signals.reload, certificate, recorder)
            if certificate is not None:
                ticking.start_soon(watch_certificate, certificate)
            await ticking.start(pipeline.run_ticks)
            await ticking.start(pipeline.run_steps)
            await ticking.start(pipeline.run_preparing)
            await ticking.start(pipeline.run_sweeps)
            await start_access_control(ticking, ready.access_control, parts.leases)
            if engine is not None:
                await ticking.start(engine.run)
                await ticking.start(engine.run_tending)
            async with trio.open_nursery() as ingesting:
                await ingesting.start(pipeline.run_ingest)
                await ready.early.close()
                async with trio.open_nursery() as gathering, AsyncExitStack() as serving:
                    if ready.listeners:
                        parts.server = await serving.enter_async_context(
                            open_http_server(
                                *(parts, app, settings, ready.access_control),
                                *(ready.listeners, certificate),
                            )
                        )
                    if statsd is not None:
                        await gathering.start(statsd.run)
                    await gathering.start(parts.changes.run)
                    if recorder is not None and parts.records:
                        await gathering.start(recorder.run)
                    if parts.files is not None:
                        gathering.start_soon(take_in, parts.files, hub.records, pipeline.record)
                    own_interval = settings.ingest.own_interval
                    if own_interval > 0:
                        registry = own_registry(app)
                        await gathering.start(run_own_series, parts.context, registry, own_interval)
                    urls = _announce(ready, hub.epoch)
                    signals.started(Running(parts.context, app, urls, drained, recorder))
                    await signals.drain.wait()
                    await drain_subscribers(hub, parts.draining, settings)
                    drained.set()
                    await signals.close.wait()
                    await finish_connections(parts.server, engine, settings.server.shutdown_timeout)
                    await serving.aclose()
                    gathering.cancel_scope.cancel()
                pipeline.close()
            await journal.aclose()
            ticking.cancel_scope.cancel()
    finally:
        # Subscribers and producers in this process, or behind another program's server, are still
        # there, however the service ended.
        signals.ended()
        parts.draining.set()
        drained.set()
        part_at_once(hub)
        pipeline.give_up()
    _log.info("stopped")


def _announce(ready: _Ready, epoch: str) -> tuple[str, ...]:
    """Log where it serves. Returns the URLs; for a Unix socket, which has none, a command that
    sends a request."""
    scheme = "http" if ready.certificate is None else "https"
    places = [one.place(scheme, ready.settings.server.prefix) for one in ready.listeners]
    logged = (
        one.host if one.is_unix else place
        for one, place in zip(ready.listeners, places, strict=True)
    )
    for url in dict.fromkeys(logged):  # the addresses of one name have one URL
        _log.info("serving", url=url, epoch=epoch)
    return tuple(dict.fromkeys(places))


async def _reload(
    reload: trio.MemoryReceiveChannel[None],
    certificate: Certificate | None,
    recorder: Recorder | None,
) -> None:
    """Read the certificate and the recorded expressions again at each item from `reload`."""
    async for _ in reload:
        if certificate is None and recorder is None:
            _log.info("nothing to reload: there is no certificate, and nothing is recorded")
        if certificate is not None:
            renew(certificate)
        if recorder is not None:
            await recorder.reload()
