"""How bytes reach a subscriber's client, and how that ends."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Ending(msgspec.Struct, frozen=True):
    """Why the server ends a subscriber, and what its client is told."""

    reason: str
    """A slug for logs and metrics: `drain`, `stalled`, `refused`."""
    close_code: int
    retry_ms: int | None = None
    """When to come back, for a `goaway`."""
    message: str = ""
    flush: bool = False
    """Whether the client is first given everything up to now."""


class Carrier(Protocol):
    """How bytes reach a subscriber. Both calls are synchronous and never block."""

    def wake(self) -> None:
        """There may be something to pull. Called by the hub, once per tick at most."""

    def end(self, ending: Ending) -> None:
        """Tell the client why and close, at once if the client takes no bytes. Further calls do
        nothing."""

    def stalled_since(self) -> float | None:
        """When the client stopped taking bytes (monotonic seconds); None while it takes them."""

    def abort(self) -> None:
        """Cut the connection without sending anything more."""
