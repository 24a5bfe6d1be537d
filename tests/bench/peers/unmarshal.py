"""Go's own libraries for the formats, compiled from Go's modules (`make bench`): pdata, which is
the Collector's, and Prometheus' prompb."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from tests.golang import PROMETHEUS_TAG, Program

PROGRAM = Program(
    "unmarshal",
    "1",
    "github.com/prometheus/prometheus/prompb",
    PROMETHEUS_TAG,
    source=Path(__file__).with_name("unmarshal.go"),
)
MADE = ("remote write 1.0", "remote write 2.0", "OTLP", "OTLP as JSON")
"""Formats that it writes."""


class _Timed(msgspec.Struct):
    rounds: int
    cpu: float


def make(format_: str, series: int) -> bytes:
    """A body of one sample of each series, as Go's library writes it. Raises CalledProcessError."""
    return subprocess.run(
        [PROGRAM.path, "make", format_, str(series)], check=True, stdout=subprocess.PIPE
    ).stdout


def seconds_of(format_: str, body: bytes, seconds: float) -> float:
    """How long Go's library takes to read a body: seconds of CPU. Raises CalledProcessError."""
    told = subprocess.run(
        [PROGRAM.path, "time", format_, str(seconds)],
        check=True,
        input=body,
        stdout=subprocess.PIPE,
    ).stdout
    timed = msgspec.json.decode(told, type=_Timed)
    return timed.cpu / timed.rounds
