"""Having a text read by `promql-parser`, within bounds."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import promql_parser as rust

from pushsvc.core.promql.errors import ExpressionError
from pushsvc.core.promql.faults import fault_of, selector_fault
from pushsvc.core.promql.tokens import Token, Tokens, depth_of, tokens_of

_DEEPEST: Final = 200
"""Levels that the parser and those after it can go down into, whatever the limit is."""

_LONGEST: Final = 100 * 365 * 86_400
_LATEST: Final = 3000 * 365 * 86_400


class Parsed(NamedTuple):
    """What the parser made of a text; its strings are stand-ins, which `tokens` knows."""

    tree: Any
    tokens: Tokens


def parsed(text: str, max_depth: int) -> Parsed:
    """Read an expression.

    Raises ExpressionError, with what is wrong where it first goes wrong.
    """
    tokens = _checked(text, max_depth)
    tree = _tree(tokens)
    if isinstance(tree, str):
        raise fault_of(tokens, tree, _tree_of)
    return Parsed(tree, tokens)


def parsed_selector(text: str) -> Parsed:
    """Read what may only be one selector, without a range, an offset or a time.

    Raises ExpressionError, with what is wrong where it first goes wrong.
    """
    tokens = tokens_of(text)
    tree = _tree(tokens) if _is_plain(tokens.found) else None
    if not isinstance(tree, rust.VectorSelector):
        raise selector_fault(tokens, _tree_of)
    return Parsed(tree, tokens)


def _is_plain(found: list[Token]) -> bool:
    """Whether it is a name, braces, or both: nothing that the parser would have to go down into."""
    names = len(found) > 0 and found[0].kind == "word"
    braces = [token.written for token in found[names:]]
    return (
        names if not braces else braces[0] == "{" and braces[-1] == "}" and "}" not in braces[:-1]
    )


def _checked(text: str, max_depth: int) -> Tokens:
    tokens = tokens_of(text)
    # The parser goes down by recursion: what is too deep for it may not get there.
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
    """Refuse spans and times that the parser, or what it gives to Python, would panic at."""
    ranges, before, sign = False, "", ""
    for kind, written, position, _ in tokens.found:
        if kind == "number":
            seconds = _seconds(written)
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


def _seconds(written: str) -> float:
    """What a number or a duration amounts to; 0 if the parser will refuse it."""
    try:
        return float(int(written, 16)) if written[:2] in ("0x", "0X") else float(written)
    except ValueError:
        parts = _PARTS.findall(written)
        return sum(float(count) * _UNITS[unit] for count, unit in parts)


def _tree_of(given: str) -> Any:
    """What the parser makes of a text: a tree, or why there is none."""
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
