"""The principal of a request, which every kind of token leads to."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from pushsvc.core.query.scope import EVERYTHING, NOTHING, Scope, scope_of
from pushsvc.core.query.selector import EVERY_SERIES, parse
from pushsvc.core.resources.account import Account
from pushsvc.listen.address import group

_MOST_SELECTORS: Final = 32
"""Selectors in one grant: each is matched against every new series."""


class Grants(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an issuer grants, as it writes it: PromQL selectors. Everything else is denied."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    operator: bool = False
    """May read `/metrics`, `/v1/producers` and `/v1/subscribers`, which are about all clients, and
    save dashboards, which everyone sees."""


class Principal(msgspec.Struct, frozen=True, eq=False):
    """The one who makes a request. `id` is the same for all tokens of one subject, and limits and
    renewals go by it."""

    id: str
    read: Scope
    write: Scope
    operator: bool = False
    expires: float | None = None
    """Unix seconds after which its token is invalid; None if it doesn't expire."""
    stranger: bool = False
    """Whether no token was presented; limits then go by the address."""
    ticket: str | None = None
    """The name of the ticket that its stream came with; a ticket carries one stream at a time."""

    @property
    def readable(self) -> tuple[str, ...]:
        """The selectors it may read, as text."""
        return _ALL if self.read.key is None else self.read.key


_ALL: Final = (EVERY_SERIES,)

ANYONE: Final = Principal("anyone", EVERYTHING, EVERYTHING, operator=True, stranger=True)
"""The principal of all requests where access isn't controlled."""
NO_ONE: Final = Principal("nobody", NOTHING, NOTHING, stranger=True)
"""The principal of requests that need no token, where access is controlled."""


def account(principal: Principal, address: str) -> Account:
    """Whose limits count for a request of this principal from this address."""
    if principal.stranger:
        return _account_of_address(address)
    return _account_of_identity(principal.id)


@lru_cache(4096)
def _account_of_address(address: str) -> Account:
    # Cached, like those of identities: someone with a thousand streams needs one account for all.
    return Account(group(address))


@lru_cache(4096)
def _account_of_identity(subject: str) -> Account:
    return Account(subject, identified=True)


def principal_of(subject: str, grants: Grants, expires: float | None = None) -> Principal:
    """Raises SelectorError for a selector that can't be read, ValueError for too many of them."""
    return Principal(subject, _scope(grants.read), _scope(grants.write), grants.operator, expires)


@lru_cache(4096)
def _scope(selectors: tuple[str, ...]) -> Scope:
    # Cached, since all tokens of a tenant grant the same.
    if len(selectors) > _MOST_SELECTORS:
        raise ValueError(f"{len(selectors)} selectors are granted, {_MOST_SELECTORS} are allowed")
    return scope_of(parse(text) for text in selectors)
