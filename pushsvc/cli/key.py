"""`pushsvc key`."""

from __future__ import annotations

import click

from pushsvc.cli.options import fail, grant_options
from pushsvc.cli.terminal import say


@click.group("key")
def command() -> None:
    """Make API keys, for auth.mode keys."""


@command.command("new")
@click.option("--name", default="", help="What it is for, as a note in the file.")
@grant_options
def new(name: str, read: tuple[str, ...], write: tuple[str, ...], operator: bool) -> None:
    """Make a key, and show it once.

    The key goes to standard error, for whoever is to use it; it can't be shown again. The table
    for the file of keys, which has its hash and what it grants, goes to standard output:

        pushsvc key new --read '{site="hall3"}' --write '{site="hall3"}' >> keys.toml
    """
    from pushsvc.auth.keys import make_key, table_of

    if not (read or write or operator):
        fail("a key that grants nothing is of no use: say --read, --write or --operator", status=2)
    key, id_, hash_ = make_key()
    table = table_of(id_, hash_, name=name, read=read, write=write, operator=operator)
    say(table)
    say(f"The key, shown this once:\n\n    {key}\n", err=True)
