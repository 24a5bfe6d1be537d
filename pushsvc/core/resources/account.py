"""The account that usage counts against: that of an identity if a token was shown, else that of an
address."""

from __future__ import annotations

from typing import Any

import msgspec


class Account(msgspec.Struct, frozen=True):
    """The holder of a share of a limit.

    An identity is one that was verified, from whatever address: neighbours behind the same address
    have shares of their own. Clients without a token share the account of their address.
    """

    name: str
    """The subject of the token, or the address; empty where there is neither, and nothing is
    limited."""
    identified: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """For machines: `identity` or `address`."""
        return "identity" if self.identified else "address"

    @property
    def whose(self) -> str:
        """The holder, as a part of a sentence."""
        if self.identified:
            return f"all who have the tokens of {self.name[:200]!r}"
        return f"all without a token at the address {self.name}"

    @property
    def advice(self) -> str:
        """How others can get an account of their own, as the end of a sentence; empty for an
        identity."""
        if self.identified:
            return ""
        return (
            "; whoever has a token has a share of its own (auth.mode), and so has each client of a "
            "proxy that is named in web.trusted_proxies"
        )

    @property
    def members(self) -> dict[str, Any]:
        """The members that it adds to a problem document."""
        return {"account": self.name, "account_kind": self.kind}


NOBODY = Account("")
"""For clients that can't be told apart, and so aren't limited together."""
