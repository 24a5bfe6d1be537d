"""Searching names, with results in an order that suits people."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection

_DIGITS = re.compile("([0-9]+)")


def search(names: Collection[str], wanted: str, limit: int | None) -> tuple[list[str], int]:
    """The first `limit` (all if None) of the names that contain `wanted`, and how many do.

    Case doesn't matter. Names that begin with it come first; otherwise they are in alphabetical
    order, with numbers compared by value: `host2` before `host10`.
    """
    folded = wanted.casefold()
    found = [name for name in names if folded in name.casefold()] if folded else list(names)

    def order(name: str) -> tuple[bool, list[tuple[int, str]], str]:
        parts = _DIGITS.split(name.casefold())
        # Texts and numbers alternate; of two numbers the one with more digits is larger.
        numbered = [part.lstrip("0") if at % 2 else part for at, part in enumerate(parts)]
        counted = [(len(part) if at % 2 else 0, part) for at, part in enumerate(numbered)]
        return not name.casefold().startswith(folded), counted, name

    if limit is None or limit >= len(found):
        return sorted(found, key=order), len(found)
    return heapq.nsmallest(limit, found, key=order), len(found)
