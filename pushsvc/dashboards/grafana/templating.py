"""Converts Grafana's variables to ours, and the texts that refer to them.

A constant variable is replaced by its value. A variable that chooses a data source is dropped: all
series are those of this service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import re2
from msgspec import UNSET, UnsetType

from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import label_in_selector, quote
from pushsvc.dashboards.grafana.members import Fields, fields, items, regex_of, text, within
from pushsvc.dashboards.grafana.remarks import Remarks
from pushsvc.dashboards.grafana.sources import Sources
from pushsvc.dashboards.variables import ALL, BUILT_IN, Variable, check_variables, references
from pushsvc.errors import Problem

REFERENCE: Final = re.compile(
    r"\$(?P<bare>[A-Za-z_]\w*)"
    r"|\$\{(?P<braced>\w+)(?::(?P<format>[^}]*))?\}"
    r"|\[\[(?P<old>\w+)(?::(?P<old_format>\w+))?\]\]"
)
"""A reference to a variable as Grafana writes it: $name, ${name}, ${name:format}, [[name]]."""
_MOST_VALUES: Final = 200
_MOST: Final = 32
_WORD: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_LABEL_VALUES: Final = re.compile(r"\s*label_values\s*\(\s*(.*)\)\s*", re.DOTALL)
_METRICS: Final = re.compile(r"\s*metrics\s*\((.*)\)\s*", re.DOTALL)
_PLAIN: Final = re.compile(r"\s*[\w:]*\s*(?:\{[^{}]*\})?\s*")
_QUERY_RESULT: Final = re.compile(r"\s*query_result\s*\(\s*(.*)\)\s*", re.DOTALL)
_PICKED: Final = re.compile(
    r"(?:\^?\.\*)?[{,]?([A-Za-z_]\w*)=\"\((?:\?<\w+>)?(?:\[\^\"\]|\.)[*+]\??\)\"?(?:\.\*\$?)?"
)
"""What picks the value of one label out of the text of a series: `/.*instance="([^"]*)".*/`."""
_UNTIL_LABEL: Final = re.compile(r"(?:(.*),)?\s*([A-Za-z_][\w.:/-]*|\"[^\"]+\")\s*", re.DOTALL)


class Unknown(Exception):
    """A text refers to something that is no variable of ours; the message names it."""


class Templating:
    """The variables of one dashboard."""

    def __init__(self, document: Fields, sources: Sources, remarks: Remarks) -> None:
        """Notes in `remarks` which of them can't be converted."""
        self._remarks = remarks
        self._data_sources = sources
        self._constants: dict[str, str] = {}
        self._sources: set[str] = set()
        self.variables: tuple[Variable, ...] = ()
        for given in items(document.get("__inputs")):
            if given.get("type") == "constant" and (name := text(given.get("name"))):
                self._constants[name] = text(given.get("value"))
        listed = items(within(document, "templating").get("list"))
        wanted = {name: one for one in listed if (name := text(one.get("name")))}
        self._listed = set(wanted)
        for name, one in wanted.items():
            if one.get("type") == "constant":
                self._constants[name] = self.written(text(one.get("query")), strictly=False)
            elif one.get("type") == "datasource":
                self._sources.add(name)
        made: dict[str, Variable] = {}
        for name, one in wanted.items():
            if name not in self._constants and name not in self._sources:
                found = self._made(name, one, set(wanted))
                if found is not None:
                    made[name] = found
        self._take(made)

    def written(self, asked: str, *, strictly: bool = True) -> str:
        """The same text with variables in our form, and constants filled in. If `strictly`, raises
        Unknown for any other reference."""
        return self._written(asked, {one.name for one in self.variables}, strictly)

    def repeated(self, given: Fields, where: str, remarks: Remarks, id_: str) -> str | UnsetType:
        """The variable for each of whose values a panel or a row is repeated; notes another."""
        name = text(given.get("repeat"))
        if not name or any(one.name == name for one in self.variables):
            return name or UNSET
        remarks.add(where, f"its repetition for each {name}, which is not taken", id_)
        return UNSET

    def _take(self, made: dict[str, Variable]) -> None:
        """Keep the valid variables, each after those that it depends on."""
        taken: list[Variable] = []
        for variable in _ordered(made):
            where = f"variable {variable.name}"
            if len(taken) == _MOST:
                self._remarks.add(where, f"a dashboard has {_MOST} variables at the most")
                continue
            select = "" if variable.select is UNSET else variable.select
            lacking = set(references(select)) & self._listed - {one.name for one in taken}
            if lacking:
                self._remarks.add(where, f"it depends on ${min(lacking)}, which is not taken")
                continue
            try:
                check_variables([*taken, variable])
            except Problem as problem:
                self._remarks.add(where, problem.detail)
            else:
                taken.append(variable)
        self.variables = tuple(taken)

    def _written(self, asked: str, known: set[str], strictly: bool) -> str:
        def meant(match: re.Match[str]) -> str:
            name = _name_of(match)
            if name in self._constants:
                return self._constants[name]
            if name in known or name in BUILT_IN:
                follows = asked[match.end() : match.end() + 1]
                joined = follows.isalnum() or follows == "_"
                return f"${{{name}}}" if joined else f"${name}"
            if strictly and match["bare"] is None:
                raise Unknown(match[0])
            own = name in self._listed or name.startswith("__")
            if strictly and (own or not _quoted(asked, match.start())):
                raise Unknown(match[0])
            return match[0]

        return REFERENCE.sub(meant, asked)

    def _made(self, name: str, one: Fields, known: set[str]) -> Variable | None:
        """Convert one variable, and check it alone; None if it has no counterpart."""
        where = f"variable {name}"
        if _WORD.fullmatch(name) is None:
            self._remarks.add(where, "its name takes letters, digits and _, and no digit at first")
            return None
        kind = text(one.get("type")) or "query"
        if kind == "query":
            made = self._of_query(name, one, known)
        elif kind in ("custom", "interval", "textbox"):
            made = self._of_list(name, one, kind)
        else:
            self._remarks.add(where, f"variables of the type {kind} are not taken")
            return None
        if made is None:
            return None
        several, every = one.get("multi") is True, one.get("includeAll") is True
        if one.get("hide") == 2:
            self._remarks.add(where, "it is hidden in Grafana, and can be chosen here")
        all_value = text(one.get("allValue"))
        title = text(one.get("label"))[:200]
        return msgspec.structs.replace(
            made,
            title=title if title and title != name else UNSET,
            multi=several,
            all=every,
            all_value=all_value[:1024] if every and all_value else UNSET,
            default=_default(one, made, several=several, every=every),
        )

    def _of_query(self, name: str, one: Fields, known: set[str]) -> Variable | None:
        where = f"variable {name}"
        if self._data_sources.foreign(one.get("datasource")) is not None:
            self._remarks.add(where, "it asks another data source than Prometheus")
            return None
        asked = one.get("query")
        query = text(asked) or text(fields(asked).get("query")) or text(one.get("definition"))
        regex = regex_of(text(one.get("regex")))
        picked = _PICKED.fullmatch(regex)
        if (match := _QUERY_RESULT.fullmatch(query)) and picked and is_plain(match[1]):
            # Its results are texts of series, of which a label's value is picked.
            label, select = picked[1], match[1].strip()
            regex = ""
        elif (match := _LABEL_VALUES.fullmatch(query)) and (
            parts := _UNTIL_LABEL.fullmatch(match[1])
        ):
            label = parts[2].strip('"')
            select = (parts[1] or "").strip() or f'{{{parts[2]}!=""}}'
        elif match := _METRICS.fullmatch(query):
            label, select = "__name__", f'{{__name__=~".*(?:{match[1].strip() or ".*"}).*"}}'
        else:
            found = self._saved(name, one)
            what = f"its query {query[:100]!r}, which is none of label_values(...)"
            self._remarks.add(where, f"{what}: it has its saved values" if found else what)
            return found
        if regex:
            kept = _keeping(select, label, regex)
            if kept is None:
                what = "its regex, which picks parts of the values: they are whole"
                self._remarks.add(where, what)
            else:
                select = kept
        try:
            return Variable(name=name, label=label, select=self._written(select, known, True))
        except Unknown as unknown:
            self._remarks.add(where, f"it depends on {unknown}, which is not taken")
            return None

    def _saved(self, name: str, one: Fields) -> Variable | None:
        values = [text(option.get("value")) for option in items(one.get("options"))]
        values += _current(one)
        wanted = tuple(dict.fromkeys(one for one in values if one and one != ALL))[:_MOST_VALUES]
        return Variable(name=name, values=wanted) if wanted else None

    def _of_list(self, name: str, one: Fields, kind: str) -> Variable | None:
        where = f"variable {name}"
        query = text(one.get("query"))
        values = [query] if kind == "textbox" else list(_split(query))
        if kind == "textbox":
            self._remarks.add(where, "a text of one's own can't be written: it has the one it had")
        if kind == "interval":
            values = [value for value in values if value != "auto" and _is_duration(value)]
        pairs = [re.split(r"\s+:\s+", value, maxsplit=1) for value in values]
        if any(len(pair) == 2 and pair[0] != pair[1] for pair in pairs):
            self._remarks.add(where, "names of its values: they are shown themselves")
        wanted = tuple(dict.fromkeys(pair[-1][:256] for pair in pairs if pair[-1]))
        if len(wanted) > _MOST_VALUES:
            self._remarks.add(where, f"those of its values that are beyond {_MOST_VALUES}")
        found = self._saved(name, one) if not wanted else None
        if not wanted and found is None:
            self._remarks.add(where, "it has no values")
        return Variable(name=name, values=wanted[:_MOST_VALUES]) if wanted else found


