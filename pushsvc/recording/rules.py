"""The file of recorded expressions.

It is TOML:

    interval = "5s"                     # between two steps, where a rule says nothing; 1s if absent

    [[record]]
    name = "job:requests:rate1m"
    expression = "sum by (job) (rate(http_requests_total[1m]))"
    labels = {team = "web"}             # optional, as all below
    interval = "10s"
    unit = "requests/s"
    help = "Requests a second, by job."
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pushsvc.config import ConfigError, Settings
from pushsvc.core.expression.live import why_not
from pushsvc.core.expression.reading import ExpressionError, read
from pushsvc.core.expression.tree import Node
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.model.series import identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem

_SHORTEST: Final = 1.0
_LONGEST: Final = 3600.0
_OPENING: Final = re.compile(r"\s*(?:\"expression\"|'expression'|expression)\s*=\s*")


class RulesError(Exception):
    """The file can't be used; the message is one line for the person who edits it, with the
    place."""


class Rule(NamedTuple):
    """One recorded expression."""

    name: str
    text: str
    node: Node
    labels: tuple[tuple[str, str], ...]
    interval: float
    """Seconds between two steps, a whole number."""
    unit: str | None
    help: str | None


class _Record(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    expression: str
    labels: dict[str, str] = {}
    interval: str | None = None
    unit: str | None = None
    help: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    record: tuple[_Record, ...] = ()
    interval: str = "1s"


def load_rules(file: Path, limits: Limits) -> tuple[Rule, ...]:
    """Read a file of rules; one that is empty has none. Blocks. Raises RulesError."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise RulesError(f"{file}: not UTF-8, from byte {error.start} on") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{file}: not TOML: {error}") from None
    try:
        read_file = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise RulesError(f"{file}: {error}") from None
    if len(read_file.record) > limits.recorded_expressions:
        raise RulesError(
            f"{file}: {len(read_file.record)} records are more than {limits.recorded_expressions} "
            "(limits.recorded_expressions)"
        )
    rules: list[Rule] = []
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    lines = text.split("\n")
    places = list(_places(lines))
    for number, record in enumerate(read_file.record):
        place = places[number] if len(places) == len(read_file.record) else None
        rule = _rule(record, read_file.interval, limits, _Where(file, lines, number, record, place))
        if (rule.name, rule.labels) in seen:
            where = _Where(file, lines, number, record, place)
            raise where.wrong("a record before it has the same name and labels")
        seen.add((rule.name, rule.labels))
        rules.append(rule)
    return tuple(rules)


def read_rules(settings: Settings) -> tuple[Rule, ...]:
    """The rules that are configured. Blocks. Raises ConfigError."""
    if not settings.recording.file:
        return ()
    try:
        return load_rules(Path(settings.recording.file), settings.limits)
    except RulesError as error:
        raise ConfigError(f"recording.file: {error}") from None


class _Where:
    """A record, as it is named in messages."""

    def __init__(
        self,
        file: Path,
        lines: Sequence[str],
        number: int,
        record: _Record,
        place: tuple[int, int] | None,
    ) -> None:
        self._file, self._lines = file, lines
        self._number, self._record, self._place = number, record, place

    def wrong(self, reason: str) -> RulesError:
        """The message about a mistake in it."""
        line = "" if self._place is None else f":{self._place[0]}"
        return RulesError(
            f"{self._file}{line}: record {self._number + 1} ({self._record.name}): {reason}"
        )

    def wrong_expression(self, error: ExpressionError) -> RulesError:
        """The message about a mistake in its expression, with the exact column."""
        position = error.position
        if self._place is None:
            return self.wrong(error.reason)
        line, column = self._place
        if not _stands_there(self._lines, line, column, self._record.expression):
            return self.wrong(error.reason)  # the expression is written with escapes
        before = self._record.expression[:position]
        fallen = before.count("\n")
        column = position - (before.rfind("\n") + 1) + (1 if fallen else column)
        return RulesError(
            f"{self._file}:{line + fallen}:{column}: record {self._number + 1} "
            f"({self._record.name}): {error.reason}"
        )


def _stands_there(lines: Sequence[str], line: int, column: int, expression: str) -> bool:
    """Whether an expression is written in the file without escapes, from this place on."""
    first, *others = expression.split("\n")
    return lines[line - 1][column - 1 :].startswith(first) and all(
        written.startswith(wanted) for wanted, written in zip(others, lines[line:], strict=False)
    )


def _places(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Line and column, from 1, at which each expression of the file begins."""
    for number, line in enumerate(lines, 1):
        match = _OPENING.match(line)
        if match is None:
            continue
        rest = line[match.end() :]
        for quotes in ('"""', "'''", '"', "'"):
            if rest.startswith(quotes):
                if len(quotes) == 3 and not rest[3:].strip():
                    yield number + 1, 1  # TOML leaves out a line's end right behind the quotes
                else:
                    yield number, match.end() + len(quotes) + 1
                break


def _rule(record: _Record, interval: str, limits: Limits, where: _Where) -> Rule:
    try:
        node = read(record.expression, limits)
    except ExpressionError as error:
        raise where.wrong_expression(error) from None
    reason = why_not(node)
    if reason is not None:
        raise where.wrong(f"the expression can't be recorded: {reason}")
    try:
        identity = identify(record.name, record.labels, limits)
    except Problem as error:
        raise where.wrong(str(error)) from None
    return Rule(
        record.name,
        record.expression,
        node,
        identity.labels,
        _seconds(record.interval or interval, where),
        record.unit,
        record.help,
    )


def _seconds(text: str, where: _Where) -> float:
    try:
        seconds = parse_duration(text)
    except Malformed:
        raise where.wrong(f"interval {text!r} is no duration, as 5s or 1m") from None
    if not _SHORTEST <= seconds <= _LONGEST or seconds != int(seconds):
        raise where.wrong(f"interval {text!r}: whole seconds, from 1s to 1h")
    return seconds
