"""Options of a journal at a server."""

from __future__ import annotations

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    prefix: str = "pushsvc"
    """Keys begin with it, in braces. Two journals at one server need different prefixes."""
    keep_seconds: float = 900.0
    """Entries younger than this are kept, within `keep_bytes`."""
    keep_bytes: int = 256 * 1024 * 1024
    """Beyond this many bytes of entries, the oldest are dropped, up to a snapshot."""
    replicas: int = 0
    """How many replicas must have an entry before it counts as appended (WAIT)."""
    fsync: bool = False
    """Whether the server and the replicas must have it on disk too (WAITAOF, Redis 7.2). Set
    `appendfsync always` there: otherwise each append takes up to a second."""
    append_wait: float = 2.0
    """Seconds that an append waits to be sent, before it is refused."""
    start_wait: float = 0.0
    """Seconds that opening waits for a server that can't be reached; may be infinite."""
