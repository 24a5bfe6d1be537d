"""`pushsvc serve`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import trio

from pushsvc.cli.options import fail, load_settings, settings_options
from pushsvc.cli.process import (
    drain_on_signal,
    prepare_to_serve,
    reload_on_signal,
    run_command,
)
from pushsvc.client.errors import reason
from pushsvc.config import ConfigError, Settings
from pushsvc.log import configure_logging
from pushsvc.service import run_service
from pushsvc.tls import CertificateError


@click.command("serve")
@settings_options
def command(**flags: Any) -> None:
    """Run the service.

    Prints its URL on one line when it is ready; logs go to standard error. Ctrl-C or SIGTERM ends
    it: subscribers are told to come back, requests are finished, and the exit status is 0. A
    second signal ends it at once. A certificate that was replaced is
    read again by itself, or on SIGHUP.
    """
    settings = load_settings(**flags).settings
    configure_logging(settings.log.level, settings.log.format)
    prepare_to_serve()
    try:
        run_command(partial(_serve, settings))
    except ConfigError as error:
        fail(str(error), status=2)
    except CertificateError as error:
        fail(str(error))
    except OSError as error:
        fail(explain_bind(settings, error))


async def _serve(settings: Settings) -> None:
    drain = trio.Event()
    renew, reload = trio.open_memory_channel[None](0)
    async with trio.open_nursery() as nursery:
        await nursery.start(drain_on_signal, drain)
        await nursery.start(reload_on_signal, renew)
        async with trio.open_nursery() as serving:
            run = partial(run_service, settings, drain=drain, reload=reload)
            click.echo(await serving.start(run))
        nursery.cancel_scope.cancel()


def explain_bind(settings: Settings, error: OSError) -> str:
    """Why the address can't be listened on, in one line."""
    if error.filename:
        return f"can't listen on {error.filename}: {reason(error)}"
    server = settings.server
    return f"can't listen on {server.host} port {server.port}: {reason(error)}"
