"""`pushsvc demo`."""

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import trio

from pushsvc.cli.options import fail, load_settings, settings_options, token_option
from pushsvc.cli.process import drain_on_signal, prepare_to_serve, run_command, start_unless
from pushsvc.cli.serve import explain_bind
from pushsvc.cli.terminal import say
from pushsvc.config import ConfigError, Settings
from pushsvc.config.hosts import UNIX_PREFIX
from pushsvc.demo.producer import run_producer
from pushsvc.log import configure_logging
from pushsvc.service import run_service

_DEFAULTS = {
    "log.level": "warning",
    "ingest.own_interval": 1.0,
    # The busiest processes change all the time: series of the others are removed.
    "history.series_ttl": 120.0,
}


@click.command("demo")
@settings_options
@click.option(
    "--hz",
    type=click.FloatRange(min=0.1, max=10),
    default=2.0,
    show_default=True,
    help="Readings a second.",
)
@token_option
def command(hz: float, token: str | None, **flags: Any) -> None:
    """Run the service with this machine's metrics, and print the URL to open.

    A producer in the same process reads CPU, memory, disks, networks and processes and publishes
    them through the public HTTP API, like any other. Dashboards are kept in the data directory of
    the user (XDG_DATA_HOME). Ctrl-C or SIGTERM ends both.
    """
    directory = _directory()
    loaded = load_settings(**flags, defaults={**_DEFAULTS, "dashboards.directory": directory})
    settings = loaded.settings
    if all(host.startswith(UNIX_PREFIX) for host in settings.server.hosts):
        fail("the demo is for a browser: --host must name an address too", status=2)
    if settings.server.workers != 1:
        fail("the demo is one process: --workers is for pushsvc serve", status=2)
    configure_logging(settings.log.level, settings.log.format)
    prepare_to_serve()
    try:
        run_command(partial(_demo, settings, hz, token))
    except ConfigError as error:
        fail(str(error), status=2)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or "server.port" in loaded.origins:
            fail(explain_bind(error))
        # The default port wasn't asked for explicitly: use any free one.
        server = msgspec.structs.replace(settings.server, port=0)
        run_command(partial(_demo, msgspec.structs.replace(settings, server=server), hz, token))


def _directory() -> str:
    """The directory for this user's dashboards, so that the editor can be tried; empty if it can't
    be written."""
    try:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError:
        return ""
    directory = home / "pushsvc" / "dashboards"
    made = next(path for path in (directory, *directory.parents) if path.exists())
    return str(directory) if os.access(made, os.W_OK) else ""


async def _demo(settings: Settings, hz: float, token: str | None) -> None:
    drain = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(drain_on_signal, drain)
        async with trio.open_nursery() as serving:
            run = partial(run_service, settings, drain=drain)
            places = await start_unless(drain, serving, run) or ()
            url = next((place for place in places if place.startswith("http")), None)
            if url is None:
                return  # it was stopped before it served
            async with trio.open_nursery() as producing:
                await producing.start(run_producer, url, hz, token)
                program = sys.argv[0] if Path(sys.argv[0]).name == "pushsvc" else "pushsvc"
                kept = settings.dashboards.directory
                say(
                    f"This machine's metrics are live. Open\n\n    {url}\n\n"
                    "or look at them here, in another terminal:\n\n"
                    f"    {program} tail --url {url} node_load1 node_cpu_utilization\n"
                    f"    curl -N '{url}/v1/stream?select=node_load1'\n\n"
                    + (f"Dashboards that you make are kept in {kept}. " if kept else "")
                    + "Ctrl-C ends it."
                )
                await drain.wait()
                producing.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
