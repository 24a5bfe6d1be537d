"""`pushsvc check-config`."""

from __future__ import annotations

from typing import Any

import click
import trio

from pushsvc.auth.mode import make_access_control
from pushsvc.cli.options import fail, load_settings, settings_options
from pushsvc.cli.serve import explain_bind
from pushsvc.cli.terminal import say
from pushsvc.config import ConfigError
from pushsvc.journal import JournalError
from pushsvc.journal.valkey.address import parse_address
from pushsvc.listen.listeners import resolve_hosts
from pushsvc.recording.rules import read_rules


@click.command("check-config")
@settings_options
def command(**flags: Any) -> None:
    """Print the configuration that `serve` would run with, as TOML.

    Values that are not defaults say where they came from; secrets are masked. Hosts are looked up,
    and nothing is listened on. The exit status is 2 if the configuration can't be used.
    """
    loaded = load_settings(**flags)
    settings = loaded.settings
    try:
        trio.run(resolve_hosts, settings.server.hosts, settings.server.port)
        if settings.ingest.statsd_address is not None:
            host, port = settings.ingest.statsd_address
            trio.run(resolve_hosts, (host,), port)
        make_access_control(settings)
        read_rules(settings)
        if settings.journal.url:
            parse_address(settings.journal.url)
    except OSError as error:
        fail(explain_bind(error), status=2)
    except (ConfigError, JournalError) as error:
        fail(str(error), status=2)
    say(loaded.toml(), nl=False)
