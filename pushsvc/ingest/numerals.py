"""Numbers as text."""

from __future__ import annotations

_ODD = frozenset(b"_ \t\r\v\f")


def plain_number(text: bytes) -> float | None:
    """The number; None if it isn't one, isn't finite, or isn't written in the plainest form."""
    try:
        value = float(text)
    except ValueError:
        return None
    # Python's numbers may have underscores and space around them.
    return value if value - value == 0.0 and _ODD.isdisjoint(text) else None