def is_plain(select: str) -> bool:
    """Whether this is a selector rather than an expression."""
    return _PLAIN.fullmatch(re.sub(r'"(?:[^"\\]|\\.)*"', '""', select)) is not None


def _keeping(select: str, label: str, regex: str) -> str | None:
    """The selector of those series only whose label's value has a match; None where the regular
    expression picks a part of the value, or means something else here."""
    try:
        if re2.compile(regex).groups:
            return None
        matcher = f"{label_in_selector(label)}=~{quote(f'.*(?:{regex}).*')}"
        select = select.strip()
        inner = select[:-1].rstrip() if select.endswith("}") else f"{select}{{"
        joint = "" if inner.endswith(("{", ",")) else ","
        return f"{inner}{joint}{matcher}}}"
    except re2.error:
        return None


def _name_of(match: re.Match[str]) -> str:
    return match["bare"] or match["braced"] or match["old"]


def _current(one: Fields) -> list[str]:
    """The values that a variable had when it was exported."""
    value = within(one, "current").get("value")
    return [text(each) for each in (value if isinstance(value, list) else [value])]


def _quoted(asked: str, at: int) -> bool:
    return asked[:at].replace('\\"', "").count('"') % 2 == 1


def _default(
    one: Fields, made: Variable, *, several: bool, every: bool
) -> tuple[str, ...] | UnsetType:
    """The initial choice. The values that a query found in Grafana are not used: here they may be
    others."""
    chosen = _current(one)
    if every and (ALL in chosen or not any(chosen)):
        return (ALL,)
    if made.values is UNSET:
        return UNSET
    kept = tuple(value for value in chosen if value in made.values)
    return (kept if several else kept[:1]) or UNSET


def _split(query: str) -> Iterator[str]:
    """The values between commas; an escaped comma doesn't separate."""
    for part in re.split(r"(?<!\\),", query):
        value = part.replace("\\,", ",").strip().strip('"')
        if value:
            yield value


def _is_duration(value: str) -> bool:
    try:
        parse_duration(value, "interval")
    except Problem:
        return False
    return True


def _ordered(made: dict[str, Variable]) -> Iterator[Variable]:
    """The variables, each after those that its selector refers to, otherwise in their order."""
    given: set[str] = set()

    def give(name: str, within: frozenset[str]) -> Iterator[Variable]:
        if name in given or name in within:
            return
        variable = made[name]
        if variable.select is not UNSET:
            for other in references(variable.select):
                if other in made:
                    yield from give(other, within | {name})
        if name not in given:
            given.add(name)
            yield variable

    for name in made:
        yield from give(name, frozenset())
