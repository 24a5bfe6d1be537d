"""Programs that are compiled from Go's modules, once, into the user's cache."""

from __future__ import annotations

import json
import os
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


def prometheus() -> Path:
    """Where Prometheus 3 is, if it was compiled: Debian's is Prometheus 2."""
    return cached(f"prometheus-{PROMETHEUS}", "PUSHSVC_PROMETHEUS")


def build_prometheus() -> Path:
    """Compile it, without its page. Raises CalledProcessError."""
    target = prometheus()
    target.parent.mkdir(parents=True, exist_ok=True)
    package = "github.com/prometheus/prometheus/cmd/prometheus"
    with tempfile.TemporaryDirectory() as folder:
        go("mod", "init", "program", folder=folder)
        go("get", f"{package}@{_module(PROMETHEUS)}", folder=folder)
        go("build", "-trimpath", "-ldflags", "-s -w", "-o", str(target), package, folder=folder)
    return target


if __name__ == "__main__":
    if not prometheus().exists():
        sys.stderr.write(f"compiling Prometheus {PROMETHEUS} ...\n")
        build_prometheus()
    sys.stdout.write(f"{prometheus()}\n")
