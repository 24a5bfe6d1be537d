"""How a journal is kept at a server."""

from __future__ import annotations

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    prefix: str = "pushsvc"
    """Keys begin with it, in braces. Two journals at one server have two prefixes."""
    keep_seconds: float = 900.0
    """Entries that are younger are kept, within `keep_bytes`."""
    keep_bytes: int = 256 * 1024 * 1024
    """Bytes of entries, beyond which those before the oldest snapshot that can be spared go."""
    replicas: int = 0
    """Replicas that have an entry before it counts as appended (WAIT)."""
    fsync: bool = False
    """Whether the server, and the replicas, have it on disk by then (WAITAOF, Redis 7.2): with
    `appendfsync always` there, since otherwise that takes up to a second each time."""
    append_wait: float = 2.0
    """Seconds an append waits until it is sent, before it is told to come again."""
    start_wait: float = 0.0
    """Seconds that opening waits for a server that can't be reached; may be infinite."""
