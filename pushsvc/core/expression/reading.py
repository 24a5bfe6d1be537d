"""Reads an expression. The tree of `promql-parser` is turned into nodes of our own, so that no
other module depends on the parser's; rules that it doesn't check are checked here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Literal

import promql_parser as rust

from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Matching,
    Negate,
    Node,
    Number,
    Select,
    Subquery,
    Text,
    When,
    Window,
)
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import label_in_selector, quote
from pushsvc.core.promql.errors import ExpressionError
from pushsvc.core.promql.faults import nothing_refused
from pushsvc.core.promql.parsing import Parsed, parsed
from pushsvc.core.promql.tokens import Tokens, freed
from pushsvc.core.query.selector import REGEXES_PER_SELECTOR, Matcher, matcher_of
from pushsvc.core.resources.limits import Limits

__all__ = ["ExpressionError", "pretty", "read"]

_DEFAULTS: Final = Limits()
_KEPT_LENGTH: Final = 1024


def read(text: str, limits: Limits = _DEFAULTS) -> Node:
    """Read an expression.

    Raises ExpressionError, which says what is wrong where: the syntax, types, a regex, or more
    bytes or levels than the limits allow.
    """
    reading = _kept if len(text) <= _KEPT_LENGTH else _read
    return reading(text, limits.expression_bytes, limits.expression_depth)


def _read(text: str, most_bytes: int, most_depth: int) -> Node:
    tree, tokens = _parsed(text, most_bytes, most_depth)
    return _node(tree, tokens)


_kept = lru_cache(256)(_read)
"""Dashboards ask for the same expressions again and again."""


def pretty(text: str, limits: Limits = _DEFAULTS) -> str:
    """An expression, laid out over several lines where it is long. Raises ExpressionError."""
    tree, tokens = _parsed(text, limits.expression_bytes, limits.expression_depth)
    _node(tree, tokens)

    def written(match: re.Match[str]) -> str:
        before, opening, stand_in, closing = match.groups()
        value = tokens.value(stand_in)
        assert value is not None
        if not (opening and closing):
            return f"{opening}{before}{label_in_selector(value.text)}{closing}"
        return f"{value.op if before else ''}{quote(value.text)}"

    return freed(_STAND_INS.sub(written, tree.prettify()))


_STAND_INS: Final = re.compile(r'(=?)("?)(\$[0-9]+\$*)("?)')


def _parsed(text: str, most_bytes: int, most_depth: int) -> Parsed:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > most_bytes:
        raise ExpressionError(
            text,
            min(most_bytes, len(text)),
            f"{size} bytes, the limit of {most_bytes} (limits.expression_bytes) is crossed",
            limit="expression_bytes",
        )
    return parsed(text, most_depth)


def _node(given: Any, tokens: Tokens) -> Node:
    match given:
        case rust.ParenExpr():
            return _node(given.expr, tokens)
        case rust.NumberLiteral():
            return Number(given.val)
        case rust.StringLiteral():
            return Text(tokens.text_of(given.val))
        case rust.VectorSelector():
            return _select(given, tokens)
        case rust.MatrixSelector():
            return Window(_select(given.vector_selector, tokens), _ms(given.range))
        case rust.SubqueryExpr():
            step = None if given.step is None else _ms(given.step)
            return Subquery(_node(given.expr, tokens), _ms(given.range), step, _when(given))
        case rust.UnaryExpr():
            return Negate(_node(given.expr, tokens))
        case rust.Call():
            arguments = tuple(_node(argument, tokens) for argument in given.args)
            return Call(given.func.name, arguments)
        case rust.AggregateExpr():
            return _aggregate(given, tokens)
        case rust.BinaryExpr():
            return _binary(given, tokens)
    raise AssertionError(f"the parser made a {type(given).__name__}")


def _select(given: Any, tokens: Tokens) -> Select:
    matchers = []
    if given.name is not None:
        matchers.append(Matcher(METRIC_LABEL, "=", tokens.text_of(given.name)))
    regexes, first = 0, 0
    for one in given.matchers.matchers:
        matcher, position = matcher_of(one.name, one.value, tokens)
        first = first or position
        regexes += matcher.runs_regex
        if regexes > REGEXES_PER_SELECTOR:
            reason = f"more than {REGEXES_PER_SELECTOR} regexes, the next"
            raise ExpressionError(tokens.text, position, reason)
        matchers.append(matcher)
    if all(matcher.matches("") for matcher in matchers):
        raise nothing_refused(tokens, tokens.brace_before(first))
    return Select((tuple(matchers),), _when(given))


def _when(given: Any) -> When:
    offset = _ms(given.offset)
    at = given.at and (given.at.type, given.at.at)
    if at is None:
        return When(offset)
    kind, moment = at
    if kind == rust.AtModifierType.Start:
        return When(offset, "start")
    if kind == rust.AtModifierType.End:
        return When(offset, "end")
    return When(offset, round(moment.timestamp() * 1000))


def _aggregate(given: Any, tokens: Tokens) -> Aggregate:
    modifier = given.modifier
    return Aggregate(
        str(given.op),
        _node(given.expr, tokens),
        None if given.param is None else _node(given.param, tokens),
        frozenset() if modifier is None else frozenset(_labels(modifier.labels, tokens)),
        modifier is not None and modifier.type == rust.AggModifierType.Without,
    )


def _binary(given: Any, tokens: Tokens) -> Binary:
    left, right = _node(given.lhs, tokens), _node(given.rhs, tokens)
    modifier = given.modifier
    if modifier is None:
        return Binary(str(given.op), left, right, Matching(), to_bool=False)
    how = modifier.matching
    many: Literal["left", "right"] | None = None
    if modifier.card == rust.VectorMatchCardinality.ManyToOne:
        many = "left"
    elif modifier.card == rust.VectorMatchCardinality.OneToMany:
        many = "right"
    fill = modifier.fill_values
    matching = Matching(
        how is not None and how.type == rust.LabelModifierType.Include,
        frozenset() if how is None else frozenset(_labels(how.labels, tokens)),
        many,
        _labels(modifier.group_labels, tokens),
        (None, None) if fill is None else (fill.lhs, fill.rhs),
    )
    return Binary(str(given.op), left, right, matching, bool(modifier.return_bool))


def _labels(given: Any, tokens: Tokens) -> tuple[str, ...]:
    return tuple(map(tokens.text_of, given or ()))


def _ms(given: Any) -> int:
    """A `timedelta` in ms; 0 for None."""
    return 0 if given is None else round(given.total_seconds() * 1000)
