"""Variables of a dashboard: what `$name` stands for in a selector, an expression or a title.

The page that shows a dashboard fills them in (`web/src/dashboards/filling.ts`). The code here only
checks whether the result can be valid: it gives each variable a possible value, and parses the
text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
import re2
from msgspec import UNSET, Meta, UnsetType

from pushsvc.core.query.selector import parse
from pushsvc.core.standing.asked import read_asked
from pushsvc.errors import Problem, Rejected

ALL: Final = "$__all"
"""The value that means all values, in a URL and as a default."""
BUILT_IN: Final = {
    "__interval": "15s",
    "__interval_ms": "15000",
    "__rate_interval": "1m",
    "__rate_interval_ms": "60000",
    "__range": "15m",
    "__range_s": "900",
    "__range_ms": "900000",
}
"""The variables that every dashboard has, each with a possible value."""

_WORD: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
_Label = Annotated[str, Meta(min_length=1, max_length=256)]
_Value = Annotated[str, Meta(min_length=1, max_length=256)]


class Variable(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """A choice that `$name` or `${name}` stands for.

    The values to choose from are those that `label` has among the series of `select`, in which
    variables that stand before this one may occur; or they are those of `values`.
    """

    name: Annotated[str, Meta(pattern=_WORD)]
    title: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    """What stands before the choice; the name if left out."""
    label: _Label | UnsetType = UNSET
    select: Annotated[str, Meta(min_length=1, max_length=4096)] | UnsetType = UNSET
    values: Annotated[tuple[_Value, ...], Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    multi: bool = False
    """Whether several can be chosen at once."""
    all: bool = False
    """Whether all can be chosen at once. A matcher then takes any of `values`, or whatever the
    label has but nothing at all: also what comes later."""
    all_value: Annotated[str, Meta(min_length=1, max_length=1024)] | UnsetType = UNSET
    """The regular expression that stands for all, if that is another one: `.*`."""
    default: Annotated[tuple[_Value, ...], Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    """What is chosen at first, `$__all` for all of them; the first value if left out."""


_REFERENCE: Final = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})")
_STRING: Final = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
_SAMPLES: Final = ("1m", "a", "1")
"""Possible values of a variable outside of quotes, if its values aren't known: a duration, a name,
a number."""


def references(text: str) -> Iterator[str]:
    """The names in a text that may refer to variables."""
    for match in _REFERENCE.finditer(text):
        yield _name_of(match)


def _name_of(match: re.Match[str]) -> str:
    return match["bare"] or match["braced"]


def check_variables(variables: Sequence[Variable]) -> None:
    """Raises Rejected if a variable is invalid."""
    known: list[Variable] = []
    for variable in variables:
        where = f"variable {variable.name}"
        if variable.name in BUILT_IN:
            raise Rejected("variable", f"{where}: every dashboard has one of this name")
        if variable.values is UNSET:
            if variable.label is UNSET or variable.select is UNSET:
                raise Rejected("variable", f"{where} takes label and select, or values")
            _check_select(variable.select, where, variable, known, variables)
        elif variable.label is not UNSET or variable.select is not UNSET:
            raise Rejected("variable", f"{where} has values, and so neither a label nor a selector")
        _check_choice(variable, where)
        known.append(variable)


def _check_select(
    select: str,
    where: str,
    variable: Variable,
    known: Sequence[Variable],
    variables: Sequence[Variable],
) -> None:
    before = {one.name for one in known}
    for name in references(select):
        if name not in before and any(one.name == name for one in variables):
            which = "itself" if name == variable.name else f"${name}, which stands after it"
            raise Rejected("variable", f"{where} depends on {which}")
    _try(select, known, parse, "selector", where)


def _check_choice(variable: Variable, where: str) -> None:
    if variable.all_value is not UNSET:
        if not variable.all:
            raise Rejected("variable", f"{where} has all_value, and so takes all: true")
        try:
            re2.compile(variable.all_value)
        except re2.error as error:
            raise Rejected("variable", f"{where}, all_value: {error}") from None
    if variable.default is UNSET:
        return
    if len(variable.default) > 1 and (not variable.multi or ALL in variable.default):
        raise Rejected("variable", f"{where} has one value at a time, and {ALL} stands alone")
    for value in variable.default:
        if value == ALL and not variable.all:
            raise Rejected("variable", f"{where}: the default {ALL} takes all: true")
        if value != ALL and variable.values is not UNSET and value not in variable.values:
            raise Rejected("variable", f"{where}: its default {value} is none of its values")


def check_asked(text: str, variables: Sequence[Variable], where: str, **extra: Any) -> None:
    """Raises Rejected if the text can't be parsed as a selector or an expression with any of the
    tried values for its variables; `extra` goes into the answer."""
    _try(text, variables, read_asked, None, where, **extra)


def _try(
    text: str,
    variables: Sequence[Variable],
    reader: Callable[[str], object],
    code: str | None,
    where: str,
    **extra: Any,
) -> None:
    first: Problem | None = None
    for sample in _SAMPLES:
        filled = _with_samples(text, variables, sample)
        try:
            reader(filled)
        except Problem as problem:
            first = first or problem
        else:
            return
        if filled == text:
            break
    assert first is not None
    raise Rejected(code or first.code, f"{where}: {first.detail}", **extra) from None


def _with_samples(text: str, variables: Sequence[Variable], sample: str) -> str:
    known = {one.name: one for one in variables}

    def meant(match: re.Match[str], fallback: str) -> str:
        name = _name_of(match)
        if name in BUILT_IN:
            return BUILT_IN[name]
        if name not in known:
            return match[0]
        variable = known[name]
        if variable.default is not UNSET and variable.default[0] != ALL:
            return variable.default[0]
        return fallback if variable.values is UNSET else variable.values[0]

    parts = _STRING.split(text)
    for index, part in enumerate(parts):
        if index % 2:
            # The text in quotes depends on the chosen value: any harmless one will do.
            parts[index] = _REFERENCE.sub(lambda match: _harmless(match, known), part)
        else:
            parts[index] = _REFERENCE.sub(lambda match: meant(match, sample), part)
    return "".join(parts)


def _harmless(match: re.Match[str], known: dict[str, Variable]) -> str:
    name = _name_of(match)
    return "a" if name in known or name in BUILT_IN else match[0]
