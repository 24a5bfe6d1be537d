"""Figures, how they are written, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.bench.process import LOAD_CPU, ROOT, SERVER_CPU


class Figure(msgspec.Struct, frozen=True):
    """A measured quantity: the median of its rounds."""

    median: float
    rounds: list[float]

    @classmethod
    def of(cls, rounds: list[float]) -> Figure:
        return cls(statistics.median(rounds), rounds)


class Machine(msgspec.Struct, frozen=True):
    """Where and with what it was measured."""

    cpu: str
    cores: int
    server_core: int
    load_core: int
    system: str
    load_average: float
    """Over the last minute, at the start: how busy others kept the machine."""
    python: str
    versions: dict[str, str]
    revision: str


class Target(msgspec.Struct, frozen=True):
    """What the service is meant to reach, and what it did."""

    what: str
    wanted: float
    measured: float
    at_most: bool = False
    """Whether less is better."""

    @property
    def reached(self) -> bool:
        if self.at_most:
            return self.measured <= self.wanted
        return self.measured >= self.wanted


def machine() -> Machine:
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        server_core=SERVER_CPU,
        load_core=LOAD_CPU,
        system=f"{platform.system()} {platform.release()}",
        load_average=os.getloadavg()[0],
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={
            name: version(name) for name in ("trio", "hypercorn", "quart", "quart-trio", "msgspec")
        },
        revision=_revision(),
    )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    """The commit that is measured, marked if files differ from it."""
    try:
        found = subprocess.run(
            ("git", "describe", "--always", "--dirty", "--abbrev=12"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def ratio(value: float | None, *, digits: int = 1) -> str:
    if value is None:
        return "-"
    return f"{value:.0f} x" if value >= 10 else f"{value:.{digits}f} x"


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def count(value: float) -> str:
    """A number to three digits, with thousands set apart."""
    return f"{float(f'{value:.3g}'):,.0f}"
