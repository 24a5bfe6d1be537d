"""`pushsvc serve`."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import click
import msgspec
import structlog
import trio

from pushsvc.cli.options import fail, load_settings, settings_options
from pushsvc.cli.process import (
    drain_on_signal,
    prepare_to_serve,
    reload_on_signal,
    run_command,
    start_unless,
)
from pushsvc.cli.terminal import say
from pushsvc.client.errors import reason
from pushsvc.config import ConfigError, Settings
from pushsvc.journal import JournalError
from pushsvc.journal.valkey.address import AddressError
from pushsvc.listen.inherited import Inherited, inherit_sockets
from pushsvc.listen.tls import CertificateError
from pushsvc.log import configure_logging
from pushsvc.service import run_service
from pushsvc.workers.assignment import Assignment, assigned
from pushsvc.workers.orders import Orders
from pushsvc.workers.supervisor import WorkerFailed, count_of, supervise


@click.command("serve")
@settings_options
def command(**flags: Any) -> None:
    """Run the service.

    Prints its URL on one line when it is ready, one for each address it listens on; logs go to
    standard error. Ctrl-C or SIGTERM ends it: subscribers are told to come back, requests are
    finished, and the exit status is 0. A second signal ends it at once.

    A certificate whose files were replaced is read again within two seconds, for connections that
    come from then on; SIGHUP has it read again at once. Sockets that systemd passes (LISTEN_FDS)
    are served instead of the default address, and beside those that --host or --port name; one
    for datagrams is StatsD's.

    With --workers N so many processes serve, replaced whenever one ends. They share the log, the
    port and each other's clients: any of them can answer for all.
    """
    assignment = assigned(os.environ)
    loaded = load_settings(**flags)
    settings = loaded.settings
    configure_logging(settings.log.level, settings.log.format)
    prepare_to_serve()
    try:
        if assignment is not None:
            structlog.contextvars.bind_contextvars(worker=assignment.index)
            run_command(partial(_work, settings, assignment))
            return
        inherited = inherit_sockets(os.environ)
        if inherited.listeners and loaded.origins.keys().isdisjoint(("server.host", "server.port")):
            server = msgspec.structs.replace(settings.server, host=())
            settings = msgspec.structs.replace(settings, server=server)
        run_command(partial(_serve, settings, inherited))
    except WorkerFailed as failed:
        raise SystemExit(failed.status if failed.status > 0 else 1) from None
    except (AddressError, ConfigError) as error:
        fail(str(error), status=2)
    except (CertificateError, JournalError) as error:
        fail(str(error))
    except OSError as error:
        fail(explain_bind(error))


async def _serve(settings: Settings, inherited: Inherited) -> None:
    drain = trio.Event()
    renew, reload = trio.open_memory_channel[None](0)
    async with trio.open_nursery() as nursery:
        await nursery.start(drain_on_signal, drain)
        await nursery.start(reload_on_signal, renew)
        async with trio.open_nursery() as serving:
            serve = partial(run_service, settings)
            if count_of(settings) > 1:
                program = [sys.executable, "-m", "pushsvc", *sys.argv[1:]]
                serve = partial(supervise, settings, program)
            run = partial(serve, drain=drain, reload=reload, inherited=inherited)
            for place in await start_unless(drain, serving, run) or ():
                say(place)
        nursery.cancel_scope.cancel()


async def _work(settings: Settings, assignment: Assignment) -> None:
    """Serve as one of several workers."""
    drain = trio.Event()
    renew, reload = trio.open_memory_channel[None](0)
    orders = Orders(assignment.orders)
    async with trio.open_nursery() as nursery:
        await nursery.start(drain_on_signal, drain)
        nursery.start_soon(orders.run, drain, renew)
        async with trio.open_nursery() as serving:
            run = partial(
                run_service,
                assignment.share_of(settings),
                drain=drain,
                reload=reload,
                inherited=assignment.adopt(),
                assignment=assignment,
            )
            if await start_unless(drain, serving, run) is not None:
                await orders.ready()
        nursery.cancel_scope.cancel()


def explain_bind(error: OSError) -> str:
    """Why the address can't be listened on, in one line."""
    if not error.filename:
        return f"can't serve: {reason(error)}"
    return f"can't listen on {error.filename}: {error.strerror or reason(error)}"
