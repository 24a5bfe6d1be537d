"""Tickets: for clients that can't send a header, such as a browser's own EventSource.

Who has a token gets one, and puts it into a URL. URLs end up in logs and histories, so a ticket is
good once, for half a minute, and for reading only. Tickets are kept in this process: a fleet needs
the request for a ticket and its use to reach the same pod, or a cookie instead.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter, OrderedDict

from pushsvc.auth.principal import Principal
from pushsvc.errors import Overloaded, TooMany, Unauthorized

LIFETIME = 30.0
"""Seconds between getting a ticket and using it."""
_MOST = 10_000
"""Unused tickets at a time."""
_MOST_EACH = 100
"""Unused tickets of one principal, so that none takes those of the others."""


class Tickets:
    """Tickets that were given out and not used. Times are seconds of a monotonic clock."""

    def __init__(self, most: int = _MOST, most_each: int = _MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        # Oldest first, since all live equally long; by hash, so that finding one takes the same
        # time however much of it was guessed.
        self._unused: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._unused)

    def issue(self, principal: Principal, now: float) -> str:
        """A new ticket. Raises TooMany beyond what one may have, Overloaded when all are out."""
        self._forget_old(now)
        if self._of[principal.id] >= self._most_each:
            raise TooMany(
                "tickets",
                f"{self._most_each} tickets of {principal.id[:200]!r} are unused: use them, or let "
                "them lapse",
                retry_after=1.0,
            )
        if len(self._unused) >= self._most:
            raise Overloaded("tickets", "too many tickets are unused", retry_after=LIFETIME)
        ticket = secrets.token_urlsafe(32)
        self._unused[_digest(ticket)] = now + LIFETIME, principal
        self._of[principal.id] += 1
        return ticket

    def redeem(self, ticket: str, now: float) -> Principal:
        """Use a ticket up, and tell whose it was. Raises Unauthorized."""
        self._forget_old(now)
        digest = _digest(ticket)
        if digest not in self._unused:
            raise Unauthorized("ticket", "this ticket was used, has lapsed, or never was one")
        return self._remove(digest)

    def _forget_old(self, now: float) -> None:
        while self._unused:
            digest, (until, _) = next(iter(self._unused.items()))
            if now < until:
                return
            self._remove(digest)

    def _remove(self, digest: bytes) -> Principal:
        _, principal = self._unused.pop(digest)
        self._of[principal.id] -= 1
        if not self._of[principal.id]:
            del self._of[principal.id]
        return principal


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).digest()
