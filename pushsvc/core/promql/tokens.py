"""Takes a text of PromQL apart, as far as it takes to know positions, the values of strings and the
depth of nesting. Whether the text is an expression is decided by the parser.

Strings and operators of matchers aren't given to the parser as they are. It compiles regexes with
an engine of its own, which may take a tenth of a second for a hostile one, and it reads escapes of
bytes as characters. Instead it is given short stand-ins for strings, and `=` for each operator of a
matcher: so it checks the structure of matchers and not their content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias, cast

from pushsvc.core.model.promql import METRIC_LABEL, Op
from pushsvc.core.promql.errors import ExpressionError

Kind: TypeAlias = Literal["word", "number", "string", "open", "close", "sign", "end", "unknown"]

STAND_IN: Final = "$"
"""The first character of a stand-in, which can't be in PromQL outside of strings."""


UNEXPECTED: Final = "unexpected character"


class Token(NamedTuple):
    """A part of the text, its position, and what the parser is given in its place."""

    kind: Kind
    written: str
    position: int
    given: str


class Value(NamedTuple):
    """A string: its value, its position, and the operator before it if it is in a matcher."""

    text: str
    position: int
    op: Op


@dataclass(slots=True)
class Tokens:
    """All tokens of a text, or those before the place at which it can't be taken apart any
    further."""

    text: str
    found: list[Token] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    fault: ExpressionError | None = None
    """Why the text can't be taken apart from the last token on, whose kind is `unknown` then."""

    @property
    def given(self) -> str:
        """What the parser is given."""
        return " ".join([token.given for token in self.found])

    def value(self, given: str) -> Value | None:
        """The string of a stand-in; None if this isn't one."""
        if not given.startswith(STAND_IN):
            return None
        return self.values[int(given.strip(STAND_IN))]

    def shown(self, said: str) -> str:
        """A message of the parser, with the strings instead of their stand-ins."""
        return _STAND_INS.sub(lambda match: self.text_of(match[0]), said)

    def brace_before(self, position: int) -> int:
        """The position of the last brace before a position: where its matchers begin."""
        braces = [token.position for token in self.found if token.written == "{"]
        return max((brace for brace in braces if brace < position), default=position)

    def text_of(self, given: str) -> str:
        """A name or a string of the parser's tree, as it was meant."""
        value = self.value(given)
        return freed(given) if value is None else value.text


_STAND_INS: Final = re.compile(r"\$[0-9]+\$*")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*+")
_NUMBER: Final = (
    r"(?P<number>(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\w*)"
)
_STRING: Final = r"""(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'|`[^`]*`)"""
_REST: Final = (
    rf"|{_NUMBER}|{_STRING}|(?P<open>[(\[{{])|(?P<close>[)\]}}])"
    r"|(?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^@,=<>:])"
)
_OUTSIDE: Final = re.compile(rf"{_SPACE.pattern}(?:(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*){_REST})")
_INSIDE: Final = re.compile(  # of braces and brackets
    rf"{_SPACE.pattern}(?:(?P<word>[a-zA-Z_][a-zA-Z0-9_]*){_REST})"
)

_QUOTES: Final = ('"', "'", "`")
_MATCH_OPS: Final = ("=", "!=", "=~", "!~")
# Words that are keywords for the parser, but names here: those of a newer PromQL, and `or` among
# matchers, which only other dialects have. The parser is given each with `_` at its end; names that
# already are such a word and underscores get one more too, so that all stay different.
_FREED: Final = re.compile("(?:anchored|smoothed|or)_*", re.IGNORECASE)
_FREED_GIVEN: Final = re.compile(rf"(?<![\w:])({_FREED.pattern})_(?![\w:])", re.IGNORECASE)
_OPERATORS: Final = frozenset(
    ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless", "atan2"]
)


def freed(given: str) -> str:
    """A text from the parser, with such names as they were written."""
    return _FREED_GIVEN.sub(r"\1", given) if "_" in given else given


