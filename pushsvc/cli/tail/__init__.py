"""`pushsvc tail`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from pushsvc.cli.options import check_url, fail, tls_context, tls_options, token_option, url_option
from pushsvc.cli.process import run_command
from pushsvc.cli.terminal import say, write_json
from pushsvc.client import (
    Away,
    Back,
    ClientError,
    Ended,
    Failing,
    Gap,
    Points,
    Sample,
    Stream,
    connect,
)
from pushsvc.client.stream import AWAY, SEVERAL
from pushsvc.errors import Malformed, Problem


@click.command("tail")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@url_option
@token_option
@tls_options
@click.option("--window", help="Start with this much history: 30s, 15m.")
@click.option("--max-hz", type=click.FloatRange(min=0, min_open=True), help="Frames a second.")
@click.option(
    "--merge",
    type=click.Choice(["all", "last", "envelope"]),
    help="What becomes of several samples within one frame.",
)
@click.option("--step", help="Of expressions, from one result to the next: 5s.")
@click.option("--since", metavar="CURSOR", help="Go on after this cursor.")
@click.option("--json", "as_json", is_flag=True, help="NDJSON also on a terminal.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="More attempts at the start, before giving up.",
)
def command(
    selectors: tuple[str, ...],
    url: str,
    token: str | None,
    cafile: Path | None,
    insecure: bool,
    window: str | None,
    max_hz: float | None,
    merge: str | None,
    step: str | None,
    since: str | None,
    as_json: bool,
    retries: int,
) -> None:
    """Show live samples of the series that SELECTORs match; of all series without any.

    SELECTOR is a PromQL instant vector selector: 'node_load1{host=~"web.*"}', or an expression:
    'sum by (job) (rate(requests_total[1m]))'. On a terminal a live table is shown, else one JSON
    object a line. After a cut it goes on where it was; if the service can't be reached at the
    start, it says so and ends.
    """
    from pushsvc.core.standing.asked import read_asked

    for text in selectors:
        try:
            read_asked(text)
        except Malformed as error:
            pointer = getattr(error, "pointer", "")
            say(f"pushsvc: {error.detail}" + (pointer and f"\n{pointer}"), err=True)
            raise SystemExit(2) from None

    tls = tls_context(cafile, insecure=insecure)

    async def run() -> None:
        async with connect(
            check_url(url),
            selectors,
            since=since,
            window=window,
            max_hz=max_hz,
            merge=merge,
            step=step,
            retries=retries,
            token=token,
            tls=tls,
        ) as stream:
            if as_json or not sys.stdout.isatty():
                await _lines(stream)
            else:
                from pushsvc.cli.tail.table import show

                await show(stream, url)

    try:
        run_command(run)
    except BrokenPipeError:
        # `| head` has read enough. Python would report the error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (ClientError, Problem) as error:
        fail(str(error))


async def _lines(stream: Stream) -> None:
    encode = msgspec.json.Encoder().encode
    told = False
    failing: dict[str, str] = {}
    async for event in stream:
        if stream.statistics.several and not told:
            told = True
            say(f"pushsvc: {SEVERAL}", err=True)
        if isinstance(event, Points):
            write_json(encode(_line(sample)) for sample in event.samples)
        elif isinstance(event, Ended):
            endings = (Sample(ending.series, ending.time, None) for ending in event.endings)
            write_json(encode(_line(ending)) for ending in endings)
        elif isinstance(event, Gap):
            lost = "an unknown number of" if event.lost is None else event.lost
            say(f"pushsvc: {lost} samples are missing here", err=True)
        elif isinstance(event, Away):
            say(f"pushsvc: {AWAY}", err=True)
        elif isinstance(event, Back):
            say("pushsvc: the service can reach its log again", err=True)
        elif isinstance(event, Failing):
            for name in failing.keys() - event.reasons.keys():
                say(f"pushsvc: {name} can be worked out again", err=True)
            for name, reason in event.reasons.items() - failing.items():
                say(f"pushsvc: {name} has no results: {reason}", err=True)
            failing = dict(event.reasons)


def _line(sample: Sample) -> dict[str, object]:
    series = sample.series
    line: dict[str, object] = {
        "name": series.name,
        "labels": series.labels,
        "time": sample.time,
        "value": sample.value,
        "kind": series.kind,
    }
    if series.unit:
        line["unit"] = series.unit
    if sample.count > 1:
        line |= {"min": sample.min, "max": sample.max, "count": sample.count}
    return line
