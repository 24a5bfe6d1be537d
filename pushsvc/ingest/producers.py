"""Who sends: since when, how much, and what of it was refused.

It is what one process has seen since its start, for people who look for what is missing on a
dashboard. Nothing is decided by it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from pushsvc.core.resources.account import Account
from pushsvc.ingest.refusals import Refusals
from pushsvc.printable import printable

_KNOWN = 1_000
"""Producers that are remembered; those that were silent for the longest are forgotten."""
_AGENTS = 16
"""User agents told apart for one account and format. More are one producer, so that somebody who
invents them makes nobody else be forgotten."""
_OTHER_AGENTS = "(other user agents)"
_TEXT = 240
"""Characters of a name, a user agent or an error."""
_RATE_SECONDS = 60.0
"""The rate is that of about the last minute."""


class Sender(NamedTuple):
    """Whom a request is from."""

    account: Account
    agent: str = ""
    """What it calls itself, by its User-Agent; empty if it doesn't."""
    address: str = ""


class LastError(NamedTuple):
    at_ms: int
    code: str
    message: str


class Producer:
    """One that sends: a format, an account and a user agent."""

    __slots__ = (
        "_at",
        "_weight",
        "account",
        "address",
        "agent",
        "error",
        "first_ms",
        "format",
        "last_ms",
        "refused",
        "refused_requests",
        "requests",
        "samples",
    )

    def __init__(self, format_: str, account: Account, agent: str, now_ms: int) -> None:
        self.format = format_
        self.account = account
        self.agent = agent
        self.address = ""
        """Where its last request was from."""
        self.first_ms = now_ms
        self.last_ms = now_ms
        """When it sent something last, be it refused."""
        self.requests = 0
        """Requests, messages or datagrams, those that were refused among them."""
        self.samples = 0
        """Samples that were applied."""
        self.refused = 0
        """Samples, lines or points that were refused, of requests of which the rest was applied."""
        self.refused_requests = 0
        """Requests that were refused whole."""
        self.error: LastError | None = None
        self._weight = 0.0
        self._at = now_ms

    def add(self, samples: int, now_ms: int) -> None:
        self.samples += samples
        self._weight = self._faded(now_ms) + samples
        self._at = now_ms

    def rate(self, now_ms: int) -> float:
        """Samples a second, of about the last minute or of as long as it has been there."""
        now_ms = max(now_ms, self._at)  # the clock may have been put back
        there = (now_ms - self.first_ms) / 1000
        # Of a producer that has just come, less has faded than of one that was always there.
        share = 1.0 - math.exp(-max(there, 1.0) / _RATE_SECONDS)
        return self._faded(now_ms) / (_RATE_SECONDS * share)

    def _faded(self, now_ms: int) -> float:
        return self._weight * math.exp(min(0, self._at - now_ms) / 1000 / _RATE_SECONDS)


class Producers:
    """All that are known, within bounds. Times are Unix milliseconds."""

    def __init__(self, most: int = _KNOWN) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, Account, str], Producer] = OrderedDict()
        self._agents: dict[tuple[str, Account], int] = {}
        self.forgotten = 0
        """How many had to make room."""

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Producer]:
        """All of them, the one that sent last first."""
        return reversed(self._known.values())

    def sent(
        self, format_: str, sender: Sender, samples: int, now_ms: int, requests: int = 1
    ) -> None:
        """So many samples of this one were applied."""
        one = self._of(format_, sender, now_ms)
        one.requests += requests
        one.add(samples, now_ms)

    def refused(self, format_: str, sender: Sender, refusals: Refusals, now_ms: int) -> None:
        """A part of what it sent was refused. Whatever was applied is told by `sent`."""
        one = self._of(format_, sender, now_ms)
        one.refused += refusals.count
        for code, (_, reason) in refusals.by_code.items():
            one.error = LastError(now_ms, code, _short(reason))

    def refused_request(
        self, format_: str, sender: Sender, code: str, reason: str, now_ms: int
    ) -> None:
        """All that it sent in one request was refused."""
        one = self._of(format_, sender, now_ms)
        one.requests += 1
        one.refused_requests += 1
        one.error = LastError(now_ms, code, _short(reason))

    def _of(self, format_: str, sender: Sender, now_ms: int) -> Producer:
        account, agent = sender.account, sender.agent
        one = self._known.get((format_, account, agent))
        if one is None:
            one = self._begin(format_, account, _short(agent), now_ms)
        self._known.move_to_end((format_, account, one.agent))
        one.last_ms = now_ms
        one.address = sender.address
        return one

    def _begin(self, format_: str, account: Account, agent: str, now_ms: int) -> Producer:
        key = format_, account, agent
        if key not in self._known and self._agents.get((format_, account), 0) >= _AGENTS:
            key = format_, account, _OTHER_AGENTS
        if (one := self._known.get(key)) is not None:
            return one
        one = self._known[key] = Producer(*key, now_ms)
        self._agents[format_, account] = self._agents.get((format_, account), 0) + 1
        if len(self._known) > self._most:
            self._forget()
        return one

    def _forget(self) -> None:
        (format_, account, _), _ = self._known.popitem(last=False)
        self.forgotten += 1
        left = self._agents.pop((format_, account)) - 1
        if left:
            self._agents[format_, account] = left


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _TEXT else text[:_TEXT] + "…"
