"""What is asked for: a selector, whose series are given as they are, or an expression, which is
worked out step by step and gives series of its own."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from pushsvc.core.expression.live import why_not
from pushsvc.core.expression.reading import ExpressionError, pretty, read
from pushsvc.core.expression.tree import Node, Select, When
from pushsvc.core.query.selector import Selector, SelectorError, parse
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed

_DEFAULTS: Final = Limits()

_KEPT: Final = 512
"""Expressions that are kept as they were read: many dashboards ask for the same."""


class Expression(msgspec.Struct, frozen=True, eq=False):
    """PromQL that is more than a selector.

    `text` is the canonical form: on one line, laid out in one way, and itself an expression.
    """

    text: str
    node: Node
    written: str
    """As the client wrote it."""


Asked: TypeAlias = Selector | Expression


def read_asked(text: str, limits: Limits = _DEFAULTS) -> Asked:
    """Read what somebody asks for. Raises SelectorError and ExpressionError, which say what is
    wrong where, and Malformed for an expression that has no meaning on a stream."""
    try:
        return parse(text, limits)
    except SelectorError as error:
        refused = error
    try:
        expression = _expression(text, limits)
    except ExpressionError:
        if _SELECTOR.match(text) is not None:
            raise refused from None
        raise
    node = expression.node
    if isinstance(node, Select) and node.when == When() and len(node.matchers) == 1:
        raise refused  # a selector that is refused, as it would select everything
    if (reason := why_not(node)) is not None:
        raise Malformed("expression", f"{expression.text}: {reason}")
    return expression


@lru_cache(_KEPT)
def _expression(text: str, limits: Limits) -> Expression:
    node = read(text, limits)
    laid_out = _LINES.sub(_on_one_line, pretty(text, limits))
    try:
        same = read(laid_out, limits) == node
    except ExpressionError:
        same = False
    return Expression(laid_out if same else text.strip(), node, text.strip())


# A text that was probably meant to be a selector: no parenthesis, no operator.
_SELECTOR = re.compile(r"""\s*[^\s(){}"'`]*\s*(\{|$)""")

# Strings are kept as they are. Line breaks are removed, and so are blanks just inside of
# parentheses.
_LINES = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|([(\[])\s+|\s+([)\]])|\s*\n\s*"""
)


def _on_one_line(match: re.Match[str]) -> str:
    return match[1] or match[2] or match[3] or " "
