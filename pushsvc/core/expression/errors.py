"""Errors of expressions that are worked out."""

from __future__ import annotations


class EvaluationError(Exception):
    """An expression has no result at this step, for instance because two results would have the
    same labels."""


class TooMuch(EvaluationError):
    """An expression would read more than a limit allows."""

    def __init__(self, limit: str, most: int, what: str) -> None:
        super().__init__(f"the query would read more than {most} {what} (limits.{limit})")
        self.limit = limit
