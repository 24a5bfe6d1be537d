"""Whose share something is taken off: an identity's where there is one, else an address's."""

from __future__ import annotations

from typing import Any

import msgspec


class Account(msgspec.Struct, frozen=True):
    """Somebody with a share of what there is.

    An identity is one that was verified, wherever it comes from: neighbours behind the same address
    have shares of their own. Whoever shows none shares with all others at its address.
    """

    name: str
    """What the token is for, or the address; empty where there is neither, and nothing counts."""
    identified: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """For machines: `identity` or `address`."""
        return "identity" if self.identified else "address"

    @property
    def whose(self) -> str:
        """Who it is, for a sentence."""
        if self.identified:
            return f"all who have the tokens of {self.name[:200]!r}"
        return f"all without a token at the address {self.name}"

    @property
    def advice(self) -> str:
        """How others get out of it, as the end of a sentence; empty where they aren't in it."""
        if self.identified:
            return ""
        return (
            "; whoever has a token has a share of its own (auth.mode), and so has each client of a "
            "proxy that is named in web.trusted_proxies"
        )

    @property
    def members(self) -> dict[str, Any]:
        """What a problem document says of it."""
        return {"account": self.name, "account_kind": self.kind}


NOBODY = Account("")
"""Who can't be told from others, and isn't limited as one."""
