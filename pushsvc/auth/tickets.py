"""Tickets: for clients that can't send a header, such as a browser's own EventSource.

A client that has a token gets a ticket and puts it into a URL. URLs end up in logs and histories,
and an EventSource reconnects with the same URL as long as its page is open. So a ticket can be used
once, within half a minute, for any request that reads. If that request opens a stream of events,
the ticket belongs to that stream, which may come back with it: with the very same query, one stream
at a time, as long as a session of the page may last (`auth.session_seconds`), and no longer than
the token that the ticket was made from. Anyone who finds the URL before that can read what the
stream shows, but ends the stream by doing so.

A ticket is a sealed statement, like a session; with `auth.session_secret` any process can read it.
Its use is noted in the log, where that is kept (`auth.ticket_log`): then any process accepts it.
Otherwise each process remembers uses itself, and a ticket is accepted only by the process that made
it, unless it names a query: such a ticket opens the stream of that query and nothing else, also
after a restart and on every pod. While the log can't be reached, a process decides by what it
remembers itself; its decisions are noted in the log later, and of two streams of one ticket all but
the last are ended then.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pushsvc.auth.principal import Principal
from pushsvc.auth.sessions import Claims, Sessions
from pushsvc.auth.ticket_log import TicketLog, Use, digest
from pushsvc.errors import Overloaded, Rejected, TooMany, Unauthorized

LIFETIME: Final = 30.0
"""Seconds within which a ticket must be used."""
_MOST: Final = 10_000
"""Unused tickets at a time."""
_MOST_EACH: Final = 100
"""Unused tickets of one principal, so that none takes those of the others."""
_MOST_USED: Final = 50_000
"""Used tickets that are remembered, some 20 MB; at most half of them are of one principal."""
_SKEW: Final = 60.0
"""Seconds by which the clocks of processes may differ."""
_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}
_MOST_BYTES: Final = 3800
"""Of a ticket: proxies take URLs of some kilobytes."""


class _Sealed(msgspec.Struct, forbid_unknown_fields=True):
    by: str
    """The process that made it."""
    name: str
    claims: Claims
    query: str | None = None
    """The query of the only stream that it is for, as `plain_query` has it."""

    until: float = 0.0
    """When it must have been used, Unix seconds."""


class FirstUse(Exception):
    """A ticket is to be used of which no use is known; the log has to say whether it is the
    first."""

    def __init__(self, sealed: _Sealed, stream: bytes | None) -> None:
        super().__init__("the log is to be asked")
        self.sealed = sealed
        self.stream = stream

    @property
    def until(self) -> float:
        """Until when its use must be remembered, since it could be used again (Unix seconds)."""
        if self.stream is None and self.sealed.query is None and self.sealed.until:
            return self.sealed.until + _SKEW
        return self.sealed.claims.exp


def plain_query(query: str) -> str:
    """A stream's query without its ticket, in a normal form."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode(sorted(pair for pair in pairs if pair[0] != "ticket"))


