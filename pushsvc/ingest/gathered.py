"""The samples of a body of lines, which are gathered by series."""

from __future__ import annotations

import msgspec

from pushsvc.core.model.series import Batch, Identity, Kind, Rows


class Known(msgspec.Struct):
    """A series that came before, and what is known of it."""

    identity: Identity
    kind: Kind | None
    unit: str | None = None
    help: str | None = None


class Gathered:
    """The samples of a body by series; those with a time of their own apart from those without."""

    def __init__(self) -> None:
        self.given: dict[str, Rows] = {}
        """Public so that the caller can add to it without a call."""
        self._stamped: dict[str, Rows] = {}
        self._done: list[Rows] = []

    def add(self, series: Known, time: int, value: float) -> None:
        """Add a sample with a time of its own, in Unix ms."""
        identity = series.identity
        rows = self.given.get(identity.text)
        if rows is None:
            self.given[identity.text] = Rows(
                identity, [time], [value], series.kind, series.unit, series.help, True
            )
        else:
            rows.times.append(time)
            rows.values.append(value)

    def stamp(self, series: Known, now_ms: int, value: float) -> None:
        """Add a sample without a time, after all earlier ones of its series."""
        identity = series.identity
        text = identity.text
        before = self.given.pop(text, None) if self.given else None
        rows = self._stamped.get(text)
        if before is not None:
            self._done.append(before)
        if before is not None or rows is None:
            self._stamped[text] = rows = Rows(
                identity, [now_ms], [value], series.kind, series.unit, series.help
            )
            self._done.append(rows)
            return
        rows.times.append(now_ms)
        rows.values.append(value)

    def batch(self) -> Batch:
        return Batch(self._done + list(self.given.values()))
