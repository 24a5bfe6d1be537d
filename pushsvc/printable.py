"""Text from clients that a person reads on a terminal or in a log.

A control character moves a terminal's cursor, changes its window's title or does worse (ECMA-48);
one that sets the direction of writing (UAX 9) shows the following text in another order.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions of writing
    "\u2028\u2029\ud800-\udfff]"  # other ends of lines, and halves of characters
)


def printable(text: str) -> str:
    """The text with each such character escaped as in strings of Python and JSON."""
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
