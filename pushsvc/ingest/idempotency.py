"""Requests that may be sent twice and must count once.

The header and its answers are those of draft-ietf-httpapi-idempotency-key-header: a key that comes
again with the same body gets the first answer, one whose first request is still being handled 409,
one that comes with another body 422. Only successful requests are remembered: after a failure the
same request may try again. This module knows the requests that are being handled, and limits how
many are remembered; the log itself makes sure that nothing is applied twice after a restart, or by
another process (`core/storage/idempotency.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

from pushsvc.core.resources.account import Account
from pushsvc.errors import Conflict, Malformed, Overloaded, Rejected, TooMany

_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"|([!#-\[\]-~]{1,255})')
"""A string in the form of RFC 8941 or, as many clients send it, without quotes."""

_OF_FREE = 4
"""How many keys a producer may have for each free place."""

_Answer = TypeVar("_Answer")


def read_key(header: str) -> str:
    """The key in an `Idempotency-Key` header. Raises Malformed."""
    match = _KEY.fullmatch(header.strip())
    if match is None:
        raise Malformed(
            "idempotency_key",
            'an Idempotency-Key is a string of 1 to 255 printable ASCII characters: "8e03978e"',
        )
    return match[1] or match[2]


def fingerprint(body: bytes, media_type: str) -> bytes:
    """A hash that tells bodies apart."""
    return hashlib.blake2b(body, digest_size=16, person=media_type.encode()[:16]).digest()


@dataclass(slots=True)
class _Entry(Generic[_Answer]):
    fingerprint: bytes
    answer: _Answer
    expires: float
    producer: Account


class Answers(Generic[_Answer]):
    """The answers of the last `seconds`, by key: `most` of them at most.

    One producer alone may have four fifths of that, two have four ninths each, and so on: nobody
    may have more than four times what is free, so that there is room for producers that come later
    (dynamic thresholds: Choudhury and Hahne, 1998). `now` is seconds of any steady clock.
    """

    def __init__(self, most: int, seconds: float = 300.0) -> None:
        self._most = most
        self._seconds = seconds
        self._given: dict[str, _Entry[_Answer]] = {}  # in the order in which they expire
        self._pending: dict[str, tuple[bytes, Account]] = {}
        self._held: Counter[Account] = Counter()

    def __len__(self) -> int:
        return len(self._given) + len(self._pending)

    def begin(self, key: str, body: bytes, producer: Account, now: float) -> _Answer | None:
        """The first answer to this key; None if the request is the first, to be done now and then
        ended with `give` or `forget`. `body` is its fingerprint.

        Raises Conflict while the first is under way, Rejected for another body, and where there is
        no room for a new key TooMany, if the producer has its share, or Overloaded: then nothing
        may be applied under it.
        """
        self._expire(now)
        entry = self._given.get(key)
        known = self._pending.get(key, (None,))[0] if entry is None else entry.fingerprint
        if known is not None and known != body:
            raise Rejected(
                "idempotency_key", "this Idempotency-Key was used with another body before"
            )
        if entry is not None:
            return entry.answer
        if known is not None:
            raise Conflict(
                "idempotency_key",
                "a request with this Idempotency-Key is under way; its answer can be had when it "
                "is done",
                retry_after=1.0,
            )
        if len(self) >= self._most:
            raise Overloaded(
                "idempotency_keys",
                f"{self._most} keys are remembered, the limit (limits.idempotency_keys); nothing "
                "was applied",
                retry_after=self._soonest(now),
                limit="idempotency_keys",
            )
        if self._held[producer] >= _OF_FREE * (self._most - len(self)):
            raise TooMany(
                "idempotency_keys",
                f"{self._held[producer]} keys are remembered of {producer.whose}, which is its "
                "share of limits.idempotency_keys; nothing was applied",
                retry_after=self._soonest(now),
                limit="idempotency_keys",
                **producer.members,
            )
        self._pending[key] = body, producer
        self._held[producer] += 1
        return None

    def give(self, key: str, answer: _Answer, now: float) -> None:
        """The request was applied: repetitions within the time get this answer."""
        body, producer = self._pending.pop(key)
        self._given[key] = _Entry(body, answer, now + self._seconds, producer)

    def forget(self, key: str) -> None:
        """The request failed, and nothing was applied."""
        if (pending := self._pending.pop(key, None)) is not None:
            self._release(pending[1])

    def _release(self, producer: Account) -> None:
        self._held[producer] -= 1
        if not self._held[producer]:
            del self._held[producer]

    def _expire(self, now: float) -> None:
        while self._given:
            key, entry = next(iter(self._given.items()))
            if entry.expires > now:
                return
            del self._given[key]
            self._release(entry.producer)

    def _soonest(self, now: float) -> float:
        """Seconds until there is room again."""
        for entry in self._given.values():
            return max(1.0, entry.expires - now)
        return 1.0
