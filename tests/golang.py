"""Programs that are compiled from Go's modules, once, into the user's cache."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROMETHEUS = "3.11.3"


def cached(name: str, variable: str) -> Path:
    """Where a compiled program is, if it is: what a variable of the environment names, else the
    cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    named = os.environ.get(variable)
    return Path(named) if named else cache / "pushsvc" / name


def go(*arguments: str, folder: str) -> str:
    """Run `go`; what it prints. Raises CalledProcessError."""
    return subprocess.run(
        ["go", *arguments], cwd=folder, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def _module(name: str) -> str:
    """A version of Prometheus as Go's modules number it: 3.11.3 is v0.311.3."""
    major, minor, patch = name.split(".")
    return f"v0.{major}{int(minor):02d}.{patch}"


def prometheus_source() -> Path:
    """The folder of Prometheus' source, which is downloaded if it isn't there. Raises
    CalledProcessError, and FileNotFoundError where there is no Go."""
    module = f"github.com/prometheus/prometheus@{_module(PROMETHEUS)}"
    with tempfile.TemporaryDirectory() as folder:
        told = json.loads(go("mod", "download", "-json", module, folder=folder))
    return Path(told["Dir"])


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that is compiled once."""

    name: str
    version: str
    package: str
    tag: str
    """The version as Go's modules have it."""
    source: Path | None = None
    """A program of ours that the package is a library for."""
    also: tuple[str, ...] = ()
    """More modules that it needs, each with its version."""

    @property
    def path(self) -> Path:
        """Where it is, if it was compiled."""
        return cached(f"{self.name}-{self.version}", f"PUSHSVC_{self.name.upper()}")

    def build(self) -> None:
        """Compile it. Raises CalledProcessError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            go("mod", "init", "program", folder=folder)
            go("get", f"{self.package}@{self.tag}", *self.also, folder=folder)
            # A build that is interrupted leaves nothing that looks like a program.
            built = Path(folder, "built")
            flags = ("-trimpath", "-ldflags", "-s -w", "-o", str(built))
            if self.source is not None:
                shutil.copy(self.source, folder)
                go("mod", "tidy", folder=folder)
            what = self.package if self.source is None else self.source.name
            go("build", *flags, what, folder=folder)
            shutil.move(built, self.path)


PROMETHEUS_TAG = _module(PROMETHEUS)

# Without its page. Debian's is Prometheus 2.
_PROMETHEUS = Program(
    "prometheus",
    PROMETHEUS,
    "github.com/prometheus/prometheus/cmd/prometheus",
    PROMETHEUS_TAG,
)


_OTEL = "go.opentelemetry.io/collector"
COLLECTOR = Program(
    "collector",
    "0.165.0",
    f"{_OTEL}/otelcol",
    "v0.165.0",
    Path(__file__).with_name("collector.go"),
    (
        *(f"{_OTEL}/{kind}/otlp{kind}@v0.165.0" for kind in ("receiver", "exporter")),
        f"{_OTEL}/confmap/provider/fileprovider@v1.71.0",
    ),
)
"""OpenTelemetry's Collector, of the official parts that take OTLP and pass it on."""


def prometheus() -> Path:
    """Where Prometheus 3 is, if it was compiled."""
    return _PROMETHEUS.path


def ensure(*programs: Program) -> None:
    """Compile what isn't there yet, and say so. Raises CalledProcessError, and FileNotFoundError
    where there is no Go."""
    for program in programs:
        if not program.path.exists():
            sys.stderr.write(f"compiling {program.name} {program.version} ...\n")
            program.build()


if __name__ == "__main__":
    ensure(_PROMETHEUS, COLLECTOR)
    sys.stdout.write(f"{prometheus()}\n")
