"""Finds where the fault in a text is, and what was expected there.

The parser says that a text is wrong, but seldom where. So it is asked about beginnings of the text,
each completed in a few ways. The wrong token is the first one after which no completion can be
read; the completions of the beginning before it tell what was expected in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from pushsvc.core.model.promql import METRIC_LABEL, bare
from pushsvc.core.promql.errors import ExpressionError
from pushsvc.core.promql.tokens import UNEXPECTED, Token, Tokens

Parser: TypeAlias = Callable[[str], Any]
"""Makes a tree of a text; a str is the message why there is none."""

# Beginnings of the parser's messages about texts whose syntax is right, but whose meaning isn't.
_OF_MEANING: Final = (
    "expected type",
    "expected at least",
    "expected at most",
    "unknown function",
    "wrong number of arguments",
    "binary expression must",
    "set operator",
    "no grouping allowed",
    "vector matching only",
    "bool modifier can",
    "comparisons between scalars",
    "unary expression only",
    "ranges only allowed",
    "no offset modifiers",
    "no @ modifiers",
    "@ <timestamp> may",
    "offset may not",
    "@ modifier must",
    "offset modifier must",
    "subquery is only",
    "metric name must",
    "vector selector must",
    "label ",
    "duration must",
    "not a valid duration",
    "timestamp out of bounds",
)


def is_of_meaning(said: str) -> bool:
    """Whether a message of the parser is about meaning, and not about syntax."""
    return said.startswith(_OF_MEANING) or "argument(s) in call to" in said


def fault_of(tokens: Tokens, said: str, parse: Parser) -> ExpressionError:
    """The error of an expression for which the parser has this message."""
    if tokens.fault is None and is_of_meaning(said):
        if said.startswith("vector selector must"):
            return nothing_refused(tokens, _empty_braces(tokens.found))
        if said.startswith("metric name must"):
            return _second_name(tokens)
        return _misused(tokens, said, parse)
    return _misplaced(tokens, parse)


def nothing_refused(tokens: Tokens, position: int) -> ExpressionError:
    """The error of matchers, at this position, that could match a series without labels."""
    return ExpressionError(
        tokens.text,
        position,
        "no matcher refuses the empty value",
        'if every series is wanted, write {__name__=~".+"}',
    )


def _empty_braces(found: Sequence[Token]) -> int:
    for place, token in enumerate(found):
        bare_before = place and found[place - 1].kind == "word"
        if token.written == "{" and found[place + 1].written == "}" and not bare_before:
            return token.position
    return found[0].position


def _second_name(tokens: Tokens) -> ExpressionError:
    """The error of a metric name among the matchers of a selector that has one before its
    braces."""
    name = ""
    for place, token in enumerate(tokens.found):
        if token.written == "{":
            before = tokens.found[place - 1] if place else token
            name = before.written if before.kind == "word" else ""
        elif name and tokens.found[place - 1].written in ("{", ","):
            alone = token.kind == "string" and tokens.found[place + 1].kind != "sign"
            alone = alone or tokens.found[place + 1].written == ","
            if alone or token.given.strip('"') == METRIC_LABEL:
                hint = f"{name} is the first"
                return _at(tokens, token, "unexpected second metric name", hint)
    return _at(tokens, tokens.found[0], "unexpected second metric name")


# -- faults of syntax ------------------------------------------------------------------

_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_IN_BRACES: Final = ("", '= "s"', '"s"', 'x = "s"')
_IN_BRACKETS: Final = ("", "5m")
_OUTSIDE: Final = ("", "x", "( x )", "( x ) ( x )", "( x ) x", "5m", "1", "( )", "( 1 ) x")
_AFTER: Final = ("", "( x )", "x")
"""What may have to follow a closed parenthesis, which may be a list of labels."""


def _completions(found: Sequence[Token]) -> Iterator[str]:
    """What could complete this beginning to an expression."""
    opened: list[str] = []
    for token in found:
        if token.kind == "open":
            opened.append(token.written)
        elif token.kind == "close" and opened:
            opened.pop()
    rest = "".join([_CLOSING[bracket] for bracket in reversed(opened[:-1])])
    if not opened:
        yield from _OUTSIDE
        return
    inner = {"{": _IN_BRACES, "[": _IN_BRACKETS}.get(opened[-1], _OUTSIDE)
    for within in inner:
        for after in _AFTER if opened[-1] == "(" else ("",):
            yield f"{within} {_CLOSING[opened[-1]]} {after} {rest}"


def _goes_on(found: Sequence[Token], parse: Parser) -> bool:
    """Whether these tokens are the beginning of an expression."""
    given = " ".join([token.given for token in found])
    for completion in _completions(found):
        said = parse(f"{given} {completion}")
        if not isinstance(said, str) or is_of_meaning(said):
            return True
    return False


def _first_wrong(found: Sequence[Token], parse: Parser) -> int:
    """The index of the first wrong token; the number of tokens if the end is wrong."""
    # The part that is known to be right is shortened, so that the parser reads each token about
    # once.
    good, bad = 0, len(found) + 1
    known: list[Token] = []
    while bad - good > 1:
        middle = (good + bad) // 2
        tried = [*known, *found[good:middle]]
        if _goes_on(tried, parse):
            good, known = middle, _shortened(tried)
        else:
            bad = middle
    return good


def _shortened(found: list[Token]) -> list[Token]:
    """A shorter beginning that can be completed in the same ways."""
    levels: list[list[Token]] = [[]]
    for token in found:
        level = levels[-1]
        if token.kind == "open":
            level.append(token)
            levels.append([])
        elif token.kind == "close":
            closed = levels.pop()
            levels[-1] += [*closed, token]
        elif token.written == ",":
            inside = levels[-2][-1].written if len(levels) > 1 else ""
            level[:] = [*(_MATCHER if inside == "{" else _OPERAND), token]
        elif token.written in _CUTS and level and _ends(level[-1]):
            level[:] = [*_OPERAND, token]
        else:
            level.append(token)
    return [token for level in levels for token in level]


def _token(kind: Any, given: str) -> Token:
    return Token(kind, given, 0, given)


_OPERAND: Final = (_token("word", "x"),)
_MATCHER: Final = (_token("word", "x"), _token("sign", "="), _token("string", '"s"'))
_CUTS: Final = frozenset(("+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="))
_KEEPING: Final = frozenset(("offset", "bool", "group_left", "group_right", "@"))


def _ends(token: Token) -> bool:
    """Whether this token certainly ends an operand."""
    if token.kind == "word":
        return token.written.lower() not in _KEEPING
    return token.kind in ("number", "string", "close")


_IN_BRACES_EXPECTED: Final = (
    (("x", "a label name"), ('"s"', "a quoted value")),
    (("=", "=, !=, =~ or !~"),),
    ((",", "a comma"),),
    (("}", "}"),),
)
_EXPECTED: Final = (
    (("+", "an operator"), ("(", "(")),
    ((",", "a comma"),),
    ((")", ")"),),
)
_IN_BRACKETS_EXPECTED: Final = (((":", ":"),), (("]", "]"),))
"""What could stand at a place, and the name of it in messages. Of each row only the first is named
that is possible."""


def _expected(known: list[Token], parse: Parser) -> str:
    """The names of all that could stand after a beginning."""

    def could(given: str) -> bool:
        kind = "open" if given == "(" else "close" if given in ")]}" else "word"
        return _goes_on([*known, _token(kind, given)], parse)

    opened = [token.written for token in known if token.kind in ("open", "close")]
    found = []
    rows: Any = _EXPECTED
    if opened and opened[-1] == "{":
        rows = _IN_BRACES_EXPECTED
    elif opened and opened[-1] == "[" and known[-1].kind == "number":
        rows = _IN_BRACKETS_EXPECTED
    elif could("1"):
        if could("x"):
            found.append("an expression")
            rows = _EXPECTED[1:]
        elif known[-1].written == "@":
            return "a time, start() or end()"
        else:
            number = "fill" in (known[-2].written if len(known) > 1 else "")
            return "a number" if number else "a duration"
    elif could("x"):
        found.append("a label name")
        rows = _EXPECTED[1:]
    for row in rows:
        found += [name for given, name in row if could(given)][:1]
    if not opened or len([one for one in opened if one in "([{"]) * 2 == len(opened):
        given = " ".join([token.given for token in known])
        said = parse(given) if known else ""
        if not isinstance(said, str) or is_of_meaning(said):
            found.append("the end")
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"


def _misplaced(tokens: Tokens, parse: Parser) -> ExpressionError:
    found = tokens.found
    place = _first_wrong(found, parse)
    expected = _expected(_shortened(list(found[:place])), parse)
    return _instead(tokens, found[place] if place < len(found) else None, expected)


def _shown(token: Token | None, length: int = 40) -> str:
    if token is None:
        return "the end"
    written = token.written if token.written.isprintable() else repr(token.written)
    return written if len(written) <= length else written[:length] + "…"


# -- faults of meaning --------------------------------------------------

_MOST_READ: Final = 64 * 1024
"""Characters that the parser reads at the most to find the place; then the smallest part found so
far is told."""

_TYPES: Final = {
    "scalar": "a number",
    "vector": "an instant vector",
    "matrix": "a range vector",
    "string": "a string",
}
_TYPE: Final = re.compile(r"expected type (\w+) in (.*), got (\w+)")
_SET_WORDS: Final = frozenset(("and", "or", "unless", "atan2", "offset"))


def _misused(tokens: Tokens, said: str, parse: Parser) -> ExpressionError:
    found, left = tokens.found, _MOST_READ

    def says_so(part: Sequence[Token]) -> bool:
        nonlocal left
        given = " ".join([token.given for token in part])
        left -= len(given)
        return left > 0 and parse(given) == said

    start, end = 0, len(found)
    while inner := next(
        (span for span in _parts(found, start, end) if says_so(found[slice(*span)])), None
    ):
        start, end = inner
    position = found[start].position
    if not _names_a_call(said):
        # The shortest beginning of that part with the same error ends with the operand of the wrong
        # operator.
        for stop in range(start + 1, end + 1):
            if found[stop - 1].kind not in ("sign", "open") and says_so(found[start:stop]):
                position = _last_sign(found[start:stop]).position
                break
    reason, extra = tokens.shown(said), {}
    if match := _TYPE.fullmatch(said):
        wanted, got = (_TYPES.get(match[group], match[group]) for group in (1, 3))
        reason = f"expected {wanted} in {match[2]}, found {got}"
        extra = {"expected": wanted, "found": got}
    return ExpressionError(tokens.text, position, reason, **extra)


def _names_a_call(said: str) -> bool:
    return "call to" in said or said.startswith(("unknown function", "wrong number"))


def _parts(found: Sequence[Token], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The smaller parts of these tokens that are in brackets and can be read by themselves."""
    stack = []
    for place in range(start, end):
        token = found[place]
        if token.kind == "open":
            stack.append(place)
        elif token.kind == "close" and stack:
            opened = stack.pop()
            if stack or token.written == "]":
                continue
            named = opened > start and found[opened - 1].kind == "word"
            begin = opened - named
            if (begin, place + 1) != (start, end):
                yield begin, place + 1
            elif named:
                yield from _arguments(found, opened + 1, place)
            else:
                yield opened + 1, place