class Tickets:
    """Makes and reads tickets, and remembers their uses. Times are Unix seconds."""

    def __init__(
        self,
        sessions: Sessions,
        most: int = _MOST,
        most_each: int = _MOST_EACH,
        most_used: int = _MOST_USED,
    ) -> None:
        """`sessions` says how long a stream may go on, and who owns it."""
        self._sessions = sessions
        self._key = OctKey.import_key(sessions.key_for(b"tickets"))
        self._most = most
        self._most_each = most_each
        self._most_used = most_used
        self._process = secrets.token_urlsafe(9)
        # By name, oldest first: all live equally long.
        self._unused: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._of: Counter[str] = Counter()
        # Least recently used first.
        self._used: OrderedDict[str, tuple[float, str, Use]] = OrderedDict()
        self._used_of: Counter[str] = Counter()
        self._log: TicketLog | None = None
        self._won: set[str] = set()  # tickets whose first use was settled, until `redeem`

    def share(self, log: TicketLog) -> None:
        """Keep the uses of tickets in the log."""
        self._log = log

    def __len__(self) -> int:
        """The number of unused tickets."""
        return len(self._unused)

    def issue(
        self, principal: Principal, now: float, query: str | None = None
    ) -> tuple[str, float]:
        """A new ticket, and until when a stream may come back with it; with a `query` it is for
        that stream only. Raises TooMany beyond the limit of one principal, Overloaded at the limit
        of all, Rejected if its grants don't fit into a ticket."""
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
        claims = self._sessions.claims(principal, now)
        wanted = None if query is None else plain_query(query)
        sealed = _Sealed(self._process, secrets.token_urlsafe(18), claims, wanted, now + LIFETIME)
        ticket = jwe.encrypt_compact(_HEADER, msgspec.json.encode(sealed), self._key)
        if len(ticket) > _MOST_BYTES:
            raise Rejected(
                "ticket", "what the token grants and the query are more than a ticket has room for"
            )
        self._unused[sealed.name] = now + LIFETIME, principal.id
        self._of[principal.id] += 1
        return ticket, claims.exp

    def redeem(self, ticket: str, now: float, stream: str | None = None) -> Principal:
        """Use a ticket, and return its principal. `stream` is the query of a request for a stream
        of events, None for any other request. Raises Unauthorized, and FirstUse where `settle` has
        to be called first."""
        self._forget_old(now)
        sealed = self._open(ticket)
        if now >= sealed.claims.exp:
            raise _refusal()
        if sealed.query is not None and (stream is None or plain_query(stream) != sealed.query):
            raise _refusal()
        wanted = None if stream is None else digest(stream)
        if sealed.name in self._won:
            self._won.remove(sealed.name)
        elif (use := self._find(sealed.name)) is None:
            if not self._may_begin(sealed, now):
                raise _refusal()
            if self._log is not None:
                raise FirstUse(sealed, wanted)
            self._begin(sealed, wanted)
        elif wanted is None or use.stream != wanted:
            raise _refusal()
        elif self._log is not None:
            self._log.hold(sealed.name, use, sealed.claims.exp)
        if sealed.name in self._used:
            self._used.move_to_end(sealed.name)
        principal = self._sessions.restore(sealed.claims, now)
        carried = None if stream is None else sealed.name
        return msgspec.structs.replace(principal, operator=False, ticket=carried)

    async def settle(self, first: FirstUse) -> None:
        """Have the log say whether a use is the first. If it is, call `redeem` right after this."""
        assert self._log is not None
        sealed = first.sealed
        owner = digest(sealed.claims.sub)
        begun = await self._log.begin(sealed.name, first.stream, owner, first.until)
        # If the log doesn't answer, the first use in this process counts as the first.
        if begun or (begun is None and self._find(sealed.name) is None):
            self._begin(sealed, first.stream)
            self._won.add(sealed.name)

    def _find(self, name: str) -> Use | None:
        """The known use of a ticket, if there is one."""
        if self._log is not None and (use := self._log.find(name)) is not None:
            return use
        return self._used[name][2] if name in self._used else None

    def _may_begin(self, sealed: _Sealed, now: float) -> bool:
        """Whether a ticket without a known use may be used."""
        if sealed.name in self._unused:
            return True
        # Another process made it, or this one before its restart. Its uses were known to the log or
        # to that process: here only the ticket's own statements can be checked.
        if sealed.by == self._process:
            return False
        return sealed.query is not None or (self._log is not None and now < sealed.until)

    def _begin(self, sealed: _Sealed, stream: bytes | None) -> None:
        if sealed.name in self._unused:
            _, owner = self._unused.pop(sealed.name)
            self._let_go(self._of, owner)
        owner = sealed.claims.sub
        if sealed.name not in self._used:
            self._remember(sealed.name, sealed.claims.exp, owner, Use(stream, digest(owner)))

    def _open(self, ticket: str) -> _Sealed:
        try:
            plain = jwe.decrypt_compact(ticket.encode("ascii"), self._key).plaintext or b""
            return msgspec.json.decode(plain, type=_Sealed)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise _refusal() from None

    def _remember(self, name: str, until: float, owner: str, use: Use) -> None:
        if self._used_of[owner] >= self._most_used // 2:
            self._forget(next(n for n, other in self._used.items() if other[1] == owner))
        elif len(self._used) >= self._most_used:
            self._forget(next(iter(self._used)))
        self._used[name] = until, owner, use
        self._used_of[owner] += 1

    def _forget(self, name: str) -> None:
        self._let_go(self._used_of, self._used.pop(name)[1])

    def _forget_old(self, now: float) -> None:
        while self._unused:
            name, (until, owner) = next(iter(self._unused.items()))
            if now < until:
                break
            del self._unused[name]
            self._let_go(self._of, owner)
        while self._used:
            name, (until, _, _) = next(iter(self._used.items()))
            if now < until:
                return
            self._forget(name)

    @staticmethod
    def _let_go(counts: Counter[str], owner: str) -> None:
        counts[owner] -= 1
        if not counts[owner]:
            del counts[owner]


def _refusal() -> Unauthorized:
    return Unauthorized(
        "ticket", "this ticket was used for something else, has lapsed, or never was one"
    )
