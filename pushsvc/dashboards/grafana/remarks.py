"""The list of what could not be converted, with the panel or variable that it belongs to."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

MOST: Final = 1_000
"""The most remarks that are listed; more are only counted."""


class LeftOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that the imported dashboard doesn't have, or has otherwise."""

    where: Annotated[str, Meta(description="The panel or variable, by its title, or `dashboard`.")]
    reason: str
    panel: (
        Annotated[str, Meta(description="Its id, where the panel itself was taken.")] | UnsetType
    ) = UNSET


class Remarks:
    """Collects what could not be converted, each thing once."""

    def __init__(self) -> None:
        self._found: dict[LeftOut, None] = {}
        self._more = 0

    def add(self, where: str, reason: str, panel: str | UnsetType = UNSET) -> None:
        one = LeftOut(where, reason, panel)
        if len(self._found) < MOST:
            self._found[one] = None
        elif one not in self._found:
            self._more += 1

    def listed(self) -> list[LeftOut]:
        rest = [LeftOut("dashboard", f"and {self._more} more things")] if self._more else []
        return [*self._found, *rest]
