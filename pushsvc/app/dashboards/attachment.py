"""What attaching a client takes, whoever read its request: its view, room, and its socket."""

from __future__ import annotations

import functools
import socket
from urllib.parse import parse_qsl

import trio
from werkzeug.datastructures import MultiDict

from pushsvc.app.http import parameters
from pushsvc.app.http.coding import Coding, coding_of_stream
from pushsvc.app.http.context import CATCH_UP, Context
from pushsvc.auth.principal import Principal, account
from pushsvc.core.delivery.carrier import Carrier
from pushsvc.core.delivery.negotiate import Offer, Transport, choose, needs_events
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Wire, gzipped
from pushsvc.core.hub import Start
from pushsvc.core.model.cursor import NO_EPOCHS, Cursor, parse_cursor
from pushsvc.core.resources.account import Account
from pushsvc.errors import Malformed, Overloaded, Problem
from pushsvc.listen.server import Connection
from pushsvc.pipeline import now_ms
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.detached import DetachedCarrier, GzipCarrier
from pushsvc.transport.engine import Engine
from pushsvc.transport.inbound import Conversation
from pushsvc.transport.websocket_carrier import WebSocketCarrier

_QUERIES = 256
"""Parsed queries that are kept: after a restart many clients come with the same one."""
_RETRY_AFTER_REFUSAL = 5.0
"""Seconds, jittered by a half, after which a client that was above the rate is to try again."""
_PARAMETERS = (
    "select",
    "since",
    "window",
    "points",
    "max_hz",
    "merge",
    "heartbeat",
    "wait",
    "ticket",
)


