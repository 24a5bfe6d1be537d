"""What a run of `pushsvc bench` found."""

from __future__ import annotations

from collections import Counter

import msgspec

_UNIT = 1e-4
"""Seconds that times are rounded to, so that what is kept of millions of them is small."""


class Times:
    """How long something took, many times."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._counts[round(seconds / _UNIT)] += 1

    def spread(self) -> Spread | None:
        """None if there was nothing."""
        count = self._counts.total()
        if not count:
            return None
        ordered = sorted(self._counts.items())
        found = []
        for share in (0.5, 0.9, 0.99, 1.0):
            seen = 0
            for units, times in ordered:
                seen += times
                if seen >= share * count:
                    found.append(round(units * _UNIT * 1000, 1))
                    break
        return Spread(count, *found)


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float

    def __str__(self) -> str:
        figures = (("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("max", self.max))
        return "  ".join(f"{name} {value:>7,.1f} ms" for name, value in figures)


class Summary(msgspec.Struct, frozen=True):
    """All that a run found."""

    url: str
    transport: str
    connections: int
    """That were asked for."""
    connected: int
    failed: dict[str, int]
    """How many connections ended early or never began, by the reason."""
    series: int
    updates: int
    """Published and answered."""
    seconds: float
    """For which they were published."""
    refused: dict[str, int]
    """Updates that the service didn't take, by the reason."""
    missing: int
    """Updates that a connection wasn't given, over all connections that lasted."""
    received_bytes: int
    handshake: Spread | None
    """From connecting to the first document."""
    publish: Spread | None
    """From sending an update to its answer."""
    receipt: Spread | None
    """From sending an update to its receipt, each connection."""
    own_cpu: float
    """Share of a core that this command took while it measured."""
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether all arrived everywhere."""
        return (
            self.connected == self.connections
            and not (self.missing or self.failed or self.refused)
            and self.updates > 0
        )

    def as_text(self) -> str:
        rate = self.updates / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.url}, {self.transport}",
            "",
            f"connections  {self.connected:,} of {self.connections:,}",
            f"updates      {self.updates:,} of {self.series:,} series, {rate:.1f} a second",
        ]
        if self.receipt is not None:
            lines.append(
                f"received     {self.receipt.count:,}, {self.missing:,} missing, "
                f"{self.received_bytes / 1e6:,.1f} MB"
            )
        for name, spread in (
            ("handshake", self.handshake),
            ("publish", self.publish),
            ("receipt", self.receipt),
        ):
            if spread is not None:
                lines.append(f"{name:<12} {spread}")
        lines.append(f"this command {100 * self.own_cpu:.0f} % of a core")
        if self.own_cpu > 0.8:
            lines.append("             which is its own limit: times are longer than the service's")
        for what, reasons in (("connections failed", self.failed), ("refused", self.refused)):
            for reason, count in reasons.items():
                lines.append(f"{what}: {count:,} times: {reason}")
        if self.interrupted:
            lines.append("ended early by Ctrl-C")
        return "\n".join(lines)
