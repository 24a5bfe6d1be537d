"""The journal: the ordered log of batches. It gives each its seq, and may keep it."""

from __future__ import annotations

from typing import Protocol

from pushsvc.core.series import Batch


class Journal(Protocol):
    """Orders batches.

    Seqs grow by one with each batch of an epoch. A batch counts as accepted when `append` has
    returned; whoever appends then applies it to the hub before appending the next.
    """

    @property
    def epoch(self) -> str:
        """The name of this run of seqs; another run never has the same."""
        ...

    async def append(self, batch: Batch) -> int:
        """Put a batch at the end and return its seq. Always checkpoints.

        Raises Overloaded while the journal can't take it; the batch is then not in it.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what the journal holds; afterwards nothing may be appended. Idempotent."""
        ...
