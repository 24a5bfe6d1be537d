"""Attaching a client to its view, and handing its socket to the engine."""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio

from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.app.http.context import Context
from pushsvc.auth.access import AccessDecision
from pushsvc.core.delivery.carrier import Carrier, Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import Wire, gzipped
from pushsvc.listen.connection import Connection
from pushsvc.pipeline import now_ms
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.detached import DetachedCarrier, GzipCarrier
from pushsvc.transport.engine import Engine
from pushsvc.transport.inbound import Conversation
from pushsvc.transport.websocket_carrier import WebSocketCarrier


class _NullCarrier:
    """Takes the carrier's place while a client is attached that has no carrier yet."""

    def wake(self) -> None:
        pass

    def end(self, ending: Ending) -> None:
        pass

    def stalled_since(self) -> float | None:
        return None

    def abort(self) -> None:
        pass


_NULL_CARRIER = _NullCarrier()


class Attachment:
    """Attaching clients, and taking their sockets over."""

    def __init__(self, context: Context) -> None:
        self._hub = context.hub
        self._context = context
        self._make_conversation = self.conversation  # bound once, and not for each client

    def attach(
        self,
        engine: Engine,
        sock: socket.socket,
        stream: StreamRequest,
        decision: AccessDecision,
        head: bytes,
        wire: Wire,
    ) -> None:
        """Attach a client whose request isn't answered yet, and have the engine carry it, the head
        of the answer first. Raises what `subscribe` does."""
        subscriber = self.subscribe(stream, decision, _NULL_CARRIER)
        self._carrier(engine, sock, subscriber, wire).begin(head)

    def subscribe(
        self, stream: StreamRequest, decision: AccessDecision, carrier: Carrier
    ) -> Subscriber:
        """Attach a client. Raises what the hub does when it has no room; then nothing happened."""
        subscriber = self._hub.subscribe(
            stream.spec,
            stream.start,
            carrier,
            now=trio.current_time(),
            time_ms=now_ms(),
            transport=stream.transport.value,
            address=decision.address,
            account=decision.account,
        )
        subscriber.agent = decision.agent
        self._context.leases.begin(subscriber, decision.principal)
        self._context.pipeline.wake_ticker()
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Detach a client from its view. Calling it again does nothing."""
        self._hub.unsubscribe(subscriber, now=trio.current_time())

    def detach(self, connection: Connection | None, subscriber: Subscriber, wire: Wire) -> bool:
        """Hand a subscriber over to the engine, if its socket can be detached; returns whether it
        was.

        If so, the calling task is cancelled at its next checkpoint, and must not detach the
        subscriber from its view.
        """
        engine = self._context.engine
        if connection is None:
            return False
        sock = None if engine is None else connection.detach()
        if engine is None or sock is None:
            connection.keep()
            return False
        # It may have been drained while it was set up.
        former = subscriber.carrier
        ending = former.ending if isinstance(former, AsgiCarrier) else None
        carrier = self._carrier(engine, sock, subscriber, wire)
        carrier.begin()
        if ending is not None:
            carrier.end(ending)
        return True

    def _carrier(
        self, engine: Engine, sock: socket.socket, subscriber: Subscriber, wire: Wire
    ) -> DetachedCarrier:
        """A carrier on a socket, from now on the engine's."""
        if wire in ("websocket", "websocket-deflate"):
            return WebSocketCarrier(
                engine, self._hub, sock, subscriber, wire, self._make_conversation
            )
        kind = GzipCarrier if gzipped(wire) else DetachedCarrier
        return kind(engine, self._hub, sock, subscriber, wire)

    def conversation(self) -> Conversation:
        """What the client may send on its WebSocket."""
        context = self._context
        return Conversation(
            context.hub,
            context.limits,
            context.pipeline.wake_ticker,
            context.leases.renew,
            context.pipeline.prepare_soon,
            trio.current_time(),
        )


def abort_callback(connection: Connection | None) -> Callable[[], None] | None:
    """What cuts the connection, if the server offers that."""
    return None if connection is None else connection.abort
