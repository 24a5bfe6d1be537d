"""All that commands write. What strangers named is in most of it, so nothing goes out unescaped.

Only the table of `tail` is drawn elsewhere, by rich. `tests/test_printable.py` finds commands that
write by another way.
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
    """Have a line of standard error, which is to be a terminal, say something else."""
    click.echo(f"\r\x1b[K{printable(text)}", nl=False, err=True)


def write_json(lines: Iterable[bytes]) -> None:
    """Write JSON documents to standard output, one a line.

    JSON may have any character but C0 as it is, and its escapes mean the same: so they are what a
    terminal is shown, while a program reads what came.
    """
    terminal, out = sys.stdout.isatty(), sys.stdout.buffer
    for line in lines:
        out.write((printable(line.decode()).encode() if terminal else line) + b"\n")
    out.flush()