def _arguments(found: Sequence[Token], start: int, end: int) -> Iterator[tuple[int, int]]:
    depth, begin = 0, start
    for place in range(start, end):
        token = found[place]
        depth += (token.kind == "open") - (token.kind == "close")
        if token.written == "," and not depth:
            yield begin, place
            begin = place + 1
    if begin < end:
        yield begin, end


def _last_sign(found: Sequence[Token]) -> Token:
    """The last operator or modifier outside of inner brackets."""
    depth = 0
    last = found[0]
    for token in found:
        if not depth and (
            token.kind == "sign"
            or token.written == "["
            or (token.kind == "word" and token.written.lower() in _SET_WORDS)
        ):
            last = token
        depth += (token.kind == "open") - (token.kind == "close")
    return last


# -- texts that had to be a selector
# ------------------------------------------------------------------

_ONLY: Final = "only instant vector selectors are taken"
_NUMBERS: Final = ("inf", "nan")


def selector_fault(tokens: Tokens, parse: Parser) -> ExpressionError:
    """The error of a text that isn't one plain selector."""
    found = tokens.found
    if fault := _wrong_start(tokens):
        return fault
    after = 0 if found[0].written == "{" else 1
    if found[after:] and found[after].written == "{":
        closed = [place for place, token in enumerate(found) if token.written == "}"]
        after = closed[0] + 1 if closed else len(found)
        braces = Tokens(tokens.text, found[:after], tokens.values)
        if not closed:
            braces.fault = tokens.fault
        said = parse(braces.given)
        if isinstance(said, str):
            return fault_of(braces, said, parse)
    return _wrong_after(tokens, after)


