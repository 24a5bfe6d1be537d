"""Who asks: what a token, a key or a session comes down to."""

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
    """What an issuer grants, as it writes it: PromQL selectors. What isn't granted is denied."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    operator: bool = False
    """May look at `/metrics` and `/v1/subscribers`, which tell of everyone, and save dashboards,
    which everyone is shown."""


class Principal(msgspec.Struct, frozen=True, eq=False):
    """Who asks. `id` is the same for all tokens of one subject: limits and renewals go by it."""

    id: str
    read: Scope
    write: Scope
    operator: bool = False
    expires: float | None = None
    """Unix seconds after which it is nobody any more; None if it lasts."""
    stranger: bool = False
    """Whether nothing was shown that says who it is: limits go by its address then."""
    ticket: str | None = None
    """The name of the ticket that its stream came with, which carries one at a time."""

    @property
    def readable(self) -> tuple[str, ...]:
        """The selectors it may read, as text."""
        return _ALL if self.read.key is None else self.read.key


_ALL: Final = (EVERY_SERIES,)

ANYONE: Final = Principal("anyone", EVERYTHING, EVERYTHING, operator=True, stranger=True)
"""Who asks where access is not controlled."""
NO_ONE: Final = Principal("nobody", NOTHING, NOTHING, stranger=True)
"""Who asks for what needs no token, where access is controlled."""


def account(principal: Principal, address: str) -> Account:
    """Whose limits count for a request of this principal from this address."""
    if principal.stranger:
        return _account_of_address(address)
    return _account_of_identity(principal.id)


@lru_cache(4096)
def _account_of_address(address: str) -> Account:
    # Kept, as those of identities: who has a thousand streams needs one account for all of them.
    return Account(group(address))


@lru_cache(4096)
def _account_of_identity(subject: str) -> Account:
    return Account(subject, identified=True)


def principal_of(subject: str, grants: Grants, expires: float | None = None) -> Principal:
    """Raises SelectorError for a selector that can't be read, ValueError for too many of them."""
    return Principal(subject, _scope(grants.read), _scope(grants.write), grants.operator, expires)


@lru_cache(4096)
def _scope(selectors: tuple[str, ...]) -> Scope:
    # Kept, since a tenant's tokens all grant the same.
    if len(selectors) > _MOST_SELECTORS:
        raise ValueError(f"{len(selectors)} selectors are granted, {_MOST_SELECTORS} are allowed")
    return scope_of(parse(text) for text in selectors)
