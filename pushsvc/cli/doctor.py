"""`pushsvc doctor`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click
import msgspec

from pushsvc.cli.options import check_url, fail, tls_context, tls_options, token_option
from pushsvc.cli.process import run_command
from pushsvc.cli.terminal import redraw, say


@click.command("doctor")
@click.argument("url")
@token_option
@click.option(
    "--idle",
    type=click.FloatRange(2, 600),
    help="Seconds of quiet up to which cuts are looked for; about as long does it take. "
    "[default: 5 more than a long poll waits]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    help="Seconds for what should be answered at once.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@tls_options
def command(
    url: str,
    token: str | None,
    idle: float | None,
    timeout: float,
    as_json: bool,
    cafile: Path | None,
    insecure: bool,
) -> None:
    """Find what cuts, buffers or refuses streams between here and the service at URL.

    The exit status is 0 for a healthy path, 1 if a problem was found, and 2 if the path couldn't
    be examined.
    """
    from pushsvc.doctor.examine import Unexaminable, examine
    from pushsvc.doctor.findings import Report
    from pushsvc.doctor.text import as_text
    from pushsvc.doctor.way import Way

    tls = partial(tls_context, cafile, insecure=insecure)
    tls()
    way = Way(check_url(url), token, tls, timeout)
    on_terminal = sys.stderr.isatty() and not as_json

    def progress(text: str) -> None:
        if on_terminal:
            redraw(text)

    async def run() -> Report:
        return await examine(way, idle, progress)

    try:
        report = run_command(run)
    except Unexaminable as error:
        progress("")
        fail(str(error), status=2)
    progress("")
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        say(as_text(report), nl=False)
    raise SystemExit(0 if report.healthy else 1)
