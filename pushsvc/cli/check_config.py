"""`pushsvc check-config`."""

from __future__ import annotations

from typing import Any

import click

from pushsvc.cli.options import load_settings, settings_options


@click.command("check-config")
@settings_options
def command(**flags: Any) -> None:
    """Print the configuration that `serve` would run with, as TOML.

    Values that are not defaults say where they came from; secrets are masked. The exit status is
    2 if the configuration can't be used.
    """
    click.echo(load_settings(**flags).toml(), nl=False)
