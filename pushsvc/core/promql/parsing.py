"""Has `promql-parser` read a text, within bounds."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import promql_parser as rust

from pushsvc.core.promql.errors import ExpressionError
from pushsvc.core.promql.faults import fault_of, selector_fault
from pushsvc.core.promql.tokens import Token, Tokens, depth_of, tokens_of

_DEEPEST: Final = 200
"""Levels of nesting that the parser and what handles its tree can recurse into, whatever the limit
is."""

_LONGEST: Final = 100 * 365 * 86_400
_LATEST: Final = 3000 * 365 * 86_400


class Parsed(NamedTuple):
    """The parser's tree of a text. Its strings are stand-ins, which `tokens` can resolve."""

    tree: Any
    tokens: Tokens


def parsed(text: str, max_depth: int) -> Parsed:
    """Read an expression.

    Raises ExpressionError for the first fault in the text.
    """
    tokens = _checked(text, max_depth)
    tree = _tree(tokens)
    if isinstance(tree, str):
        raise fault_of(tokens, tree, _tree_of)
    return Parsed(tree, tokens)


def parsed_selector(text: str) -> Parsed:
    """Read what may only be one selector, without a range, an offset or a time.

    Raises ExpressionError for the first fault in the text.
    """
    tokens = tokens_of(text)
    tree = _tree(tokens) if _is_plain(tokens.found) else None
    if not isinstance(tree, rust.VectorSelector):
        raise selector_fault(tokens, _tree_of)
    return Parsed(tree, tokens)


def _is_plain(found: list[Token]) -> bool:
    """Whether it is a name, braces, or both: nothing that the parser would have to recurse into."""
    names = len(found) > 0 and found[0].kind == "word"
    braces = [token.written for token in found[names:]]
    return (
        names if not braces else braces[0] == "{" and braces[-1] == "}" and "}" not in braces[:-1]
    )


def _checked(text: str, max_depth: int) -> Tokens:
    tokens = tokens_of(text)
    # The parser recurses: a text that is too deep for it must not reach it.
    max_depth = min(max_depth, _DEEPEST)
    depth, place = depth_of(tokens, max_depth)
    if depth > max_depth:
        raise ExpressionError(
            text,
            place,
            f"nested {depth} levels deep, the limit of {max_depth} (limits.expression_depth) is "
            "crossed",
            limit="expression_depth",
        )
    _check_numbers(tokens)
    return tokens


def _check_numbers(tokens: Tokens) -> None:
    """Refuse durations and times at which the parser, or its bindings for Python, would panic."""
    ranges, before, sign = False, "", ""
    for kind, written, position, _ in tokens.found:
        if kind == "number" and (seconds := _seconds(written)) is not None:
            if before == "@":
                if sign == "-" and seconds:
                    raise ExpressionError(tokens.text, position, "a time before 1970")
                if seconds > _LATEST:
                    raise ExpressionError(tokens.text, position, "a time after the year 5000")
            elif (ranges or before == "offset" or written[-1] in _UNITS) and seconds > _LONGEST:
                raise ExpressionError(tokens.text, position, "a duration of more than 100 years")
            elif ranges and round(seconds * 1000) == 0:
                raise ExpressionError(tokens.text, position, "a duration that isn't greater than 0")
        elif kind in ("open", "close"):
            ranges = written == "["
        if written in ("+", "-"):
            sign = written
        else:
            before, sign = written.lower(), ""


def _seconds(written: str) -> float | None:
    """The value of a number, or the seconds of a duration; None if it has no unit that there is,
    which the parser refuses in words of its own."""
    try:
        return float(int(written, 16)) if written[:2] in ("0x", "0X") else float(written)
    except ValueError:
        parts = _PARTS.findall(written)
        return sum(float(count) * _UNITS[unit] for count, unit in parts) if parts else None


def _tree_of(given: str) -> Any:
    """The parser's tree of a text, or its message why there is none."""
    try:
        return rust.parse(given)
    except ValueError as error:
        return str(error)


def _tree(tokens: Tokens) -> Any:
    return _tree_of(tokens.given) if tokens.fault is None else tokens.fault.reason


_UNITS: Final = {
    "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000,
}  # fmt: skip
_PARTS: Final = re.compile(r"([0-9]+)(ms|[smhdwy])")
