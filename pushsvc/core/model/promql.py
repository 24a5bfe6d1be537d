"""The syntax of selectors: PromQL's instant vector selectors, and nothing else of PromQL.

    selector = [name] "{" [ matcher { "," matcher } [","] ] "}" | name
    matcher  = (label | string) ("=" | "!=" | "=~" | "!~") string
             | string                                a quoted metric name, as of Prometheus 3
    string   = "…" | '…' with Go's escapes | `…` without any

White space and `#` comments may stand between all of these. What the matchers mean is `selector`'s
business (https://prometheus.io/docs/prometheus/latest/querying/basics/).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeAlias, cast

from pushsvc.errors import Malformed

Op: TypeAlias = Literal["=", "!=", "=~", "!~"]

METRIC_LABEL: Final = "__name__"
"""The label that stands for the metric name."""


class SelectorError(Malformed):
    """A selector that can't be read; its code is `selector`.

    `position` is the offset in characters, from 0, of what is wrong. `pointer` is for terminals:
    the line with it, and a caret under it on a second line. What is answered has a `reason`
    besides, which is what is wrong without the selector and the place.
    """

    def __init__(
        self, selector: str, position: int, reason: str, hint: str = "", **extra: Any
    ) -> None:
        # A lone surrogate can't be written as UTF-8, hence not be answered.
        selector = selector.encode("utf-8", "replace").decode()
        self.position = position
        self.pointer = _point(selector, position)
        super().__init__(
            "selector",
            f"selector {_one_line(selector)}: {reason} at character {position}"
            + (f": {hint}" if hint else ""),
            selector=selector if len(selector) <= 4096 else selector[:4096] + "…",
            position=position,
            pointer=self.pointer,
            reason=reason + (f": {hint}" if hint else ""),
            **extra,
        )


class Term(NamedTuple):
    """One matcher as it was written; `position` is that of its value."""

    label: str
    op: Op
    value: str
    position: int


def read(text: str) -> list[Term]:
    """The matchers of a selector as written; a metric name counts as `__name__="…"`, and is first.

    Raises SelectorError.
    """
    return _Reader(text).selector()


def bare(name: str) -> bool:
    """Whether a metric name may stand before the braces, unquoted."""
    return _METRIC.fullmatch(name) is not None and name.lower() not in _NOT_NAMES


_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OP = re.compile(r"=~|!~|!=|=")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_PLAIN = {quote: re.compile(rf"[^\\\n{quote}]+") for quote in "\"'"}
_ESCAPE = re.compile(
    r"\\(?:(?P<letter>[abfnrtv\\\"'])"
    r"|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_LETTERS = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))

# Keywords of any case that PromQL does not take for a metric name; `sum`, `by`, `offset` and most
# others it does.
_NUMBERS = frozenset({"inf", "nan"})
_NOT_NAMES = _NUMBERS | {"atan2", "bool", "group_left", "group_right", "ignoring", "on"}
_OPERATORS = frozenset({"and", "atan2", "or", "unless"})

_ONLY = "only instant vector selectors are taken"
_START = "expected a metric name or {"


class _Reader:
    """One pass over the text, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def selector(self) -> list[Term]:
        for at, character in enumerate(self._text):
            if "\ud800" <= character <= "\udfff":
                self._fail("lone surrogate", at=at)
        self._skip()
        start = self._at
        terms: list[Term] = []
        if name := self._take(_METRIC):
            self._skip()
            self._check_name(name, start)
            terms.append(Term(METRIC_LABEL, "=", name, start))
            if self._peek() == "{":
                terms += self._braces(named=name)
        elif self._peek() == "{":
            terms = self._braces(named=None)
        else:
            self._fail_at_start()
        self._skip()
        if self._peek():
            self._fail_after()
        return terms

    def _check_name(self, name: str, start: int) -> None:
        if self._peek() == "(":
            self._fail("unexpected function or aggregation", at=start, hint=_ONLY)
        if name.lower() in _NUMBERS:
            self._fail("unexpected number", at=start, hint=_ONLY)
        if name.lower() in _NOT_NAMES:
            self._fail(
                f"unexpected keyword {name}",
                at=start,
                hint=f'a metric of this name is {{"{name}"}}',
            )

    def _braces(self, *, named: str | None) -> list[Term]:
        self._at += 1
        terms: list[Term] = []
        while True:
            self._skip()
            if self._peek() == "}":
                self._at += 1
                return terms
            start = self._at
            terms.append(self._matcher())
            if named is not None and terms[-1].label == METRIC_LABEL:
                self._fail("unexpected second metric name", at=start, hint=f"{named} is the first")
            self._skip()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "}":
                self._fail("expected , or }")

    def _matcher(self) -> Term:
        start = self._at
        quoted = self._peek() in _QUOTES
        label = self._string() if quoted else self._take(_LABEL)
        if label is None:
            self._fail("expected a label name or }")
        self._skip()
        op = self._take(_OP)
        if not op:
            if quoted and self._peek() in (",", "}", ""):
                return Term(METRIC_LABEL, "=", label, start)
            self._fail("expected =, !=, =~ or !~")
        if not label:
            self._fail("empty label name", at=start)
        self._skip()
        if self._peek() not in _QUOTES:
            self._fail("expected a quoted value")
        position = self._at
        return Term(label, cast("Op", op), self._string(), position)

    def _string(self) -> str:
        start = self._at
        quote = self._text[start]
        self._at += 1
        if quote == "`":
            end = self._text.find("`", self._at)
            if end < 0:
                self._fail("unterminated string", at=start)
            raw = self._text[self._at : end]
            self._at = end + 1
            return raw
        # In bytes, since \x and octal escapes write bytes, of which several may make a character.
        content = bytearray()
        while (character := self._peek()) != quote:
            if character == "\\":
                content += self._escape(quote)
            elif chunk := self._take(_PLAIN[quote]):
                content += chunk.encode()
            else:
                self._fail("unterminated string", at=start)
        self._at += 1
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._fail("escapes that are not valid UTF-8 in the string", at=start)

    def _escape(self, quote: str) -> bytes:
        found = _ESCAPE.match(self._text, self._at)
        if found is None:
            self._fail("unknown escape", hint="a backslash is written \\\\, or use `…`")
        kind, digits = cast("str", found.lastgroup), found[found.lastgroup or 0]
        start, self._at = self._at, found.end()
        if kind == "letter":
            if digits in "\"'" and digits != quote:
                self._fail("unknown escape", at=start)
            return _LETTERS[digits].encode()
        if kind in ("byte", "octal"):
            return bytes([int(digits, 16 if kind == "byte" else 8)])
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self._fail("escape of what is no Unicode character", at=start)
        return chr(code).encode()

    def _fail_at_start(self) -> NoReturn:
        first = self._peek()
        if first in _QUOTES:
            self._fail("unexpected string", hint='a quoted metric name goes in braces, {"up"}')
        if first and first in ".0123456789":
            self._fail("unexpected number", hint=_ONLY)
        if first and first in "(+-":
            self._fail("unexpected expression", hint=_ONLY)
        self._fail(_START)

    def _fail_after(self) -> NoReturn:
        first = self._peek()
        start = self._at
        word = (self._take(_METRIC) or "").lower()
        if first == "[":
            found = "unexpected range"
        elif first == "@":
            found = "unexpected @ modifier"
        elif word == "offset":
            found = "unexpected offset"
        elif word in ("by", "without"):
            found = "unexpected aggregation"
        elif first in "+-*/%^=!<>" or word in _OPERATORS:
            found = "unexpected operator"
        elif first == ",":
            self._fail("unexpected second selector", hint="give each its own select parameter")
        else:
            self._fail("expected the end of the selector", at=start)
        self._fail(found, at=start, hint=_ONLY)

    def _peek(self) -> str:
        """The next character, or '' at the end."""
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _skip(self) -> None:
        self._take(_SPACE)

    def _fail(self, reason: str, *, at: int | None = None, hint: str = "") -> NoReturn:
        raise SelectorError(self._text, self._at if at is None else at, reason, hint)


_QUOTES = ('"', "'", "`")


def _one_line(text: str, length: int = 80) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
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