class Attachment:
    """Attaching clients, and taking their sockets over."""

    def __init__(self, context: Context) -> None:
        self.hub = context.hub
        self._context = context
        self._make_conversation = self.conversation  # bound once, not for each client
        self._read_query = functools.lru_cache(_QUERIES)(self._parse_query)

    def check_admission(self, *, counted: bool = True) -> None:
        """Raise Overloaded when no stream can be had: the service is about to end, it is full, or
        more came in the last second than it takes.

        To be asked before anything that costs. `counted` is off for what is no handshake: a long
        poll comes again and again.
        """
        limits, now = self._context.limits, trio.current_time()
        if self._context.draining.is_set():
            raise self._context.draining.problem(now)
        self.hub.refuse_when_full()
        if counted and not self._context.handshake_limiter.take(now):
            self.hub.counts["streams_refused"] += 1
            raise Overloaded(
                "streams_per_second",
                f"more than {limits.streams_per_second:g} streams are being opened a second "
                "(limits.streams_per_second)",
                retry_after=_RETRY_AFTER_REFUSAL,
                limit="streams_per_second",
            )

    def _parse_query(self, query: bytes) -> tuple[ViewSpec, Start]:
        pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
        args = MultiDict(pairs)
        parameters.refuse_unknown(args, _PARAMETERS)
        parameters.seconds(args, "wait")
        spec = parameters.spec(args, self.hub, self._context.limits)
        return spec, parameters.start(args)

    def read(
        self,
        query: bytes,
        last_event_id: str | None,
        principal: Principal,
        *,
        lenient: bool = False,
    ) -> tuple[ViewSpec, Start]:
        """What the query of a stream's URL asks for, of one who may see so much, and where it
        begins. Raises Problem. A client that can't read a status (`lenient`) may come back with any
        cursor: one that means nothing here is answered by a gap."""
        # A query with a ticket is its client's own: kept, it would only push others out.
        ticketed = b"ticket=" in query
        spec, start = (self._parse_query if ticketed else self._read_query)(query)
        if last_event_id:
            start = Start(_read_cursor(last_event_id, lenient=lenient), start.window, start.points)
        if lenient and start.since is not None and self.hub.is_ahead(start.since):
            start = Start(NO_EPOCHS, start.window, start.points)
        return spec.within(principal.read), start

    def is_ahead(self, query: bytes, last_event_id: str | None) -> bool:
        """Whether a cursor is ahead of this process: another one of the same log has read so
        far."""
        return self._ahead(query, last_event_id) is not None

    def _ahead(self, query: bytes, last_event_id: str | None) -> Cursor | None:
        """The cursor, if it is."""
        if not self._context.shared or not (last_event_id or b"since=" in query):
            return None
        try:
            if last_event_id:
                since: Cursor | None = parse_cursor(last_event_id)
            else:
                known = self._parse_query if b"ticket=" in query else self._read_query
                since = known(query)[1].since
        except Problem:
            return None  # reading the query raises it again
        return since if since is not None and self.hub.is_ahead(since) else None

    async def catch_up(self, query: bytes, last_event_id: str | None = None) -> None:
        """Wait until what a cursor stands for has been read here too, though not for long. Raises
        Overloaded where the log has it, or may have it, and it can't be read yet."""
        with trio.move_on_after(CATCH_UP):
            while self.is_ahead(query, last_event_id):
                await self._context.pipeline.moved()
            return
        # A process that is behind may not know how far the log is.
        there = (await self._context.journal.statistics()).seq
        since, journal = self._ahead(query, last_event_id), self._context.journal
        if since is not None and (journal.away_since is not None or since.seq <= there):
            raise Overloaded(
                "journal",
                "this cursor is of what the log has and this process hasn't read yet: come back "
                "with it",
                retry_after=CATCH_UP,
            )

    def negotiate(
        self,
        query: bytes,
        accept: str | None,
        encodings: str | None,
        last_event_id: str | None,
        principal: Principal,
        whose: Account,
    ) -> tuple[Offer, Coding, ViewSpec, Start]:
        """What a request without an upgrade gets, by its `Accept` and `Accept-Encoding`. Raises
        Problem; there is room if it doesn't."""
        offer = choose(accept)
        coding: Coding = "identity"
        if offer.transport is not Transport.LONGPOLL:
            coding = coding_of_stream(encodings, compress=self._context.pacing.compress_http)
        lenient = offer.transport is Transport.SSE and needs_events(accept, last_event_id)
        spec, start = self.read(query, last_event_id, principal, lenient=lenient)
        self.hub.admit(spec, start, trio.current_time(), whose)
        return offer, coding, spec, start

    def subscribe(
        self,
        spec: ViewSpec,
        start: Start,
        carrier: Carrier,
        transport: str,
        principal: Principal,
        address: str,
    ) -> Subscriber:
        """Attach a client. Raises what the hub does when it has no room."""
        subscriber = self.hub.subscribe(
            spec,
            start,
            carrier,
            now=trio.current_time(),
            time_ms=now_ms(),
            transport=transport,
            address=address,
            account=account(principal, address),
        )
        self._context.leases.begin(subscriber, principal)
        self._context.pipeline.wake_ticker()
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
        self,
        engine: Engine,
        sock: socket.socket,
        subscriber: Subscriber,
        wire: Wire,
        head: bytes = b"",
    ) -> None:
        """Have the engine carry a subscriber on a socket whose handshake is answered, or will be
        with `head`."""
        # It may have been drained while it was being set up.
        former = subscriber.carrier
        ending = former.ending if isinstance(former, AsgiCarrier) else None
        carrier: DetachedCarrier
        if wire in ("websocket", "websocket-deflate"):
            carrier = WebSocketCarrier(
                engine, self.hub, sock, subscriber, wire, self._make_conversation
            )
        elif gzipped(wire):
            carrier = GzipCarrier(engine, self.hub, sock, subscriber, wire)
        else:
            carrier = DetachedCarrier(engine, self.hub, sock, subscriber, wire)
        carrier.begin(head)
        if ending is not None:
            carrier.end(ending)

    def conversation(self) -> Conversation:
        context = self._context
        return Conversation(
            context.hub,
            context.limits,
            context.pipeline.wake_ticker,
            context.leases.renew,
            trio.current_time(),
        )


def _read_cursor(text: str, *, lenient: bool) -> Cursor:
    try:
        return parse_cursor(text)
    except Malformed:
        if not lenient:
            raise
        return NO_EPOCHS
