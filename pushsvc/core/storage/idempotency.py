"""Idempotency keys: a batch that comes twice must count once, whichever processes it comes to.
Whether it came before is decided when its entry is taken in, in the order of the log."""

from __future__ import annotations

import msgspec

from pushsvc.errors import Rejected

SECONDS = 300.0
"""How long a key is remembered, by the journal's clock."""


class IdempotencyKey(msgspec.Struct, frozen=True, array_like=True):
    """What became of a batch with a key."""

    key: bytes
    mark: bytes
    """16 bytes that tell its body from others."""
    stamp: float
    """When it was appended, in seconds."""
    samples: int
    seq: int
    """The last of its seqs."""


class IdempotencyKeys:
    """The keys of the last five minutes."""

    def __init__(self) -> None:
        self._kept: dict[bytes, IdempotencyKey] = {}  # in the order of their stamps

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes, mark: bytes, stamp: float) -> IdempotencyKey | None:
        """What became of the batch that came with this key before, if one did.

        Raises Rejected where it had another body.
        """
        self._expire(stamp)
        kept = self._kept.get(key)
        if kept is not None and kept.mark != mark:
            raise Rejected(
                "idempotency_key", "this Idempotency-Key was used with another body before"
            )
        return kept

    def keep(self, kept: IdempotencyKey) -> None:
        self._kept[kept.key] = kept

    def dump(self) -> list[IdempotencyKey]:
        """All of them, for `load`."""
        return list(self._kept.values())

    def load(self, kept: list[IdempotencyKey]) -> None:
        self._kept = {one.key: one for one in kept}

    def _expire(self, stamp: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.stamp > stamp - SECONDS:
                return
            del self._kept[oldest.key]
