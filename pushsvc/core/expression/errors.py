"""What an expression is refused for while it is worked out."""

from __future__ import annotations


class EvaluationError(Exception):
    """An expression that has no result at this step, as two results have the same labels."""


class TooMuch(EvaluationError):
    """An expression that would read more than a limit allows."""

    def __init__(self, limit: str, most: int, what: str) -> None:
        super().__init__(f"the query would read more than {most} {what} (limits.{limit})")
        self.limit = limit
