"""What attaching a client takes, whoever read its request: wishes, room, and its socket."""

from __future__ import annotations

import socket

import trio
from werkzeug.datastructures import MultiDict

from pushsvc.app import parameters
from pushsvc.app.context import Context
from pushsvc.auth.principal import Principal
from pushsvc.core.hub import Start
from pushsvc.core.negotiate import Offer, choose
from pushsvc.core.subscriber import Subscriber
from pushsvc.core.view import Wish
from pushsvc.core.wire import Wire
from pushsvc.errors import Overloaded
from pushsvc.pipeline import now_ms
from pushsvc.server import Connection
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine
from pushsvc.transport.inbound import Conversation
from pushsvc.transport.websocket_carrier import WebSocketCarrier

_PARAMETERS = ("select", "since", "window", "max_hz", "merge", "wait", "ticket")


class Attachment:
    """Attaching clients, and taking their sockets over."""

    def __init__(self, context: Context) -> None:
        self.hub = context.hub
        self._context = context

    def refuse_when_draining(self) -> None:
        """Raise Overloaded while the service is about to end."""
        if self._context.draining.is_set():
            raise Overloaded("draining", "this server is going away", retry_after=1.0)

    def read(
        self, args: MultiDict[str, str], last_event_id: str | None, principal: Principal
    ) -> tuple[Wish, Start]:
        """What the parameters of a stream ask for, of one who may see so much. Raises Problem."""
        parameters.refuse_unknown(args, _PARAMETERS)
        parameters.seconds(args, "wait")
        wish = parameters.wish(args, self.hub, self._context.limits)
        return wish.within(principal.read), parameters.start(args, last_event_id)

    def negotiate(
        self,
        args: MultiDict[str, str],
        accept: str | None,
        last_event_id: str | None,
        principal: Principal,
    ) -> tuple[Offer, Wish, Start]:
        """What a request without an upgrade gets. Raises Problem; there is room if it doesn't."""
        offer = choose(accept)
        wish, start = self.read(args, last_event_id, principal)
        self.refuse_when_draining()
        self.hub.admit(wish, start, trio.current_time())
        return offer, wish, start

    def subscribe(
        self,
        wish: Wish,
        start: Start,
        carrier: AsgiCarrier,
        transport: str,
        principal: Principal,
    ) -> Subscriber:
        """Attach a client. Raises what the hub does when it has no room."""
        subscriber = self.hub.subscribe(
            wish,
            start,
            carrier,
            now=trio.current_time(),
            time_ms=now_ms(),
            transport=transport,
        )
        self._context.leases.begin(subscriber, principal)
        self._context.pipeline.hurry()
        return subscriber

    def detach(self, connection: Connection | None, subscriber: Subscriber, wire: Wire) -> bool:
        """Hand a subscriber over to the engine, if its socket can be; tells whether it was.

        Whatever calls it is cancelled at its next checkpoint if so, and must not let go of the
        subscriber.
        """
        engine = self._context.engine
        if connection is None:
            return False
        sock = None if engine is None else connection.detach()
        if engine is None or sock is None:
            connection.keep()
            return False
        self.carry(engine, sock, subscriber, wire)
        return True

    def carry(
        self, engine: Engine, sock: socket.socket, subscriber: Subscriber, wire: Wire
    ) -> None:
        """Have the engine carry a subscriber on a socket whose handshake is answered."""
        # It may have been drained while it was being set up.
        former = subscriber.carrier
        ending = former.ending if isinstance(former, AsgiCarrier) else None
        carrier: DetachedCarrier
        if wire == "websocket":
            beat = self._context.pacing.heartbeat
            carrier = WebSocketCarrier(
                engine, self.hub, sock, subscriber, self.conversation(), beat
            )
        else:
            carrier = DetachedCarrier(engine, self.hub, sock, subscriber, wire)
        if ending is None:
            carrier.wake()
        else:
            carrier.end(ending)

    def conversation(self) -> Conversation:
        context = self._context
        return Conversation(
            context.hub,
            context.limits,
            context.pipeline.hurry,
            context.leases.renew,
            trio.current_time(),
        )
