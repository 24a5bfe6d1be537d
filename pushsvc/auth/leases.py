"""Live streams, and until when each may go on.

A stream belongs to the principal that opened it and ends when its token expires, with a code that
asks the client to come back with another token. Before that a client may renew: the new token
replaces the old one, and its read scope is applied like a `watch`.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Final

import trio

from pushsvc.auth.access import Access
from pushsvc.auth.jwt import UnknownKey
from pushsvc.auth.principal import ANYONE, Principal
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.errors import Forbidden, Overloaded, Problem
from pushsvc.log import get_logger
from pushsvc.pipeline import now_ms

_log = get_logger("pushsvc.auth")

_EVERY: Final = 1.0
"""Seconds between two looks at the wall clock, which may be set at any time."""
_PENDING: Final = 256
"""Renewals that wait for an issuer's new keys; beyond that, a stream is ended instead."""
_AT_ONCE: Final = 256
"""Streams ended between two checkpoints."""


class Leases:
    """The owners of a hub's live streams. `run` ends streams whose time is over."""

    def __init__(
        self,
        access: Access,
        hub: Hub,
        wake_ticker: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._hub = hub
        self._wake_ticker = wake_ticker
        self._clock = clock
        self._numbers = itertools.count()
        # (expiry, number, session); entries of streams that are gone or were renewed are ignored.
        self._ends: list[tuple[float, int, str]] = []
        # The session of the stream that a ticket carries; sessions of streams that are gone are
        # ignored.
        self._carried: dict[str, str] = {}
        self._send, self._receive = trio.open_memory_channel[tuple[str, str]](_PENDING)

    def begin(self, subscriber: Subscriber, principal: Principal) -> None:
        """Note the owner of this stream."""
        subscriber.owner = principal
        if principal.ticket is not None:
            self._take_over(principal.ticket, subscriber)
        if principal.expires is not None:
            if len(self._ends) > 2 * len(self._hub.subscribers) + 1000:
                self._ends = [end for end in self._ends if end[2] in self._hub.subscribers]
                heapq.heapify(self._ends)
            end = principal.expires, next(self._numbers), subscriber.session
            heapq.heappush(self._ends, end)

    def _take_over(self, ticket: str, subscriber: Subscriber) -> None:
        """End the former stream that came with this ticket."""
        live = self._hub.subscribers
        if len(self._carried) > 2 * len(live) + 1000:
            self._carried = {name: one for name, one in self._carried.items() if one in live}
        former = live.get(self._carried.get(ticket, ""))
        self._carried[ticket] = subscriber.session
        if former is not None and former is not subscriber:
            self._end_taken(former)

    def part(self, ticket: str) -> None:
        """End the stream of a ticket that was presented to another process."""
        former = self._hub.subscribers.get(self._carried.pop(ticket, ""))
        if former is not None:
            self._end_taken(former)

    def _end_taken(self, former: Subscriber) -> None:
        self._hub.counts["subscribers_taken_over"] += 1
        said = "someone came back with the ticket of this stream"
        former.carrier.end(Ending("ticket", Close.GOING_AWAY, message=said))

    def refuse_others(self, subscriber: Subscriber, who: str) -> None:
        """Raise Forbidden where the identity `who` sends a message for another identity's
        stream."""
        owner = owner_of(subscriber)
        if owner.id != who:
            raise Forbidden("session", "this stream belongs to someone else")

    def renew(self, subscriber: Subscriber, token: str) -> None:
        """Continue with a new token of the same subject. Raises Problem.

        Where the token's key must be fetched first, that is done later, and a refusal then ends the
        stream.
        """
        try:
            principal = self._access.verify(token)
        except UnknownKey:
            try:
                self._send.send_nowait((subscriber.session, token))
            except trio.WouldBlock:
                raise Overloaded("keys", "too many wait for new keys", retry_after=5.0) from None
            return
        self._apply(subscriber, principal)

    def _apply(self, subscriber: Subscriber, principal: Principal) -> None:
        owner = owner_of(subscriber)
        if principal.id != owner.id:
            raise Forbidden("subject", "a stream is renewed with a token of the same subject")
        if principal.read.empty:
            raise Forbidden("read_scope", "this token may read nothing")
        spec = subscriber.view.spec.within(principal.read)
        now = trio.current_time()
        self._hub.watch(subscriber.session, spec, None, now=now, time_ms=now_ms())
        self.begin(subscriber, principal)
        self._wake_ticker()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """End streams when their tokens expire, and apply renewals that had to wait, until
        cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_renewals)
            task_status.started()
            while True:
                await trio.sleep_until(trio.current_time() // _EVERY * _EVERY + _EVERY)
                await self._end_expired()

    async def _run_renewals(self) -> None:
        async for session, token in self._receive:
            subscriber = self._hub.subscribers.get(session)
            if subscriber is None:
                continue
            try:
                principal = await self._access.verify_patiently(token)
                if session in self._hub.subscribers:
                    self._apply(subscriber, principal)
            except Problem as problem:
                end(subscriber, problem)

    async def _end_expired(self) -> None:
        now = self._clock()
        ended = 0
        while self._ends and self._ends[0][0] <= now:
            _, _, session = heapq.heappop(self._ends)
            subscriber = self._hub.subscribers.get(session)
            if subscriber is None:
                continue
            expires = owner_of(subscriber).expires
            if expires is None or expires > now:
                continue  # it was renewed
            self._hub.counts["subscribers_expired"] += 1
            subscriber.carrier.end(
                Ending("token_expired", Close.EXPIRED, message="the token has expired")
            )
            ended += 1
            if ended % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def reconsider(self, look_up: Callable[[str], Principal]) -> None:
        """Apply to every stream what its owner may read now; `look_up` finds an owner by id, and
        raises Problem where it no longer exists."""
        for subscriber in list(self._hub.subscribers.values()):
            if subscriber.owner is None:
                continue  # a subscriber within this program
            owner = owner_of(subscriber)
            try:
                principal = look_up(owner.id)
                if principal.read.key != owner.read.key or principal.expires != owner.expires:
                    self._apply(subscriber, principal)
            except Problem as problem:
                end(subscriber, problem)


def owner_of(subscriber: Subscriber) -> Principal:
    """The principal that owns the stream."""
    owner = subscriber.owner
    return owner if isinstance(owner, Principal) else ANYONE


def end(subscriber: Subscriber, problem: Problem) -> None:
    """End a stream with this problem as the reason."""
    ending = Ending(problem.code, problem.close_code, message=problem.detail)
    subscriber.carrier.end(ending)
