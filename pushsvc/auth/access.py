"""The one place that decides who a request is from, and whether it is allowed.

`admit` is called before any route runs, and by the fast paths before they answer: the same request
gets the same decision everywhere. What a principal may read is later applied to everything that is
shown to it (`ViewSpec.within`, `Catalog.select`); what it may write is checked here, series by
series.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from sys import intern
from typing import Final, TypeVar

import msgspec

from pushsvc.auth.credentials import Cookie, Credential, Way, find
from pushsvc.auth.jwt import UnknownKey, Verifier
from pushsvc.auth.keys import KeyRing
from pushsvc.auth.origins import SAFE_METHODS, Origins
from pushsvc.auth.principal import ANYONE, NO_ONE, Principal, account
from pushsvc.auth.proxies import UNIX, Client, Proxies, is_loopback
from pushsvc.auth.sessions import Sessions
from pushsvc.auth.tickets import FirstUse, Tickets
from pushsvc.core.model.series import Batch, Identity
from pushsvc.core.resources.account import Account
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Forbidden, Overloaded, Problem, Unauthorized, Unknown
from pushsvc.listen.address import group
from pushsvc.log import get_logger

_Result = TypeVar("_Result")

_log = get_logger("pushsvc.auth")

_FORWARDED: Final = frozenset(
    ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
)
"""Headers that only a proxy has a reason to write."""
_UNCONTROLLED: Final = 12 * 3600.0
"""Seconds that tickets last where there are no sessions, as access isn't controlled."""
_MOST_AGENT: Final = 240
"""Characters of a User-Agent that are kept."""
_NAMED: Final = 20
"""Refused series that an answer lists."""


class Need(StrEnum):
    """What a request needs from its principal."""

    NOTHING = "nothing"
    PROBE = "probe"  # under any Host: a probe knows only an address
    TOKEN = "token"  # noqa: S105 - a token of any sort
    READ = "read"
    WRITE = "write"
    OPERATOR = "operator"


class AccessRequest(msgspec.Struct, frozen=True):
    """The parts of a request that decide whether it is allowed, whatever code has parsed it.

    `headers` have lower-case names; repeated ones are joined with commas, cookies with semicolons.
    """

    method: str
    headers: Mapping[str, str]
    tickets: Sequence[str]
    """Values of the query parameter `ticket`."""
    peer: str
    """The address at the other end of the socket; empty if there is none."""
    scheme: str
    websocket: bool
    query: bytes
    """Of the URL, as it was sent."""
    stream: str | None = None
    """The query, where an EventSource asks for its stream, and may come back with its ticket."""


class AccessDecision(msgspec.Struct, frozen=True, dict=True):
    """The decision on an allowed request: whose it is, and where it is from."""

    principal: Principal
    client: Client
    agent: str = ""
    """What the client calls itself, by the beginning of its User-Agent."""

    @cached_property
    def account(self) -> Account:
        """The account whose limits count for it."""
        return account(self.principal, self.client.address)

    @cached_property
    def address(self) -> str:
        """The address that limits go by."""
        return group(self.client.address)


