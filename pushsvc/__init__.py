"""Real-time push service for dashboards.

core/        the product without I/O: series, selectors, history, views, replay
pipeline     Trio meets the core: ordering, ticking, waking subscribers
journal/     the ordered log of batches
ingest/      producers' formats: bytes in, Batch out
transport/   WebSocket, SSE, NDJSON and long polling over one subscriber loop
app/, listen/  the Quart routes, and Hypercorn on Trio that serves them
service      the composition root: start and stop order
embed/       the service within another program: the names below
client/      a client over the network; cli/, demo/: what a terminal sees

What is offered by name here is loaded when it is first asked for.
"""

from importlib import import_module as _import_module

from pushsvc.version import __version__

TYPE_CHECKING = False  # type checkers know this name; importing it from `typing` would take time
if TYPE_CHECKING:
    from pushsvc.app.producers.answers import Applied
    from pushsvc.client.errors import Busy, ClientError, Refused
    from pushsvc.client.events import (
        Away,
        Back,
        Ended,
        Ending,
        Event,
        Failing,
        Gap,
        Gone,
        Points,
        Sample,
        Series,
    )
    from pushsvc.config import ConfigError, Settings, load_settings
    from pushsvc.embed.mounting import AsgiApp, create_app, mount
    from pushsvc.embed.service import Samples, Service, ServiceStatistics, open_service
    from pushsvc.embed.subscription import DocumentSubscription, Subscription
    from pushsvc.journal import JournalError
    from pushsvc.listen.tls import CertificateError

__all__ = [
    "Applied",
    "AsgiApp",
    "Away",
    "Back",
    "Busy",
    "CertificateError",
    "ClientError",
    "ConfigError",
    "DocumentSubscription",
    "Ended",
    "Ending",
    "Event",
    "Failing",
    "Gap",
    "Gone",
    "JournalError",
    "Points",
    "Refused",
    "Sample",
    "Samples",
    "Series",
    "Service",
    "ServiceStatistics",
    "Settings",
    "Subscription",
    "__version__",
    "create_app",
    "load_settings",
    "mount",
    "open_service",
]

_HOMES = {
    "app.producers.answers": ("Applied",),
    "client.errors": ("Busy", "ClientError", "Refused"),
    "client.events": (
        *("Away", "Back", "Ended", "Ending", "Event", "Failing", "Gap", "Gone"),
        *("Points", "Sample", "Series"),
    ),
    "config": ("ConfigError", "Settings", "load_settings"),
    "embed.mounting": ("AsgiApp", "create_app", "mount"),
    "embed.service": ("Samples", "Service", "ServiceStatistics", "open_service"),
    "embed.subscription": ("DocumentSubscription", "Subscription"),
    "journal": ("JournalError",),
    "listen.tls": ("CertificateError",),
}


if not TYPE_CHECKING:  # type checkers would accept any name with it

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(_import_module(f"{__name__}.{home}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
