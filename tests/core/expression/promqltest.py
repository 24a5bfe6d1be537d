"""A reader of Prometheus' own test files of PromQL, whose format is described beside them
(https://github.com/prometheus/prometheus/tree/main/promql/promqltest)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Final, TypeAlias

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.evaluate import Evaluator, Result, Rows, Series
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.reading import ExpressionError, read
from pushsvc.core.query.selector import Matcher

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class NativeHistogram(Exception):
    """A case that is about native histograms."""


@dataclass(slots=True)
class Case:
    """One `eval`: its place in the file, its question, and what has to come of it."""

    line: int
    text: str
    start: int
    end: int
    step: int  # 0: at one time
    expected: list[tuple[Labels, list[float | None]]] = field(default_factory=list)
    scalar: float | None = None
    string: str | None = None
    fails: bool = False
    ordered: bool = False
    native: bool = False
    annotations: list[tuple[str, str]] = field(default_factory=list)
    """Kinds, as in `expect no_info`, and what is said."""
    range: tuple[int, int, int] | None = None


class Storage:
    """The series that a file has loaded so far."""

    def __init__(self) -> None:
        self.rows: dict[Labels, dict[int, float | str | None]] = {}

    def load(self, line: str, step: int) -> None:
        """Take in one series."""
        labels, points = series(line)
        rows = self.rows.setdefault(labels, {})
        for place, point in enumerate(points):
            if point != "_":
                rows[place * step] = None if point == "stale" else point

    def load_native(self, line: str, step: int) -> None:
        """Take in the native histogram that a bucket of a classic one is a part of."""
        labels, points = series(line)
        name = label_sets.get(labels, "__name__")
        if name.endswith("_bucket"):
            name = name.removesuffix("_bucket")
            labels = label_sets.replace(label_sets.drop(labels, ("le",)), "__name__", name)
            self.rows[labels] = {place * step: "{{}}" for place in range(len(points))}

    def select(self, matchers: tuple[tuple[Matcher, ...], ...]) -> Iterator[Rows]:
        """As an evaluator asks for them. Raises NativeHistogram if there are any among them."""
        for labels, points in self.rows.items():
            named = dict(labels)
            if any(
                all(matcher.matches(named.get(matcher.name, "")) for matcher in way)
                for way in matchers
            ):
                times = sorted(points)
                values = [points[time] for time in times]
                if any(isinstance(value, str) for value in values):
                    raise NativeHistogram
                yield Rows(labels, times, values)  # type: ignore[arg-type]


def series(line: str) -> tuple[Labels, list[float | str]]:
    """The labels and the points of a line: numbers, "_", "stale", or a native histogram."""
    head, rest = _split(line)
    return _labels(head), list(_points(rest))


def duration(text: str) -> int:
    """In ms; a number without a unit is of seconds."""
    parts = re.findall(r"([\d.]+)(ms|[smhdw])", text)
    if not parts:
        return round(float(text) * 1000)
    sign = -1 if text.startswith("-") else 1
    return sign * sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def _split(line: str) -> tuple[str, str]:
    quoted = ""
    depth = 0
    for place, character in enumerate(line):
        if quoted:
            if character == quoted and line[place - 1] != "\\":
                quoted = ""
        elif character in "\"'`":
            quoted = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return line[: place + 1], line[place + 1 :]
        elif character.isspace() and not depth:
            return line[:place], line[place:]
    return line, ""


_PAIR: Final = re.compile(
    r"""\s*(?:(?P<name>[\w.:]+|"(?:[^"\\]|\\.)*")\s*=\s*)?"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*,?"""
)


def _unquote(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")


def _labels(head: str) -> Labels:
    name, _, inner = head.partition("{")
    pairs = {"__name__": name.strip()}
    for match in _PAIR.finditer(inner.rstrip("} \t")):
        label = match["name"]
        if label is None:
            pairs["__name__"] = _unquote(match["value"])
        else:
            pairs[_unquote(label) if label[0] == '"' else label] = _unquote(match["value"])
    return label_sets.make(pairs)


_POINT: Final = re.compile(
    r"(?P<base>\{\{.*?\}\}|stale|_|[-+]?(?:[Ii]nf|[Nn]a[Nn]|[\d.]+(?:[eE][-+]?\d+)?))"
    r"(?P<step>[-+](?:\{\{.*?\}\}|[Ii]nf|[Nn]a[Nn]|[\d.]+(?:[eE][-+]?\d+)?))?(?:x(?P<times>\d+))?"
)


def _points(text: str) -> Iterator[float | str]:
    for match in _POINT.finditer(re.sub(r"\s+#.*", "", text)):
        base, times = match["base"], match["times"]
        if base in ("_", "stale"):
            yield from [base] * (int(times) if times else 1)
        elif base.startswith("{{"):
            yield from [base] * (int(times) + 1 if times else 1)
        else:
            value, step = number(base), number(match["step"] or "0")
            for place in range(int(times) + 1 if times else 1):
                yield value + step * place if place else value


def number(text: str) -> float:
    """A number as the files write it."""
    return float(int(text, 16)) if text.startswith("0x") else float(text)


_EVAL: Final = re.compile(
    r"eval(?:_(?P<kind>fail|warn|info|ordered))?\s+"
    r"(?:instant\s+(?:at\s+(?P<at>\S+)\s+)?|range\s+from\s+(?P<start>\S+)\s+to\s+(?P<end>\S+)\s+"
    r"step\s+(?P<step>\S+)\s+)(?P<text>.*)"
)
_RANGE: Final = re.compile(r"expect range vector from (\S+) to (\S+) step (\S+)")


Visit: TypeAlias = Callable[[str, int, int, int, Storage], None]
"""Sees a question: its text, its first and last step, the time between steps or 0, the series."""


_ANNOTATED: Final = re.compile(r"expect\s+((?:no_)?(?:warn|info))(?:\s+msg:(.*))?$")


def run(text: str, visit: Visit | None = None) -> Iterator[tuple[Case, str | None]]:
    """Run a file: each case, and what is wrong with it, None if nothing.

    What is about native histograms is `native` and has not been compared. `visit` sees each
    question with the series that there are.
    """
    storage = Storage()
    lines = text.split("\n")
    place = 0
    while place < len(lines):
        line = lines[place].strip()
        number_of_line = place + 1
        place += 1
        if not line or line.startswith("#"):
            continue
        block = []
        while place < len(lines) and lines[place].strip():
            if not lines[place].strip().startswith("#"):
                if not lines[place][0].isspace() and _starts(lines[place]):
                    break
                block.append(lines[place].strip())
            place += 1
        if line == "clear":
            storage = Storage()
        elif line.startswith("load"):
            command, step = line.split()
            for loaded in block:
                storage.load(loaded, duration(step))
                if command == "load_with_nhcb":
                    storage.load_native(loaded, duration(step))
        else:
            case, wrong = _case(line, block, number_of_line, storage)
            if visit is not None and not case.native:
                visit(case.text, case.start, case.end, case.step, storage)
            yield case, wrong


def _starts(line: str) -> bool:
    return line.startswith(("eval", "load", "clear"))


def _case(line: str, block: list[str], place: int, storage: Storage) -> tuple[Case, str | None]:
    match = _EVAL.match(line)
    assert match is not None, line
    if match["step"]:
        start, end, step = (duration(match[name]) for name in ("start", "end", "step"))
    else:
        start = end = duration(match["at"] or "0")
        step = 0
    case = Case(place, match["text"], start, end, step)
    case.fails = match["kind"] == "fail"
    case.ordered = match["kind"] == "ordered"
    for expected in block:
        _expect(case, expected)
    try:
        return case, _judge(case, storage)
    except NativeHistogram:
        case.native = True
        return case, None


def _expect(case: Case, line: str) -> None:
    if line.startswith("expect"):
        ranged = _RANGE.match(line)
        case.fails = case.fails or line.startswith("expect fail")
        case.ordered = case.ordered or line.startswith("expect ordered")
        if match := _ANNOTATED.match(line):
            case.annotations.append((match[1], (match[2] or "").strip()))
        if line.startswith("expect string"):
            case.string = _unquote(line.removeprefix("expect string").strip())
        if ranged:
            start, end, step = (duration(part) for part in ranged.groups())
            case.range = start, end, step
    elif line.startswith("expected_fail"):
        return
    elif "{{" in line:
        case.native = True
    elif re.fullmatch(r"[-+]?(?:inf|nan|[\d.]+(?:e[-+]?\d+)?)", line, re.IGNORECASE):
        case.scalar = number(line)
    else:
        labels, points = series(line)
        case.expected.append((labels, [None if point == "_" else point for point in points]))  # type: ignore[misc]


def _judge(case: Case, storage: Storage) -> str | None:
    try:
        node = read(case.text)
        evaluator = Evaluator(storage, case.start, case.end, step=case.step, late_names=True)
        steps = range(case.start, case.end + 1, case.step or 1)
        results = [evaluator.at(node, step) for step in steps]
    except (ExpressionError, EvaluationError) as error:
        return None if case.fails else f"refused: {error}"
    if case.native:
        return None
    if case.fails:
        return "was to be refused"
    if reason := _annotated(case, evaluator):
        return reason
    if case.step:
        return _compare_range(case, results)
    return _compare(case, results[0])


def _annotated(case: Case, evaluator: Evaluator) -> str | None:
    told = {"warn": evaluator.annotations.warnings, "info": evaluator.annotations.infos}
    for kind, text in case.annotations:
        found = told[kind.removeprefix("no_")]
        if kind.startswith("no_") and found:
            return f"{kind}, and there is {found}"
        if not kind.startswith("no_") and not (text in found if text else found):
            return f"{kind} {text!r} isn't among {found}"
    return None


def _compare_range(case: Case, results: list[Result]) -> str | None:
    found: dict[Labels, list[float | None]] = {}
    for place, result in enumerate(results):
        if isinstance(result, float):
            found.setdefault((), [None] * len(results))[place] = result
            continue
        assert isinstance(result, list)
        for element in result:
            assert not isinstance(element, Series)
            found.setdefault(element.labels, [None] * len(results))[place] = element.value
    wanted = {
        labels: values + [None] * (len(results) - len(values)) for labels, values in case.expected
    }
    if case.scalar is not None:
        wanted[()] = [case.scalar]
    return _difference(wanted, found)


def _compare(case: Case, result: Result) -> str | None:
    if isinstance(result, str):
        return None if result == case.string else f"got {result!r}"
    if isinstance(result, float):
        wanted_number = case.scalar
        if wanted_number is None and case.expected:
            wanted_number = case.expected[0][1][0]
        return None if _same(wanted_number, result) else f"got {result}"
    found: dict[Labels, list[float | None]] = {}
    for one in result:
        if isinstance(one, Series):
            assert case.range is not None
            start, end, step = case.range
            values = dict(zip(one.times, one.values, strict=True))
            found[one.labels] = [values.get(time) for time in range(start, end + 1, step)]
        else:
            found[one.labels] = [one.value]
    if case.ordered and list(found) != [labels for labels, _ in case.expected]:
        return f"in the order {[label_sets.show(labels) for labels in found]}"
    return _difference(dict(case.expected), found)


def _difference(
    wanted: dict[Labels, list[float | None]], found: dict[Labels, list[float | None]]
) -> str | None:
    for labels, values in wanted.items():
        if labels not in found:
            if any(value is not None for value in values):
                return f"{label_sets.show(labels)} is missing, of {_shown(found)}"
        elif not all(itertools.starmap(_same, itertools.zip_longest(values, found[labels]))):
            return f"{label_sets.show(labels)} is {found[labels]} and not {values}"
    for labels, values in found.items():
        if labels not in wanted:
            return f"{label_sets.show(labels)} is too much: {values}"
    return None


def _shown(found: Iterable[Labels]) -> list[str]:
    return [label_sets.show(labels) for labels in found]


def _same(wanted: float | None, found: float | None) -> bool:
    if wanted is None or found is None:
        return wanted is found
    if isnan(wanted) or isnan(found):
        return isnan(wanted) and isnan(found)
    if wanted == found:
        return True
    if inf in (abs(wanted), abs(found)):
        return False
    return abs(wanted - found) <= 1e-6 * (abs(wanted) + abs(found)) or (
        abs(wanted) + abs(found) < 1e-300
    )
