"""Errors of PromQL that can't be read: where the fault is, and what was expected there."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar

from pushsvc.errors import Malformed

_MOST_QUOTED = 4096


class ExpressionError(Malformed):
    """An expression that can't be read; its code is `expression`.

    `position` is the offset of the fault in characters, from 0; `line` and `column` are the same
    place, from 1. `expected` and `found` are '' if it isn't a fault of syntax. `pointer` is for
    terminals: the line of the fault, and a caret under the place on a second line. The problem
    document has a `reason` besides, which says what is wrong without the text and the place.
    """

    subject: ClassVar[str] = "expression"

    def __init__(
        self,
        text: str,
        position: int,
        reason: str,
        hint: str = "",
        *,
        expected: str = "",
        found: str = "",
        **extra: Any,
    ) -> None:
        # A lone surrogate can't be written as UTF-8, so that the answer couldn't be sent.
        text = text.encode("utf-8", "replace").decode()
        self.text = text
        self.position = position
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)
        self.expected = expected
        self.found = found
        self.reason = reason
        self.hint = hint
        self.limits = extra
        self.pointer = _point(text, position)
        why = f": {hint}" if hint else ""
        place = f"column {self.column}"
        if "\n" in text:
            place = f"line {self.line}, {place}"
        if expected:
            extra = {"expected": expected, "found": found, **extra}
        super().__init__(
            self.subject,
            f"{self.subject} {_one_line(text)}: {reason} at {place}{why}",
            **{self.subject: text if len(text) <= _MOST_QUOTED else text[:_MOST_QUOTED] + "…"},
            position=position,
            line=self.line,
            column=self.column,
            pointer=self.pointer,
            reason=reason + why,
            **extra,
        )


class SelectorError(ExpressionError):
    """A selector that can't be read; its code is `selector`."""

    subject = "selector"

    @classmethod
    def of(cls, error: ExpressionError) -> SelectorError:
        """The same error, for a text that had to be a selector."""
        return cls(
            error.text,
            error.position,
            error.reason,
            error.hint,
            expected=error.expected,
            found=error.found,
            **error.limits,
        )


def _one_line(text: str, length: int = 80) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text[: length + 1])
    return (shown if len(shown) <= length else shown[:length] + "…") or '""'


def _point(text: str, position: int, width: int = 76) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    # A long line is cut to what fits a terminal, with the place in the middle.
    start = max(start, position - width // 2)
    end = min(len(text) if end < 0 else end, start + width)
    line = "".join(c if c.isprintable() else " " for c in text[start:end])
    return f"{line}\n{' ' * sum(map(_columns, line[: position - start]))}^"


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