def depth_of(tokens: Tokens, most: int) -> tuple[int, int]:
    """How deep a text is nested, by brackets and by operators beside each other, and the position
    at which it first gets deeper than `most`.

    A parser reads `a + b + c` as (a + b) + c or, for other operators, as a + (b + c). Either way it
    takes as many levels of recursion to reach an operand as there are operators beside it.
    """
    # For each open bracket: the operators, and the deepest operand, since the last comma; and the
    # depth of what is before that comma.
    operators, inner, before = [0], [0], [0]
    above = deepest = 0
    place = -1
    for kind, written, position, _ in tokens.found:
        if kind == "open":
            above += operators[-1] + 1
            operators.append(0)
            inner.append(0)
            before.append(0)
        elif kind == "close":
            if len(operators) > 1:
                depth = max(before.pop(), operators.pop() + inner.pop())
                # A range is written after its operand. That of a subquery takes several levels.
                inner[-1] = inner[-1] + 3 if written == "]" else max(inner[-1], depth + 1)
                above -= operators[-1] + 1
        elif written == ",":
            before[-1] = max(before[-1], operators[-1] + inner[-1])
            operators[-1] = inner[-1] = 0
        elif written.lower() in _OPERATORS:
            operators[-1] += 1
        else:
            continue
        deepest = max(deepest, above + operators[-1] + inner[-1])
        if deepest > most and place < 0:
            place = position
    return deepest, place


def tokens_of(text: str) -> Tokens:
    """Take a text apart. It doesn't raise: an error is put into `fault`."""
    result = Tokens(text)
    try:
        _take_apart(result)
    except ExpressionError as fault:
        place = fault.position
        result.fault = fault
        result.found.append(Token("unknown", text[place], place, STAND_IN))
    return result


def _take_apart(result: Tokens) -> None:
    text, found, values = result.text, result.found, result.values
    at, pattern, inside = 0, _OUTSIDE, ""
    op: Op = "="
    while match := pattern.match(text, at):
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        start, at = match.span(kind)
        given = written = text[start:at]
        if kind == "string":
            value = _unquoted(text, written, start)
            given = f'"{f"{STAND_IN}{len(values)}".ljust(len(value), STAND_IN)}"'
            values.append(Value(value, start, op))
            op = "="
        elif kind == "word":
            if _FREED.fullmatch(written) and (inside or written.lower() != "or"):
                given = written + "_"
        elif inside == "{" and written in _MATCH_OPS:
            op, given = written, "="  # type: ignore[assignment]
            label = found[-1]
            if label.kind == "string" and values[-1].text == METRIC_LABEL:
                # The parser has to know that this is the name of the metric.
                found[-1] = label._replace(given=f'"{METRIC_LABEL}"')
        elif kind == "open" and written != "(":
            pattern, inside = _INSIDE, written
        elif kind == "close":
            pattern, inside = _OUTSIDE, ""
        found.append(Token(kind, written, start, given))
    at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    if at < len(text):
        _refuse(text, at)


def _refuse(text: str, at: int) -> NoReturn:
    character = text[at]
    if "\ud800" <= character <= "\udfff":
        raise ExpressionError(text, at, "lone surrogate")
    if character in _QUOTES:
        raise ExpressionError(text, at, "unterminated string")
    raise ExpressionError(text, at, UNEXPECTED)


# -- strings ---------------------------------------------------------------------------------------

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<letter>[abfnrtv\\\"'])"
    r"|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_LETTERS: Final = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))


def _unquoted(text: str, written: str, at: int) -> str:
    """The value of a string, by Go's rules."""
    if surrogate := _SURROGATE.search(written):
        raise ExpressionError(text, at + surrogate.start(), "lone surrogate")
    if written[0] == "`" or "\\" not in written:
        return written[1:-1]
    # In bytes, since \x and octal escapes write bytes, of which several may make a character.
    content = bytearray()
    place, end = 1, len(written) - 1
    while place < end:
        escape = written.find("\\", place, end)
        content += written[place : end if escape < 0 else escape].encode()
        if escape < 0:
            break
        match = _ESCAPE.match(written, escape, end)
        content += _escaped(text, match, written[0], at + escape)
        place = cast("re.Match[str]", match).end()
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ExpressionError(text, at, "escapes that are not valid UTF-8 in the string") from None


def _escaped(text: str, match: re.Match[str] | None, quote: str, at: int) -> bytes:
    if match is None:
        raise ExpressionError(text, at, "unknown escape", "a backslash is written \\\\, or use `…`")
    kind, digits = cast("str", match.lastgroup), match[match.lastgroup or 0]
    if kind == "letter":
        if digits in "\"'" and digits != quote:
            raise ExpressionError(text, at, "unknown escape")
        return _LETTERS[digits].encode()
    if kind in ("byte", "octal"):
        return bytes([int(digits, 16 if kind == "byte" else 8)])
    code = int(digits, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ExpressionError(text, at, "escape of what is no Unicode character")
    return chr(code).encode()
