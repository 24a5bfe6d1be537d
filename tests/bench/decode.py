"""Decoding: samples a second of one core, by format, beside the format's own library, and Go's
where it was compiled (`make bench`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.bench.decoding import Done, Job, Who
from tests.bench.peers import unmarshal
from tests.bench.process import SERVER_CPU, running
from tests.bench.report import Figure, count, ratio

REFERENCES = {
    "remote write 1.0": "protobuf (upb), walked",
    "remote write 2.0": "protobuf (upb), walked",
    "line protocol": "line-protocol-parser (C), line by line",
    "OTLP": "protobuf (upb), walked",
    "OTLP, histograms": "protobuf (upb), walked",
    "OTLP, Python SDK": "protobuf (upb), walked",
    "text format": "prometheus_client",
    "OTLP as JSON": "msgspec to dicts",
    "JSON": "msgspec to dicts",
    "MessagePack": "msgspec to dicts",
}
_ANSWER = 60.0


class Decoders(msgspec.Struct, frozen=True):
    """The outcome of a case; all in samples per second of one core."""

    format: str
    sample_bytes: float
    ours: Figure
    reference: Figure
    go: Figure | None
    """Go's own library, which ends in structures."""


class DecodeCase(msgspec.Struct, frozen=True):
    format: str
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        return f"decoding {self.format}"

    @property
    def steps(self) -> int:
        return len(self._who) * self.rounds

    @property
    def _who(self) -> tuple[Who, ...]:
        name = "OTLP" if self.format.startswith("OTLP, ") else self.format
        known = name in unmarshal.MADE and unmarshal.PROGRAM.path.exists()
        return ("pushsvc", "reference", "go") if known else ("pushsvc", "reference")

    def run(self, step: Callable[[str], None]) -> Decoders:
        """Measure, one after the other; `step` is called before each. Raises Failed."""
        speeds: dict[Who, list[float]] = {who: [] for who in self._who}
        size = 0.0
        with running(("-m", "tests.bench.decoding"), SERVER_CPU) as child:
            for number in range(self.rounds):
                for who, found in speeds.items():
                    name = REFERENCES[self.format] if who == "reference" else who
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    child.tell(msgspec.json.encode(Job(self.format, who, self.seconds)))
                    done = msgspec.json.decode(child.hear(_ANSWER), type=Done)
                    found.append(done.samples / done.cpu)
                    size = done.sample_bytes
        of_go = Figure.of(speeds["go"]) if "go" in speeds else None
        ours, reference = Figure.of(speeds["pushsvc"]), Figure.of(speeds["reference"])
        return Decoders(self.format, size, ours, reference, of_go)


def cases(*, quick: bool) -> list[DecodeCase]:
    rounds, seconds = (3, 0.3) if quick else (5, 1.0)
    return [DecodeCase(name, rounds, seconds) for name in REFERENCES]


COLUMNS = (
    "format",
    "body",
    "reference",
    "pushsvc, samples/s",
    "reference, samples/s",
    "÷",
    "Go's unmarshal, samples/s",
)


def rows(outcome: Decoders) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.format,
        f"{outcome.sample_bytes:,.0f} B/sample",
        REFERENCES[outcome.format],
        count(outcome.ours.median),
        count(outcome.reference.median),
        ratio(outcome.ours.median / outcome.reference.median),
        "" if outcome.go is None else count(outcome.go.median),
    )
