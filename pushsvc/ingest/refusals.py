"""Reporting samples that were refused: in words to producers, in metrics and log lines to
operators.

Many producers ignore the answer. So what is refused is counted by format and by the code of the
reason, and logged once a minute.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple

_LINES = 60
"""Lines of log in a minute, over all producers and reasons."""
_KNOWN = 1_000
"""Pairs of a producer and a reason for which the time of the last log line is remembered."""
_MINUTE = 60.0
_EXAMPLE = 240
"""Characters of an example."""


class Refusals:
    """Of one body: how much was refused, and why."""

    def __init__(self, told: int = 20) -> None:
        """`told` is how many different reasons the message contains."""
        self.count = 0
        """Samples, lines or data points, as the format counts."""
        self.by_code: dict[str, tuple[int, str]] = {}
        """By the code of the reason: how many, and the first reason in words."""
        self._told = told
        self._reasons: Counter[str] = Counter()
        self._untold = 0

    def add(self, code: str, reason: str, count: int = 1) -> None:
        if not count:
            return
        self.count += count
        before = self.by_code.get(code)
        self.by_code[code] = (count, reason) if before is None else (before[0] + count, before[1])
        if reason in self._reasons or len(self._reasons) < self._told:
            self._reasons[reason] += count
        else:
            self._untold += count

    @property
    def reasons(self) -> list[str]:
        """The reasons in the message."""
        return list(self._reasons)

    def message(self, unit: str = "") -> str:
        """All refusals in a few sentences; empty if there were none. `unit` is what is counted."""
        unit = f" {unit}" if unit else ""
        told = [
            reason if count == 1 else f"{reason} ({count}{unit})"
            for reason, count in self._reasons.items()
        ]
        if self._untold:
            told.append(f"and {self._untold} more{unit}")
        return "; ".join(told)


class Told(NamedTuple):
    """A line of log: so much of this was refused since the last such line."""

    format: str
    producer: str
    code: str
    amount: int
    example: str


class Ledger:
    """The refusals of all bodies since the start."""

    def __init__(self, tell: Callable[[Told], None]) -> None:
        """`tell` is called for each line of log: at most once a minute for a producer and a
        reason."""
        self._tell = tell
        self.parts: Counter[tuple[str, str]] = Counter()
        """By format and code, the refused parts of bodies of which the rest was accepted."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """By format and code, the bodies of which nothing was accepted."""
        # When each was last logged, and how much was refused since.
        self._last: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()
        self._minute = -_MINUTE
        self._lines = 0

    def note(self, format: str, producer: str, refusals: Refusals, now: float) -> None:  # noqa: A002
        """Part of a body was refused; `now` is seconds of a steady clock."""
        for code, (count, reason) in refusals.by_code.items():
            self.parts[format, code] += count
            self._note(format, producer, code, count, reason, now)

    def note_request(
        self,
        format: str,  # noqa: A002
        producer: str,
        code: str,
        reason: str,
        now: float,
    ) -> None:
        """A whole body was refused."""
        self.requests[format, code] += 1
        self._note(format, producer, code, 1, reason, now)

    def _note(
        self,
        format: str,  # noqa: A002
        producer: str,
        code: str,
        count: int,
        reason: str,
        now: float,
    ) -> None:
        key = format, producer, code
        when, since = self._last.get(key, (now - _MINUTE, 0))
        count += since
        if now - when >= _MINUTE and self._may_tell(now):
            self._tell(Told(format, _printable(producer), code, count, _printable(reason)))
            when, count = now, 0
        self._last[key] = when, count
        self._last.move_to_end(key)
        if len(self._last) > _KNOWN:
            self._last.popitem(last=False)

    def _may_tell(self, now: float) -> bool:
        if now - self._minute >= _MINUTE:
            self._minute, self._lines = now, 0
        self._lines += 1
        return self._lines <= _LINES


def _printable(text: str) -> str:
    """Text from a client, for a line of log."""
    text = text if len(text) <= _EXAMPLE else text[:_EXAMPLE] + "…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
