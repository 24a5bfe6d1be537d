"""Decoding: samples a second of one core, by format, beside the format's own library."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.bench.decoding import SERIES, Done, Job
from tests.bench.process import SERVER_CPU, running
from tests.bench.report import Figure, count, ratio

REFERENCES = {
    "remote write 1.0": "protobuf (upb), walked",
    "remote write 2.0": "protobuf (upb), walked",
    "line protocol": "line-protocol-parser (C), line by line",
    "OTLP": "protobuf (upb), walked",
    "OTLP, histograms": "protobuf (upb), walked",
    "OTLP as JSON": "msgspec to dicts",
    "JSON": "msgspec to dicts",
    "MessagePack": "msgspec to dicts",
}
_ANSWER = 60.0


class Decoders(msgspec.Struct, frozen=True):
    """The outcome of a case; both in samples per second of one core."""

    format: str
    body_bytes: int
    ours: Figure
    reference: Figure


class DecodeCase(msgspec.Struct, frozen=True):
    format: str
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        return f"decoding {self.format}"

    @property
    def steps(self) -> int:
        return 2 * self.rounds

    def run(self, step: Callable[[str], None]) -> Decoders:
        """Measure, one after the other; `step` is called before each. Raises Failed."""
        speeds: dict[bool, list[float]] = {False: [], True: []}
        size = 0
        with running(("-m", "tests.bench.decoding"), SERVER_CPU) as child:
            for number in range(self.rounds):
                for reference, found in speeds.items():
                    who = REFERENCES[self.format] if reference else "pushsvc"
                    step(f"{self.title}: {who}, round {number + 1} of {self.rounds}")
                    child.tell(msgspec.json.encode(Job(self.format, reference, self.seconds)))
                    done = msgspec.json.decode(child.hear(_ANSWER), type=Done)
                    found.append(done.samples / done.cpu)
                    size = done.body_bytes
        return Decoders(self.format, size, Figure.of(speeds[False]), Figure.of(speeds[True]))


def cases(*, quick: bool) -> list[DecodeCase]:
    rounds, seconds = (3, 0.3) if quick else (5, 1.0)
    return [DecodeCase(name, rounds, seconds) for name in REFERENCES]


COLUMNS = ("format", "body", "reference", "pushsvc, samples/s", "reference, samples/s", "÷")


def rows(outcome: Decoders) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS; bodies are of SERIES samples."""
    yield (
        outcome.format,
        f"{outcome.body_bytes / SERIES:,.0f} B/sample",
        REFERENCES[outcome.format],
        count(outcome.ours.median),
        count(outcome.reference.median),
        ratio(outcome.ours.median / outcome.reference.median),
    )
