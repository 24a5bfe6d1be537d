"""Answers to producers, for all ways to publish in the native format."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from pushsvc.core.delivery.documents import CursorText
from pushsvc.core.storage import holdings
from pushsvc.errors import Problem
from pushsvc.ingest.native import Tag

_Watchers: TypeAlias = Annotated[int, Meta(description="How many subscribers watch what was sent.")]


class Applied(msgspec.Struct, frozen=True):
    """What became of a batch: it is applied, not merely queued."""

    applied: int
    """Samples, including those that had been published before."""
    id: CursorText
    watchers: _Watchers

    @classmethod
    def of(cls, applied: holdings.Applied) -> Applied:
        return cls(applied.samples, str(applied.cursor), applied.watchers)


class RefusedLine(msgspec.Struct, frozen=True):
    line: int
    code: str
    detail: str


class UploadReport(msgspec.Struct, frozen=True):
    """How many lines were applied and refused; `errors` has the first hundred refusals."""

    applied: int
    rejected: int
    id: CursorText | None
    watchers: _Watchers
    errors: list[RefusedLine]


class Receipt(msgspec.Struct, frozen=True, tag_field="type", tag="applied"):
    """The answer to an applied message with this tag."""

    tag: Tag
    applied: int
    id: CursorText
    watchers: _Watchers

    @classmethod
    def of(cls, applied: holdings.Applied, tag: Tag) -> Receipt:
        return cls(tag, applied.samples, str(applied.cursor), applied.watchers)


class Refusal(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """Nothing of the message with this tag was applied. With retry_after, it may be sent again
    after so many seconds. Further members say where the error is, or which limit was reached."""

    tag: Tag
    code: str
    message: str
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


def refusal(problem: Problem, tag: Tag) -> dict[str, Any]:
    """A Refusal with all members of its problem, and the tag, if it could be read from the refused
    message."""
    said = Refusal(problem.extra.get("tag", tag), problem.code, problem.detail)
    return {**problem.extra, **msgspec.to_builtins(said)}
