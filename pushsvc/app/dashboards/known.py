"""What was decided on requests that came before, so that it is decided once for all that are equal.

After a restart, or when a network comes back, thousands of clients send the same bytes but for the
key of a WebSocket's handshake, and each client sends what it sent the last time. What depends on
more than these bytes, the peer's address and the configuration is looked at each time: room, keys
and tokens that may have changed or expired, and cursors that may be ahead.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from pushsvc.app.dashboards.answer import Answer
from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.auth.access import AccessDecision

MOST: Final = 4096
"""Requests that are known, at the most."""
MOST_ASKED: Final = 1 << 20
"""Characters of what all of them ask for, at the most: what is parsed of it takes up to fifty times
as many bytes."""
_KEY = re.compile(rb"\r\nsec-websocket-key: ?([A-Za-z0-9+/]{22}==)\r\n", re.IGNORECASE)


class Known(msgspec.Struct, frozen=True):
    """What was decided on a request."""

    decision: AccessDecision
    grounds: object
    """What its token was verified by; see `Access.stands`."""
    stream: StreamRequest
    answer: Answer


class KnownRequests:
    """The decisions on requests that came lately, by what their bytes come to.

    A hash and not the bytes, as these may contain tokens, and needn't be kept. None is forgotten
    for its age: who comes back after an hour without a network is one of a crowd.
    """

    def __init__(self) -> None:
        # Those of the older half are forgotten together, and those of them that came again are
        # among the newer ones by then.
        self._newer: dict[bytes, Known] = {}
        self._older: dict[bytes, Known] = {}
        self._asked = 0  # by the newer ones

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def find(self, name: bytes) -> Known | None:
        """What was decided on a request of this name."""
        known = self._newer.get(name)
        if known is None and (known := self._older.get(name)) is not None:
            self.learn(name, known)
        return known

    def learn(self, name: bytes, known: Known) -> None:
        """Remember what was decided on a request of this name."""
        asked = sum(map(len, known.stream.spec.select))
        if len(self._newer) >= MOST // 2 or self._asked + asked > MOST_ASKED // 2:
            self._newer, self._older, self._asked = {}, self._newer, 0
        self._newer[name] = known
        self._asked += asked


def name_of(data: bytes, peer: str) -> tuple[bytes, bytes]:
    """A name for all requests that equal this one, which came from `peer`, but for the key of its
    handshake; and that key, if there is one."""
    found = _KEY.search(data)
    if found is None:
        return hashlib.sha256(b"%b\n%b" % (peer.encode(), data)).digest(), b""
    start, end = found.span(1)
    rest = b"%b\n%b%b" % (peer.encode(), data[:start], data[end:])
    return hashlib.sha256(rest).digest(), found[1]