def _at(
    tokens: Tokens, token: Token | None, reason: str, hint: str = "", **extra: str
) -> ExpressionError:
    position = len(tokens.text) if token is None else token.position
    return ExpressionError(tokens.text, position, reason, hint, **extra)


def _instead(tokens: Tokens, token: Token | None, expected: str) -> ExpressionError:
    if token and token.kind == "unknown" and tokens.fault and tokens.fault.reason != UNEXPECTED:
        return tokens.fault  # which tells more
    shown = _shown(token)
    reason = f"expected {expected}, found {shown}"
    return _at(tokens, token, reason, expected=expected, found=shown)


def _wrong_start(tokens: Tokens) -> ExpressionError | None:
    first, second = [*tokens.found, None, None][:2]
    if first is None or first.kind == "unknown":
        return _instead(tokens, first, "a metric name or {")
    if first.written == "{":
        return None
    if first.kind == "string":
        return _at(
            tokens, first, "unexpected string", 'a quoted metric name goes in braces, {"up"}'
        )
    if first.kind == "number" or first.written.lower() in _NUMBERS:
        return _at(tokens, first, "unexpected number", _ONLY)
    if first.written in ("(", "+", "-"):
        return _at(tokens, first, "unexpected expression", _ONLY)
    if first.kind != "word":
        return _instead(tokens, first, "a metric name or {")
    if second is not None and second.written == "(":
        return _at(tokens, first, "unexpected function or aggregation", _ONLY)
    if not bare(first.written):
        hint = f'a metric of this name is {{"{first.written}"}}'
        return _at(tokens, first, f"unexpected keyword {first.written}", hint)
    return None


_AFTER_NAME: Final = {
    "[": "range",
    "@": "@ modifier",
    "offset": "offset",
    "by": "aggregation",
    "without": "aggregation",
    "and": "operator",
    "or": "operator",
    "unless": "operator",
    "atan2": "operator",
}


def _wrong_after(tokens: Tokens, after: int) -> ExpressionError:
    token = tokens.found[after] if after < len(tokens.found) else None
    written = "" if token is None else token.written.lower()
    if written == ",":
        hint = "give each its own select parameter"
        return _at(tokens, token, "unexpected second selector", hint)
    unexpected = _AFTER_NAME.get(written)
    if token is not None and token.kind == "sign" and written != ":":
        unexpected = unexpected or "operator"
    if unexpected:
        return _at(tokens, token, f"unexpected {unexpected}", _ONLY)
    return _instead(tokens, token, "the end of the selector")
