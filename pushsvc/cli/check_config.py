"""`pushsvc check-config`."""

from __future__ import annotations

from typing import Any

import click

from pushsvc.auth.mode import make_lock
from pushsvc.cli.options import fail, load_settings, settings_options
from pushsvc.cli.terminal import say
from pushsvc.config import ConfigError


@click.command("check-config")
@settings_options
def command(**flags: Any) -> None:
    """Print the configuration that `serve` would run with, as TOML.

    Values that are not defaults say where they came from; secrets are masked. The exit status is
    2 if the configuration can't be used.
    """
    loaded = load_settings(**flags)
    try:
        make_lock(loaded.settings)
    except ConfigError as error:
        fail(str(error), status=2)
    say(loaded.toml(), nl=False)
