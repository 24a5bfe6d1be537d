"""The condition on which a dashboard is replaced (RFC 9110 section 13, RFC 6585 section 3)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pushsvc.errors import Malformed, PreconditionFailed, PreconditionRequired

_TAGS: Final = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


class Precondition(msgspec.Struct, frozen=True):
    """`tags` are the versions it may have; None: any version. `absent`: there is to be none."""

    tags: frozenset[str] | None
    absent: bool = False

    def hold(self, etag: str | None, modified: int | None) -> None:
        """Raise PreconditionFailed unless the condition holds for the present version. `etag` is
        None if there is none, and empty for a broken file, which only `*` replaces."""
        if self.absent:
            if etag is None:
                return
            detail = "there is a dashboard of this name"
        elif etag is None:
            detail = "the dashboard was deleted"
        elif self.tags is None or etag in self.tags:
            return
        else:
            detail = "the dashboard was changed since it was read"
        raise PreconditionFailed("version", detail, etag=etag, modified=modified)


def precondition(if_match: str | None, if_none_match: str | None) -> Precondition:
    """Parse the header fields. Raises Malformed, PreconditionRequired if there are none.

    A weak tag never matches, as RFC 9110 section 13.1.1 says for If-Match.
    """
    if if_match is not None and if_none_match is not None:
        raise Malformed("precondition", "say If-Match or If-None-Match, not both")
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise Malformed("precondition", "If-None-Match takes * here: create it if it is new")
        return Precondition(frozenset(), absent=True)
    if if_match is None:
        raise PreconditionRequired(
            "precondition",
            "say what is replaced: If-Match with the ETag that was read, or If-None-Match: *",
        )
    if if_match.strip() == "*":
        return Precondition(None)
    if _TAGS.fullmatch(if_match) is None:
        raise Malformed("precondition", "If-Match takes entity tags in quotes, with commas, or *")
    return Precondition(frozenset(_TAG.findall(if_match)))
