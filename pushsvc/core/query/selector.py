"""Selectors: which series someone asks for, in PromQL's instant vector syntax.

    node_load1{host=~"web.*",env!="dev"}

Matching is PromQL's too: a label that a series doesn't have counts as empty, regexes match whole
values and their dot any character, and a selector that could match a series with no labels at all
is refused, since it would more likely be a slip than a wish for everything.

Regexes come from strangers, so RE2 runs them: in time linear in the value, and in bounded memory.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol, cast

import re2

from pushsvc.core.model.promql import METRIC_LABEL, Op, bare
from pushsvc.core.model.series import Identity, label_in_selector, quote
from pushsvc.core.promql.errors import ExpressionError, SelectorError
from pushsvc.core.promql.faults import nothing_refused
from pushsvc.core.promql.parsing import Parsed, parsed_selector
from pushsvc.core.promql.tokens import Tokens
from pushsvc.core.resources.limits import Limits

__all__ = ["EVERY_SERIES", "Matcher", "Selector", "SelectorError", "parse", "regex", "selector_of"]

EVERY_SERIES: Final = '{__name__=~".+"}'
"""The selector that matches all, in its canonical form: every series has a name."""

_DEFAULTS: Final = Limits()

# A compiled regex takes up to `_REGEX_BYTES` once it has seen hostile values, and time per
# character in proportion to its instructions. Regexes that people write are far below both bounds:
# `.{1000}` has 7,000 instructions. Their total is bounded by the size of the cache.
_REGEX_BYTES: Final = 512 * 1024
_REGEX_INSTRUCTIONS: Final = 8192
_REGEXES_KEPT: Final = 1024
REGEXES_PER_SELECTOR: Final = 16

_KEPT_LENGTH: Final = 512


class Match(Protocol):
    """What a regex found."""

    def group(self, group: int | bytes) -> bytes | None:
        """The text that one of its groups matched. Raises IndexError for a group that doesn't
        exist."""


class _Regex(Protocol):
    @property
    def programsize(self) -> int: ...
    def fullmatch(self, text: bytes) -> Match | None: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; the metric name is the label `__name__`.

    Raises ValueError, with the reason, when a regex doesn't compile or is too large.
    """

    name: str
    op: Op
    value: str
    _listed: frozenset[str] | None = field(init=False, compare=False, repr=False)
    _takes: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Most matchers need no regex: they accept a list of values, or all others.
        takes = self.op[0] == "="
        listed: frozenset[str] | None = frozenset((self.value,))
        if "~" in self.op:
            if self.value in _ALL_BUT:
                listed, takes = _ALL_BUT[self.value], not takes
            else:
                listed = _alternatives(self.value)
        if listed is None:
            regex(self.value)
        object.__setattr__(self, "_listed", listed)
        object.__setattr__(self, "_takes", takes)

    @property
    def accepts(self) -> frozenset[str] | None:
        """The accepted values if they can be listed, as for `=` and `=~"a|b"`, else None."""
        return self._listed if self._takes else None

    @property
    def runs_regex(self) -> bool:
        """Whether matching needs RE2."""
        return self._listed is None

    def matches(self, value: str) -> bool:
        """Whether a label of this value is accepted; '' means that the series doesn't have the
        label."""
        if self._listed is None:
            return (regex(self.value).fullmatch(value.encode()) is not None) is self._takes
        return (value in self._listed) is self._takes

    def __str__(self) -> str:
        return f"{label_in_selector(self.name)}{self.op}{quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A set of matchers that must all hold.

    `text` is the canonical form, itself a selector in PromQL, and equal exactly when the sets are.
    `matchers` are distinct and in its order. `name` is the metric name if `=` asks for just one.
    """

    text: str
    matchers: tuple[Matcher, ...] = field(compare=False, repr=False)
    name: str | None = field(compare=False, repr=False)

    def matches(self, identity: Identity) -> bool:
        """Whether a series of this identity is meant."""
        if self.name is not None and self.name != identity.name:
            return False
        labels = dict(identity.labels)
        labels[METRIC_LABEL] = identity.name
        return all(matcher.matches(labels.get(matcher.name, "")) for matcher in self.matchers)

    def __str__(self) -> str:
        return self.text


def parse(text: str, limits: Limits = _DEFAULTS) -> Selector:
    """Read a selector.

    Raises SelectorError, which says what is wrong where: the syntax, a regex, too many bytes, or
    that all matchers take the empty value.
    """
    reading = _kept if len(text) <= _KEPT_LENGTH else _parse
    return reading(text, limits.selector_bytes)


def _parse(text: str, most_bytes: int) -> Selector:
    try:
        _check_size(text, text, most_bytes)
        selector = selector_of(_matchers(parsed_selector(text)))
        _check_size(selector.text, text, most_bytes)
    except SelectorError:
        raise
    except ExpressionError as error:
        raise SelectorError.of(error) from None
    return selector


_kept = lru_cache(1024)(_parse)
"""Parsed selectors are cached: reconnecting dashboards, and those that show the same, ask for the
same."""


def _matchers(parsed: Parsed) -> set[Matcher]:
    tree, tokens = parsed
    matchers: set[Matcher] = set()
    if tree.name is not None:
        matchers.add(Matcher(METRIC_LABEL, "=", tokens.text_of(tree.name)))
    regexes = 0
    for found in tree.matchers.matchers:
        matcher, position = matcher_of(found.name, found.value, tokens)
        if matcher.runs_regex and matcher not in matchers:
            regexes += 1
            if regexes > REGEXES_PER_SELECTOR:
                reason = f"more than {REGEXES_PER_SELECTOR} regexes, the next"
                raise ExpressionError(tokens.text, position, reason)
        matchers.add(matcher)
    if all(matcher.matches("") for matcher in matchers):
        raise nothing_refused(tokens, tokens.text.index("{"))
    return matchers


def matcher_of(name: str, value: str, tokens: Tokens) -> tuple[Matcher, int]:
    """The matcher for what the parser read: its name and value, and where the value stands.

    Raises ExpressionError for a regex that can't be used.
    """
    written = tokens.value(value)
    assert written is not None
    text, position, op = written
    label = tokens.text_of(name)
    if not label:
        quoted = tokens.value(name)
        raise ExpressionError(tokens.text, quoted.position if quoted else 0, "empty label name")
    try:
        return Matcher(label, op, text), position
    except ValueError as error:
        raise ExpressionError(tokens.text, position, f"unusable regex ({error})") from None


def selector_of(matchers: AbstractSet[Matcher]) -> Selector:
    """The selector of these matchers, of which at least one has to refuse the empty value."""
    ordered = sorted(matchers, key=lambda matcher: (matcher.name, matcher.op, matcher.value))
    named = [matcher for matcher in ordered if matcher.name == METRIC_LABEL]
    exact = [matcher for matcher in named if matcher.op == "="]
    name = exact[0].value if len(exact) == 1 else None
    # PromQL accepts no further matcher on the name if the name stands before the braces, or by
    # itself in them.
    prefix, alone = "", list[str]()
    if name and len(named) == 1:
        ordered.remove(exact[0])
        prefix, alone = (name, []) if bare(name) else ("", [quote(name)])
    inside = ",".join([*alone, *map(str, ordered)])
    if prefix or alone:
        ordered.insert(0, exact[0])
    return Selector(f"{prefix}{{{inside}}}" if inside else prefix, tuple(ordered), name)


def _check_size(text: str, written: str, most: int) -> None:
    # The canonical form is measured as well, so that it can be sent back in place of the original.
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > most:
        canonical = "" if text is written else " in its canonical form"
        raise SelectorError(
            written,
            min(len(encoded[:most].decode(errors="ignore")), len(written)),
            f"{len(encoded)} bytes{canonical}, the limit of {most} (limits.selector_bytes) is "
            "crossed",
            limit="selector_bytes",
        )


@lru_cache(_REGEXES_KEPT)
def regex(pattern: str, *, captures: bool = False) -> _Regex:
    """Compile a client's regex, for bytes; with its groups if it `captures`.

    Raises ValueError, with the reason, when it doesn't compile or is too large.
    """
    options = re2.Options()
    options.max_mem = _REGEX_BYTES
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = not captures
    try:
        # Of bytes, since the binding takes up to three times as long with str.
        compiled = cast("_Regex", re2.compile(pattern.encode(), options))
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(
            reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        ) from None
    if compiled.programsize > _REGEX_INSTRUCTIONS:
        raise ValueError(
            f"{compiled.programsize} instructions when compiled, more than {_REGEX_INSTRUCTIONS}"
        )
    return compiled


# What these two refuse. `EVERY_SERIES` is how to ask for everything.
_ALL_BUT: Final = {".*": frozenset[str](), ".+": frozenset(("",))}

_LITERAL = re.compile(r"(?:[^\\.+*?()\[\]{}^$|]|\\[^a-zA-Z0-9_\s\x80-\U0010ffff])*")


def _alternatives(pattern: str) -> frozenset[str] | None:
    """The values that a regex of plain alternatives can match; dashboards write these for a choice
    of many."""
    found: set[str] = set()
    at = 0
    while True:
        literal = cast("re.Match[str]", _LITERAL.match(pattern, at))
        found.add(re.sub(r"\\(.)", r"\1", literal[0]))
        at = literal.end() + 1
        if literal.end() == len(pattern):
            return frozenset(found)
        if pattern[literal.end()] != "|":
            return None
