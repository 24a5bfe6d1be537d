"""Appends that wait to be sent to the server in groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import trio

from pushsvc.core.storage.entry import Draft
from pushsvc.journal.codec import encode
from pushsvc.journal.valkey.scripts import Part

_GROUP_BYTES = 1024 * 1024
_GROUP_DRAFTS = 1_000
"""The most that is sent in one step; but the drafts of one `append` stay together."""
_WAITING_BYTES = 64 * 1024 * 1024
"""The most bytes that wait to be sent; more are refused."""


class Append:
    """The drafts of one `append`, until they are answered."""

    __slots__ = ("bytes", "drafts", "outcome", "parts", "settled", "taken")

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.drafts = drafts
        self.parts: list[Part] = []
        self.bytes = 0
        for draft in drafts:
            body = encode(draft)
            self.parts += (draft.width, draft.nonce, body)
            self.bytes += len(body)
        self.taken = trio.Event()
        self.settled = trio.Event()
        self.outcome: Exception | None = None

    def settle(self, outcome: Exception | None) -> None:
        self.outcome = outcome
        self.taken.set()
        self.settled.set()


class Waiting:
    """Appends that haven't been sent yet, in the order in which they came."""

    def __init__(self) -> None:
        self._appends: deque[Append] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._appends)

    def has_room(self, append: Append) -> bool:
        """Whether this append may wait too; if no other waits, it always may."""
        return self._bytes + append.bytes <= max(_WAITING_BYTES, append.bytes)

    def add(self, append: Append) -> None:
        """Add an append that waits from now on."""
        self._appends.append(append)
        self._bytes += append.bytes

    def withdraw(self, append: Append) -> None:
        """Remove an append, which then won't be sent."""
        self._appends.remove(append)
        self._bytes -= append.bytes

    def take(self) -> list[Append]:
        """Take out the next group to be sent."""
        group: list[Append] = []
        size = drafts = 0
        while self._appends:
            append = self._appends[0]
            size += append.bytes
            drafts += len(append.drafts)
            if group and (size > _GROUP_BYTES or drafts > _GROUP_DRAFTS):
                break
            self._appends.popleft()
            self._bytes -= append.bytes
            append.taken.set()
            group.append(append)
        return group

    def refuse_all(self) -> None:
        """Refuse all that wait, because the journal is closed."""
        while self._appends:
            self._appends.popleft().settle(trio.ClosedResourceError())
        self._bytes = 0
