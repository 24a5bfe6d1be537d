"""What a dashboard asks for and is granted; the same for the route and the fast path."""

from __future__ import annotations

import functools
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import trio
from werkzeug.datastructures import MultiDict

from pushsvc.app.http import parameters
from pushsvc.app.http.coding import Coding, coding_of_stream
from pushsvc.app.http.context import CATCH_UP, Context
from pushsvc.auth.access import AccessDecision, AccessRequest
from pushsvc.core.delivery.negotiate import Transport, choose, needs_events
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.model.cursor import NO_EPOCHS, Cursor, parse_cursor
from pushsvc.errors import Malformed, Overloaded, Problem

_QUERIES: Final = 256
"""Parsed queries that are cached: after a restart many clients come with the same one."""
_PARAMETERS: Final = (
    "select",
    "since",
    "window",
    "points",
    "max_hz",
    "merge",
    "heartbeat",
    "step",
    "wait",
    "ticket",
)


class StreamRequest(msgspec.Struct, frozen=True):
    """What a dashboard watches, where it begins, and by which transport."""

    spec: ViewSpec
    start: Start
    transport: Transport
    media_type: str = ""
    """Of the answer. Empty for a WebSocket."""
    coding: Coding = "identity"


class Negotiation:
    """Reads requests for streams."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._read_query = functools.lru_cache(_QUERIES)(self._parse_query)

    async def negotiate(self, request: AccessRequest, decision: AccessDecision) -> StreamRequest:
        """Read what this request asks for. If its cursor is ahead of what this process has read of
        the log, wait for that, but not for long.

        Raises Problem: Overloaded where the log has, or may have, entries up to the cursor that
        can't be read yet.
        """
        await self._catch_up(request)
        stream = self._negotiate(request, decision)
        await self._context.pipeline.prepare(stream.spec, stream.start)
        return stream

    def negotiate_nowait(
        self, request: AccessRequest, decision: AccessDecision
    ) -> StreamRequest | None:
        """The same without waiting; None where `negotiate` would wait. Raises Problem."""
        if self._ahead(request) is not None:
            return None
        stream = self._negotiate(request, decision)
        return stream if self._context.pipeline.is_prepared(stream.spec, stream.start) else None

    def _negotiate(self, request: AccessRequest, decision: AccessDecision) -> StreamRequest:
        if request.websocket:
            spec, start = self._read(request)
            return StreamRequest(spec.within(decision.principal.read), start, Transport.WEBSOCKET)
        accept = request.headers.get("accept")
        offer = choose(accept)
        coding: Coding = "identity"
        if offer.transport is not Transport.LONGPOLL:
            coding = coding_of_stream(
                request.headers.get("accept-encoding"),
                compress=self._context.pacing.compress_http,
            )
        lenient = offer.transport is Transport.SSE and needs_events(
            accept, request.headers.get("last-event-id")
        )
        spec, start = self._read(request, lenient=lenient)
        spec = spec.within(decision.principal.read)
        return StreamRequest(spec, start, offer.transport, offer.media_type, coding)

    def _read(self, request: AccessRequest, *, lenient: bool = False) -> tuple[ViewSpec, Start]:
        """The view that the query asks for, and where the stream begins. A client that can't read a
        status (`lenient`) may send any cursor: an invalid one is answered by a gap."""
        spec, start = self._parsed(request)
        hub = self._context.hub
        if last_event_id := _last_event_id(request):
            start = Start(_read_cursor(last_event_id, lenient=lenient), start.window, start.points)
        if lenient and start.since is not None and hub.is_ahead(start.since):
            start = Start(NO_EPOCHS, start.window, start.points)
        return spec, start

    def _parsed(self, request: AccessRequest) -> tuple[ViewSpec, Start]:
        # A query with a ticket is used by one client only: in the cache it would only displace
        # others.
        ticketed = b"ticket=" in request.query
        return (self._parse_query if ticketed else self._read_query)(request.query)

    def _parse_query(self, query: bytes) -> tuple[ViewSpec, Start]:
        pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
        args = MultiDict(pairs)
        parameters.refuse_unknown(args, _PARAMETERS)
        parameters.seconds(args, "wait")
        spec = parameters.spec(args, self._context.hub, self._context.limits)
        return spec, parameters.start(args)

    def _ahead(self, request: AccessRequest) -> Cursor | None:
        """The cursor of this request, if it is ahead of this process, since another process of the
        same log has read further."""
        if not self._context.shared:
            return None
        try:
            if last_event_id := _last_event_id(request):
                since: Cursor | None = parse_cursor(last_event_id)
            elif b"since=" in request.query:
                since = self._parsed(request)[1].since
            else:
                return None
        except Problem:
            return None  # reading the query raises the same problem again
        return since if since is not None and self._context.hub.is_ahead(since) else None

    async def _catch_up(self, request: AccessRequest) -> None:
        with trio.move_on_after(CATCH_UP):
            while self._ahead(request) is not None:
                await self._context.pipeline.moved()
            return
        # A process that is behind may not know where the log ends.
        journal = self._context.journal
        there = (await journal.statistics()).seq
        since = self._ahead(request)
        if since is not None and (journal.away_since is not None or since.seq <= there):
            raise Overloaded(
                "journal",
                "this cursor is of what the log has and this process hasn't read yet: come back "
                "with it",
                retry_after=CATCH_UP,
            )


def _last_event_id(request: AccessRequest) -> str | None:
    return None if request.websocket else request.headers.get("last-event-id")


def _read_cursor(text: str, *, lenient: bool) -> Cursor:
    try:
        return parse_cursor(text)
    except Malformed:
        if not lenient:
            raise
        return NO_EPOCHS
