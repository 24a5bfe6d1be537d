"""What an examination finds."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Cure: TypeAlias = Literal[
    "idle", "total", "buffering", "delay", "upgrade", "compression", "forwarding", "upload"
]
"""The kind of proxy setting that helps."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found, or could not be told."""

    code: str
    """A stable slug."""
    level: Literal["ok", "problem", "note", "unknown"]
    """Only a problem makes a path unhealthy; `unknown` says what could not be found out, and
    why."""
    text: str
    """One or two sentences for people."""
    cure: Cure | None = None


class Setting(msgspec.Struct, frozen=True):
    """What to set on one proxy."""

    cure: Cure
    default: str
    """What it does if nothing is set."""
    set: str
    """As it is written in the proxy's configuration; for nginx, directives of a `location`."""
    source: str
    """Where the vendor says so."""
    note: str = ""
    """Where else or how else it is set, or why not."""


class Proxy(msgspec.Struct, frozen=True):
    """A proxy or load balancer, how it shows itself, and its settings."""

    name: str
    signs: tuple[str, ...]
    """`header: pattern`, regular expressions on the header fields of an answer, any case."""
    settings: tuple[Setting, ...]


class Report(msgspec.Struct, frozen=True):
    """The result; as JSON, the document that `--json` prints."""

    url: str
    healthy: bool
    seconds: float
    """How long the examination took."""
    idle: float
    """Seconds of quiet up to which cuts were looked for."""
    findings: tuple[Finding, ...]
    seen: tuple[str, ...]
    """Names of the proxies that show in headers; there may be others."""
    advice: tuple[Proxy, ...]
    """Settings that fit what was found: for the proxies seen, or for all proxies if none was
    seen."""
