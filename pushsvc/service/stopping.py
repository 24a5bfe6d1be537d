"""How a service stops: subscribers first, then other open connections."""

from __future__ import annotations

import trio

from pushsvc.config import Settings
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.listen.server import Server
from pushsvc.log import get_logger
from pushsvc.pipeline.drain import Draining, duration, part_from_all
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine

_log = get_logger("pushsvc.service")


async def drain_subscribers(hub: Hub, draining: Draining, settings: Settings) -> None:
    """Refuse new streams, wait `drain_delay` seconds for load balancers to notice, and tell all
    subscribers to come back, at the configured rate."""
    where, pace = settings.server, settings.stream.reconnects_per_second
    _log.info("draining", subscribers=len(hub.subscribers))
    draining.set(trio.current_time() + where.drain_delay)
    await trio.sleep(where.drain_delay)
    lasts = duration(len(hub.subscribers), pace, where.drain_timeout)
    draining.set(trio.current_time() + lasts + where.shutdown_timeout)
    parted = await part_from_all(hub, pace, where.drain_timeout)
    _log.info("drained", told=parted.told, back_in_a_second=parted.most)


async def finish_connections(server: Server | None, engine: Engine | None, seconds: float) -> None:
    """Accept no more connections, wait up to `seconds` for the open ones to end, then cut them."""
    if server is not None:
        server.stop_accepting()
    begin = trio.current_time()
    cut = 0 if server is None else await server.finish(seconds)
    if engine is not None:
        cut += await engine.finish(max(0.0, begin + seconds - trio.current_time()))
    if cut:
        _log.info("cut", connections=cut)


def part_at_once(hub: Hub) -> None:
    """Tell all subscribers that the service has stopped, except those on detached sockets, which
    are closed already."""
    for subscriber in list(hub.subscribers.values()):
        if not isinstance(subscriber.carrier, DetachedCarrier):
            subscriber.carrier.end(Ending("stopped", Close.RESTARTING, retry_ms=1_000))