class Access:
    """Who may do what, in one service. `ANYONE` may do everything where there are no keys of any
    kind."""

    def __init__(
        self,
        *,
        ring: KeyRing | None = None,
        verifier: Verifier | None = None,
        sessions: Sessions | None = None,
        origins: Origins | None = None,
        proxies: Proxies | None = None,
        cookie: Cookie | None = None,
        local_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`local_only` is for a service without access control that only this machine may use."""
        self.ring = ring
        self.verifier = verifier
        self.origins = origins or Origins((), ())
        self.tickets = Tickets(sessions or Sessions("", _UNCONTROLLED, None))
        self.refused: Counter[str] = Counter()
        """The number of refused requests, by code."""
        self._sessions = sessions
        self.proxies = proxies or Proxies(())
        self.cookie = cookie or Cookie()
        """The session cookie."""
        self._local_only = local_only
        self._clock = clock
        self._told = False

    @property
    def controlled(self) -> bool:
        """Whether tokens are required at all."""
        return self.ring is not None or self.verifier is not None

    def key_name(self, subject: str) -> str:
        """What the key of a principal with this id is called; empty where it isn't."""
        return "" if self.ring is None else self.ring.name_of(subject)

    # -- requests ----------------------------------------------------------------------------------

    @property
    def grounds(self) -> object:
        """What tokens are verified by: another object once any key has changed, and None while
        there is nothing."""
        if self.ring is not None:
            return self.ring.grounds
        try:
            return None if self.verifier is None else self.verifier.source.current()
        except Overloaded:
            return None

    def stands(self, decision: AccessDecision, grounds: object) -> bool:
        """Whether a decision by which a request was admitted on these grounds still holds, for
        that request and for any that is equal to it."""
        expires = decision.principal.expires
        return grounds is self.grounds and (expires is None or self._clock() < expires)

    async def admit(self, access_request: AccessRequest, need: Need) -> AccessDecision:
        """Decide on a request. Raises Problem if it is refused.

        This uses a ticket up. Waits for new keys where a token names an unknown one, and for the
        log where that has to decide whether a ticket is used for the first time.
        """
        try:
            try:
                return self.admit_nowait(access_request, need)
            except UnknownKey as unknown:
                assert self.verifier is not None
                await self.verifier.source.wait_refresh(unknown.name)
                return self._settle(lambda: self.admit_nowait(access_request, need))
            except FirstUse as first:
                await self.tickets.settle(first)
                return self._settle(lambda: self.admit_nowait(access_request, need))
        except Problem as problem:
            self.refused[problem.code] += 1
            raise

    def admit_at_once(self, access_request: AccessRequest, need: Need) -> AccessDecision | None:
        """Decide on a request where that needs no waiting, uses nothing up, and the answer needs no
        headers for it; otherwise None, and `admit` is to be called. Raises Problem, uncounted."""
        if access_request.tickets or (
            not access_request.websocket and self.origins.needs_headers(access_request.headers)
        ):
            return None
        try:
            return self.admit_nowait(access_request, need)
        except UnknownKey:
            return None

    def admit_nowait(self, access_request: AccessRequest, need: Need) -> AccessDecision:
        """Like `admit`; raises UnknownKey where new keys may help, FirstUse where the log has to be
        asked."""
        client = self.proxies.client(
            access_request.peer, access_request.scheme, access_request.headers
        )
        if need is Need.PROBE:
            return AccessDecision(ANYONE if not self.controlled else NO_ONE, client)
        if self._local_only:
            if client.peer and not is_loopback(client.peer):
                # Within another program's server, which may listen on any address.
                raise Forbidden(
                    "local_only",
                    f"auth.mode is none, so that only this machine is let in, and {client.peer} is "
                    "another: set auth.mode to keys or jwt, or auth.insecure_no_auth if something "
                    "else keeps strangers out",
                )
            if not self._told:
                self._tell_of_proxy(client, access_request.headers)
            self.origins.refuse_other_names(client, access_request.headers)
        credential = None
        if self.controlled and need is not Need.NOTHING:
            credential = find(access_request.headers, access_request.tickets, self.cookie.name)
        if access_request.websocket or access_request.method not in SAFE_METHODS:
            by_cookie = credential is not None and credential.way is Way.COOKIE
            self.origins.refuse_strangers(client, access_request.headers, by_cookie=by_cookie)
        if need is Need.NOTHING:
            return AccessDecision(ANYONE if not self.controlled else NO_ONE, client)
        return AccessDecision(
            self._permit(self._identify(credential, access_request), need),
            client,
            # The same for many, and kept with each of their streams.
            intern(access_request.headers.get("user-agent", "")[:_MOST_AGENT]),
        )

    def _tell_of_proxy(self, client: Client, headers: Mapping[str, str]) -> None:
        """Log, once, that a proxy forwards requests to a service that trusts every client on this
        machine."""
        if client.believed or not _FORWARDED.isdisjoint(headers):
            self._told = True
            _log.warning(
                "behind a proxy, everyone who reaches it may read and write: auth.mode is none",
                peer=client.peer or UNIX,
                cure="set auth.mode to keys or jwt; or auth.insecure_no_auth, if the proxy asks "
                "who it is",
            )

    def _identify(self, credential: Credential | None, access_request: AccessRequest) -> Principal:
        if not self.controlled:
            return ANYONE
        if credential is None:
            raise Unauthorized("no_token", "this needs a token")
        if credential.way is Way.TICKET:
            return self.tickets.redeem(credential.token, self._clock(), access_request.stream)
        if credential.way is Way.COOKIE:
            if self._sessions is None:
                raise Unauthorized("session", "there are no sessions here")
            return self._sessions.verify(credential.token, self._clock())
        return self.verify(credential.token)

    def verify(self, token: str) -> Principal:
        """Whose token this is. Raises Unauthorized, Overloaded, UnknownKey."""
        if self.ring is not None:
            return self.ring.verify(token, self._clock())
        if self.verifier is not None:
            return self.verifier.verify(token)
        return ANYONE

    def still(self, principal: Principal) -> Principal:
        """The principal as it is now, for streams that go on for long. Raises Unauthorized where
        its token has expired, or its key is gone."""
        now = self._clock()
        if principal.expires is not None and now >= principal.expires:
            raise Unauthorized("token_expired", "the token has expired")
        if self.ring is not None and principal is not ANYONE:
            return self.ring.owner(principal.id, now)
        return principal

    async def verify_patiently(self, token: str) -> Principal:
        """Like `verify`, but waits for new keys where a token names an unknown one."""
        try:
            return self.verify(token)
        except UnknownKey as unknown:
            assert self.verifier is not None
            await self.verifier.source.wait_refresh(unknown.name)
            return self._settle(lambda: self.verify(token))

    @staticmethod
    def _settle(verify: Callable[[], _Result]) -> _Result:
        try:
            return verify()
        except UnknownKey:
            raise Unauthorized("token", "the token is signed with a key that isn't known") from None
        except FirstUse:
            raise Unauthorized("ticket", "this ticket was used by someone else just now") from None

    @staticmethod
    def _permit(principal: Principal, need: Need) -> Principal:
        if need is Need.READ and principal.read.empty:
            raise Forbidden("read_scope", "this token may read nothing")
        if need is Need.WRITE and principal.write.empty:
            raise Forbidden("write_scope", "this token may write nothing")
        if need is Need.OPERATOR and not principal.operator:
            raise Forbidden("operator_scope", "this is for operators, and the token isn't one's")
        return principal

    # -- sessions ----------------------------------------------------------------------------------

    async def log_in(self, token: str) -> tuple[str, float]:
        """A session for the owner of this token, and the seconds until it ends. Raises Problem."""
        if self._sessions is None:
            raise Unknown("login", "access isn't controlled here (auth.mode): nobody logs in")
        try:
            principal = await self.verify_patiently(token)
        except Problem as problem:
            self.refused[problem.code] += 1
            raise
        now = self._clock()
        session, expires = self._sessions.issue(principal, now)
        return session, expires - now

    def issue_ticket(self, principal: Principal, query: str | None = None) -> tuple[str, float]:
        """A ticket for this principal, and for how many seconds a stream may come back with it;
        with a `query`, it is only for the stream of that query. Raises TooMany, Overloaded,
        Rejected."""
        now = self._clock()
        ticket, expires = self.tickets.issue(principal, now, query)
        return ticket, expires - now


# -- writing ---------------------------------------------------------------------------------------


def outside(principal: Principal, batch: Batch) -> list[Identity]:
    """The series of a batch that may not be written."""
    if principal.write.selectors is None:
        return []
    admits = principal.write.admits
    return [rows.identity for rows in batch.rows if not admits(rows.identity)]


def withhold(principal: Principal, batch: Batch) -> tuple[Batch, list[Refused]]:
    """The batch without the series that may not be written, and those series, each with the
    reason."""
    if principal.write.selectors is None:
        return batch, []
    admits = principal.write.admits
    kept, refused = [], []
    for rows in batch.rows:
        if admits(rows.identity):
            kept.append(rows)
        else:
            refused.append(Refused(rows, _outside([rows.identity.text])))
    return Batch(kept), refused


def refuse_outside(principal: Principal, batch: Batch) -> None:
    """Raise Forbidden, with the names of the series, if any series of a batch may not be
    written."""
    refused = outside(principal, batch)
    if refused:
        raise _outside([identity.text for identity in refused])


def _outside(names: list[str]) -> Forbidden:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return Forbidden(
        "write_scope", f"this token may not write {names[0]}{more}", series=names[:_NAMED]
    )
