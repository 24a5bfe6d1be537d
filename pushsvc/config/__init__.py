"""The configuration: what can be set (`settings`), and where that comes from (`sources`)."""

from __future__ import annotations

from pushsvc.config.settings import (
    Auth,
    ConfigError,
    Dashboards,
    Ingest,
    Keeping,
    Log,
    Server,
    Settings,
    Web,
)
from pushsvc.config.sources import Loaded, load, load_settings

__all__ = [
    "Auth",
    "ConfigError",
    "Dashboards",
    "Ingest",
    "Keeping",
    "Loaded",
    "Log",
    "Server",
    "Settings",
    "Web",
    "load",
    "load_settings",
]
