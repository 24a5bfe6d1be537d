"""All output of commands. Most of it contains names that strangers chose, so everything is escaped.

Only the table of `tail` is drawn elsewhere, by rich. `tests/test_printable.py` finds commands that
write in another way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from pushsvc.printable import printable


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write text, which may have several lines, to standard output or standard error."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=err, nl=nl)


def redraw(text: str) -> None:
    """Replace the current line of standard error, which must be a terminal."""
    click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)


def write_json(lines: Iterable[bytes]) -> None:
    """Write JSON documents to standard output, one per line.

    JSON may contain any character unescaped but C0 controls, and an escape means the same
    character: so a terminal is shown escapes, while a program gets the documents unchanged.
    """
    terminal, out = sys.stdout.isatty(), sys.stdout.buffer
    for line in lines:
        out.write((printable(line.decode()).encode() if terminal else line) + b"\n")
    out.flush()
