"""The composition root: builds everything, and is the order in which it starts and stops.

Stopping reads from the inside out: no new connections or streams, goodbye to subscribers, open
requests answered, connections cut, the ingest channel drained, the journal closed.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from importlib import resources
from pathlib import Path

import structlog
import trio

from pushsvc import hypercorn_internals
from pushsvc.app import create_app
from pushsvc.app.context import Context
from pushsvc.app.front import Front
from pushsvc.auth.leases import Leases
from pushsvc.auth.mode import Lock, make_lock, run_key_file
from pushsvc.config import Settings
from pushsvc.core.hub import Hub
from pushsvc.core.subscriber import Ending
from pushsvc.core.wire import Close
from pushsvc.ingest.native import NativeDecoder
from pushsvc.journal.memory import MemoryJournal
from pushsvc.pipeline import Pipeline
from pushsvc.server import Server, open_server
from pushsvc.transport.engine import Engine

_log = structlog.get_logger("pushsvc.service")

_SPARE = 1_000
"""Connections beyond the subscribers: producers, pages being loaded, probes."""


async def run_service(
    settings: Settings,
    *,
    drain: trio.Event,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `drain` is set; then tell subscribers to come back, and return.

    `started` gets the URL, once connections are accepted. Raises OSError where the address can't
    be bound, ConfigError where it would be open to those it must not be.
    """
    limits, pacing = settings.limits, settings.stream
    where = settings.server
    lock = make_lock(settings)
    listeners = await trio.open_tcp_listeners(where.port, host=where.host, backlog=where.backlog)
    journal = MemoryJournal()
    hub = Hub(
        journal.epoch,
        limits=limits,
        retention=settings.history,
        pacing=pacing,
        make_session=lambda: secrets.token_urlsafe(16),
    )
    pipeline = Pipeline(hub, journal, limits, pacing)
    leases = Leases(lock.access, hub, pipeline.hurry)
    draining = trio.Event()
    engine = make_engine() if pacing.detach else None
    server: Server | None = None
    context = Context(
        hub=hub,
        pipeline=pipeline,
        limits=limits,
        pacing=pacing,
        native=NativeDecoder(limits),
        engine=engine,
        draining=draining,
        connections=lambda: (
            (0 if server is None else server.connections) + (0 if engine is None else len(engine))
        ),
        page=Path(str(resources.files("pushsvc") / "web")),
        access=lock.access,
        leases=leases,
    )
    app = create_app(context)
    async with trio.open_nursery() as ticking:
        await ticking.start(pipeline.run_ticks)
        await ticking.start(pipeline.run_sweeps)
        await start_lock(ticking, lock, leases)
        if engine is not None:
            await ticking.start(engine.run)
            await ticking.start(engine.run_tending)
        async with trio.open_nursery() as ingesting:
            await ingesting.start(pipeline.run_ingest)
            async with open_server(
                app,
                listeners,
                message_bytes=limits.message_bytes,
                max_connections=limits.subscribers + _SPARE,
                # For peers that are gone without a word; those that stall are parted from sooner.
                user_timeout=2 * pacing.stall_timeout,
                front=None if engine is None else Front(context, engine).take,
            ) as server:
                url = url_of(listeners[0])
                _log.info("serving", url=url, epoch=hub.epoch)
                task_status.started(url)
                await drain.wait()
                _log.info("draining", subscribers=len(hub.subscribers))
                draining.set()
                server.stop_accepting()
                dismiss(hub, pacing.goaway_spread)
                cut = await finish(server, engine, settings.server.shutdown_timeout)
                if cut:
                    _log.info("cut", connections=cut)
            pipeline.close()
        await journal.aclose()
        ticking.cancel_scope.cancel()
    _log.info("stopped")


async def start_lock(nursery: trio.Nursery, lock: Lock, leases: Leases) -> None:
    """Start what keeps keys fresh and ends streams whose token has expired."""
    await nursery.start(leases.run)
    ring = lock.access.ring
    if lock.jwks is not None:
        await nursery.start(lock.jwks.run)
    if lock.key_file is not None and ring is not None:

        def reconsider() -> None:
            leases.reconsider(lambda owner: ring.owner(owner, time.time()))

        await nursery.start(run_key_file, lock.key_file, ring, reconsider)


def make_engine() -> Engine | None:
    """The carrier of detached sockets; None, with a warning, if this Hypercorn lets none go."""
    gone = hypercorn_internals.missing()
    if gone:
        _log.warning("streams cost a task each: this Hypercorn lets no socket go", missing=gone)
        return None
    return Engine()


async def finish(server: Server, engine: Engine | None, seconds: float) -> int:
    """Wait so long for what is open to end, then cut the rest; tells how many that were."""
    begin = trio.current_time()
    cut = await server.finish(seconds)
    if engine is not None:
        cut += await engine.finish(max(0.0, begin + seconds - trio.current_time()))
    return cut


def dismiss(hub: Hub, spread: float) -> None:
    """Tell every subscriber to come back, each at its own time within `spread` seconds."""
    for subscriber in list(hub.subscribers.values()):
        retry_ms = round(random.uniform(0.1, 1.0) * spread * 1000)
        subscriber.carrier.end(Ending("drain", Close.RESTARTING, retry_ms=retry_ms))


def url_of(listener: trio.SocketListener) -> str:
    """The URL that a browser on this machine opens."""
    host, port = listener.socket.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104
        host = "127.0.0.1" if listener.socket.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
