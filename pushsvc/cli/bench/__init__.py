"""`pushsvc bench`."""

from __future__ import annotations

import ipaddress
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from pushsvc.cli.options import check_url, fail, tls_context, tls_options, token_option
from pushsvc.cli.process import prepare_to_serve, run_command
from pushsvc.cli.terminal import redraw, say


@click.command("bench")
@click.argument("url")
@click.option(
    "--connections",
    type=click.IntRange(1, 20_000),
    default=100,
    show_default=True,
    help="Dashboards that watch at the same time.",
)
@click.option(
    "--transport",
    type=click.Choice(["websocket", "sse", "ndjson"]),
    default="websocket",
    show_default=True,
    help="How they are connected.",
)
@click.option(
    "--series",
    type=click.IntRange(1, 1_000),
    default=50,
    show_default=True,
    help="Series that they watch; each update has a sample of all.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 20),
    default=1.0,
    show_default=True,
    help="Updates a second.",
)
@click.option(
    "--duration",
    type=click.FloatRange(1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds for which updates are published, once all are connected.",
)
@click.option(
    "--own-service",
    is_flag=True,
    help="Say that the service is yours to load. It is asked for unless URL is this machine.",
)
@token_option
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
@tls_options
def command(
    url: str,
    connections: int,
    transport: str,
    series: int,
    rate: float,
    duration: float,
    own_service: bool,
    token: str | None,
    as_json: bool,
    cafile: Path | None,
    insecure: bool,
) -> None:
    """Measure the service at URL: from publishing a sample to its receipt by many dashboards.

    Connects so many dashboards, publishes updates of series of its own (pushsvc_bench), and says
    how long each took to each dashboard, and which didn't arrive. The series end with it. Ctrl-C
    ends it early, with a summary of what was measured.

    The exit status is 0 if all arrived everywhere, 1 if not or if a connection failed, 2 if the
    service couldn't be measured, and 130 after Ctrl-C.
    """
    from pushsvc.cli.bench.run import Bench, Plan, Unmeasurable

    url = check_url(url)
    if not own_service and not is_this_machine(url):
        fail(
            f"{url} is not on this machine: load only a service that is yours, "
            "and say so by --own-service",
            status=2,
        )
    on_terminal = sys.stderr.isatty() and not as_json

    def progress(text: str) -> None:
        if on_terminal:
            redraw(text)

    prepare_to_serve()  # as many files as one may have
    plan = Plan(url, transport, connections, series, rate, duration, token)
    bench = Bench(plan, tls_context(cafile, insecure=insecure), progress)
    try:
        run_command(partial(bench.run))
    except Unmeasurable as error:
        progress("")
        fail(str(error), status=2)
    progress("")
    summary = bench.summary()
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(summary)).decode())
    else:
        say(summary.as_text())
    if summary.interrupted:
        raise SystemExit(130)
    raise SystemExit(0 if summary.complete else 1)


def is_this_machine(url: str) -> bool:
    """Whether a URL names this machine, by an address or name that is never another."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
