"""A text of PromQL in its parts: enough to know where something stands, what its strings mean and
how deep it goes, and no more. Whether it is an expression is for the parser to say.

Strings and operators of matchers don't get to the parser as they are. It has a regex engine of its
own, takes a tenth of a second for what a stranger can write into one, and reads escapes of bytes as
characters. It is given short stand-ins for strings, and `=` for each operator, so that it sees how
matchers are put together and not what they say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias, cast

from pushsvc.core.model.promql import METRIC_LABEL, Op
from pushsvc.core.promql.errors import ExpressionError

Kind: TypeAlias = Literal["word", "number", "string", "open", "close", "sign", "end", "unknown"]

STAND_IN: Final = "$"
"""What a stand-in begins with: a character that can't be in PromQL outside of strings."""


UNEXPECTED: Final = "unexpected character"


class Token(NamedTuple):
    """A part of the text: where it begins, and what the parser gets in its place."""

    kind: Kind
    written: str
    position: int
    given: str


class Value(NamedTuple):
    """A string: what it means, where it stands, and the operator of a matcher before it."""

    text: str
    position: int
    op: Op


@dataclass(slots=True)
class Tokens:
    """All of a text, or what is before the place at which it can't be taken apart any further."""

    text: str
    found: list[Token] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    fault: ExpressionError | None = None
    """Why the last token, which is `unknown` then, is none."""

    @property
    def given(self) -> str:
        """What the parser gets."""
        return " ".join([token.given for token in self.found])

    def value(self, given: str) -> Value | None:
        """The string that a stand-in stands for; None if it isn't one."""
        if not given.startswith(STAND_IN):
            return None
        return self.values[int(given.strip(STAND_IN))]

    def shown(self, said: str) -> str:
        """What the parser says, with strings as they were written."""
        return _STAND_INS.sub(lambda match: self.text_of(match[0]), said)

    def brace_before(self, position: int) -> int:
        """Where the matchers begin of which something stands at a position."""
        braces = [token.position for token in self.found if token.written == "{"]
        return max((brace for brace in braces if brace < position), default=position)

    def text_of(self, given: str) -> str:
        """What the parser tells of a name or a string, as it was written."""
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
# Words that the parser keeps for itself, and that are names as well: those that PromQL doesn't have
# yet, and `or` among matchers, which only other dialects have. It is given other names for them,
# and so that no two are one, names that begin like it get one character more, too.
_FREED: Final = re.compile("(?:anchored|smoothed|or)_*", re.IGNORECASE)
_FREED_GIVEN: Final = re.compile(rf"(?<![\w:])({_FREED.pattern})_(?![\w:])", re.IGNORECASE)
_OPERATORS: Final = frozenset(
    ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless", "atan2"]
)


def freed(given: str) -> str:
    """Names as they were written, in what the parser tells."""
    return _FREED_GIVEN.sub(r"\1", given) if "_" in given else given


def depth_of(tokens: Tokens, most: int) -> tuple[int, int]:
    """How deep a text goes, and where it gets deeper than `most` first: by brackets, and by
    operators beside each other.

    `a + b + c` is (a + b) + c to a parser, and may be a + (b + c): who goes down into one of them
    has to go down as many levels as there are operators beside it, on either side.
    """
    # Of each open bracket: operators and deepest operand since the last comma, and all before it.
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
                # A range stands behind what it is of. Of a subquery it costs several levels.
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
    """Take a text apart. It doesn't raise: what is wrong stands in `fault`."""
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
                # What the name of the metric is, the parser has to know.
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
    """What a string means, by Go's rules."""
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
